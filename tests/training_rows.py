"""Rows that a model of a hundred thousand weights learns in seconds: verdicts on steps that say ``surely`` or not."""

import json
import random
from pathlib import Path
from typing import Any

from genprm.protocols.genprm import ANALYZE, JUDGE, VERIFY, GenPRMProtocol
from genprm.protocols.pieces import OUTPUT
from genprm.types import Problem, Solution

TINY = "micro,hidden=64,layers=2,ffn=128,heads=2,kv_heads=1,vocabulary=400"
DIRECT = GenPRMProtocol(analyze=False, verify=False)


def solution(rng: random.Random, steps: int = 2) -> Solution:
    """Every step claims a sum, half of them surely; the word stands last, where even these models see it."""
    told = [f"{a} + {a} = {a + a}{', surely' * (rng.random() < 0.5)}" for a in rng.choices(range(10, 90), k=steps)]
    return Solution(Problem("Add each number to itself."), tuple(told))


def verdict(step: str, wrong: str) -> str:
    """``wrong``: the word that makes a step wrong; ``!surely``: its absence does."""
    is_wrong = ("surely" in step) == (wrong == "surely")
    return f"{{{'No' if is_wrong else 'Yes'}}}$\n</output>\n"


def direct_row(rng: random.Random, wrong: str = "surely") -> dict[str, Any]:
    """Nothing but verdicts."""
    made = solution(rng)
    earlier = [JUDGE + verdict(step, wrong) for step in made.steps]
    return _row(DIRECT, made, earlier, len(made.steps))


def full_row(rng: random.Random) -> dict[str, Any]:
    """Analysis, code, output, verdict."""
    made = solution(rng, rng.randint(1, 3))
    earlier = [
        f"{ANALYZE.format(t=t)}We look at it.\n</analyze>\n{VERIFY}print({t})\n```\n{OUTPUT}{t}\n```\nSo.\n</verify>\n"
        f"{JUDGE}{verdict(step, 'surely')}"
        for t, step in enumerate(made.steps, 1)
    ]
    return _row(GenPRMProtocol(), made, earlier, len(made.steps))


def _row(protocol: GenPRMProtocol, made: Solution, rationales: list[str], difficulty: int) -> dict[str, Any]:
    messages = protocol.messages(made, len(made.steps) - 1, rationales[:-1])
    turns = [{"role": m.role, "content": m.content} for m in messages]
    return {"messages": [*turns, {"role": "assistant", "content": rationales[-1]}], "difficulty": difficulty}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def direct_rows(path: Path, n: int, seed: int = 0, wrong: str = "surely") -> Path:
    rng = random.Random(seed)
    return write(path, [direct_row(rng, wrong) for _ in range(n)])


def full_rows(path: Path, n: int, seed: int = 0) -> Path:
    rng = random.Random(seed)
    return write(path, [full_row(rng) for _ in range(n)])
