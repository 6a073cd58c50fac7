"""What the symbolic engine says of sentences: all stages, the checks run in the sandbox."""

import asyncio
import functools

import pytest

from genprm.critic import Critic
from genprm.engines import open_engine
from genprm.engines.symbolic import SymbolicEngine, engine
from genprm.errors import EngineRefused
from genprm.protocols.genprm import GenPRMProtocol
from genprm.sandbox import Sandbox, Session
from genprm.types import Completion, Message, Method, Problem, Prompt, Sampling, Solution, StepCritique
from tests.rooms import room

SYSTEM = Message("system", "You are a math teacher.")
ANALYZE = "<analyze>\nLet's analyze the Paragraph {t} step by step: "
VERIFY = "<verify>\nLet's use python code to find any potential error:\n```python\n"
PROBLEM = "Answer the question."

Case = tuple[str, tuple[str, ...]]
"""A problem, and the steps up to the one that is judged."""

REFUTED = [
    "So 16 - 3 - 4 = 10.",
    r"We get \(7 \times 8 = 54\).",
    r"\[ \frac{1}{2} + \frac{1}{3} = \frac{2}{5} \]",
    r"Then $\dfrac{3}{4} \cdot 12 = 8$.",
    "She pays $5 + $3 = $9 in total.",
    "Total = 5000 + 10000 + 30000 = \\boxed{43000}.",
    "He has 5 apples + 3 apples = 9 apples.",
    "That makes 1,000 + 250 = 1,350.",
    r"We have $1{,}200 - 300 = 800$.",
    r"\(2^{10} = 1000\)",
    r"\(3^4 = 64\), so we go on.",
    "The product is 12 x 12 = 124.",
    "48/2 = 26",
    r"$\sqrt{49} = 8$",
    r"\(5! = 100\)",
    r"\(\binom{6}{2} = 12\)",
    r"\(\binom{6}{2} \times 4! = 15 \times 20\)",
    "1 + 2 + ... + 100 = 5000",
    r"\(\sum_{k=1}^{5} k^2 = 45\)",
    r"\(\prod_{k=1}^{4} k = 20\)",
    r"$\log_2 32 = 4$",
    r"$\sin 30^\circ = \frac{1}{3}$",
    r"$\cos(60^\circ) = \frac{\sqrt{3}}{2}$",
    r"$\gcd(12, 18) = 4$",
    r"\(\text{lcm}(4, 6) = 24\)",
    r"$17 \times 3 \equiv 2 \pmod{5}$",
    "Dividing, 23 ÷ 4 = 5 with a remainder of 2.",
    "The remainder when 50 is divided by 7 is 2.",
    "Since 20% of 50 is 12, we subtract it.",
    "Note that 91 is prime.",
    r"$2/3 = 0.76$",
    r"\( 10 / 4 \approx 3.1 \)",
    r"\(2^5 > 40\)",
    r"\(3 + 4 = 7 = 2 + 6\)",
    r"\begin{align*} 3 \cdot 4 + 2 &= 12 + 2 \\ &= 15 \end{align*}",
    r"$3\frac{1}{2} + \frac{1}{2} = 5$",
    r"\[ f(x) = (x+2)^2 = x^2 + 4x + 2 \]",
    r"\[ P = -(6 + 2r + 3r) = -(6r + 6) \]",
    r"Expanding, $(x+1)(x^2+2x+3) = x^3 + 3x^2 + 6x + 3$.",
    r"\[ S = \frac{2a + 4}{2} = a + 4 \]",
    r"Working with complex numbers, $(1+i)^2 + 3 = 2i + 4$.",
    r"We solve $2x + 3 = 11$. Subtracting 3 from both sides, $2x = 9$.",
    r"From \(3x = 12\) we get \(x = 5\).",
    r"\[ x^2 - 5x + 6 = 0 \] \[ (x - 1)(x - 6) = 0 \]",
    r"So \(y^2 = 50\), which gives \(y = 5\).",
    r"\(\frac{6}{10} = \frac{x}{8 - x}\), therefore \(x = \frac{24}{15}\).",
    r"$4/month * 6 months = $28",
    r"\(2 \text{ boxes} \times 12 \text{ pens/box} = 26 \text{ pens}\)",
    r"So \(100 - 45 = 65\) are left.",
    r"\( \left( \frac{2}{3} \right)^2 = \frac{4}{6} \)",
    r"$1011_2 = 12$",
    "Half of them: 30 / 2 = 16.",
    "- first bullet: 4 * 4 = 18",
    "2**3 * 5 = 30",
    r"\( |3 - 7| = 5 \)",
    r"\( \lfloor 7/2 \rfloor = 4 \)",
]

CONFIRMED = [
    "So 16 - 3 - 4 = 9.",
    r"We get \(7 \times 8 = 56\).",
    r"\[ \frac{1}{2} + \frac{1}{3} = \frac{5}{6} \]",
    "She pays $5 + $3 = $8 in total.",
    "Natalia sold 48/2 = <<48/2=24>>24 clips.",
    "He has 5 apples + 3 apples = 8 apples.",
    r"That is \(1\,000 + 1{,}000 + 1,000 = 3000\).",
    r"$3\frac{1}{2} \cdot 4 = 14$",
    "3 1/2 * 4 = 14",
    r"\(20\% \times 50 = 10\)",
    r"\( \frac{5}{20} \times 100 = 25\% \)",
    r"\( 5/20 = 25\% \)",
    r"\(10 / 3 = 3.33\)",
    r"\(10 / 3 \approx 3.3\)",
    r"\(\frac{22}{7} \approx \pi\)",
    r"Rounding to the nearest tenth, \(3.33 \times 3 = 10\).",
    r"\(\sqrt{2} \approx 1.41\)",
    r"\(0.2 \times 50 = \$10\)",
    "0.2 x 50 = 10",
    "100 papers/inch * 2 pages/paper = 200 pages/inch",
    "1 + 2 + ... + 100 = 5050",
    "1 + 3 + 5 + ... + 99 = 2500",
    r"\(\sum_{k=1}^{5} k^2 = 55\)",
    r"\(\binom{6}{2} = 15\)",
    r"${12 + 2 \choose 2} = {14 \choose 2}$",
    r"$\sin 30^\circ = \frac{1}{2}$",
    r"$\sin 30 = \frac{1}{2}$",
    r"$\tan 45^\circ = 1$",
    r"$\log 100 = 2$",
    r"$\log_2 32 = 5$",
    r"$7^2 \equiv 4 \pmod{5}$",
    "Dividing, 23 ÷ 4 = 5 with a remainder of 3.",
    "20% of 50 is 10.",
    "97 is prime.",
    r"\(2^5 < 40\)",
    r"\[ (x+2)^2 = x^2 + 4x + 4 \]",
    r"\[ \frac{x^2 - 1}{x - 1} = x + 1 \]",
    r"$\cos(90^\circ - x) = \sin x$",
    r"Here $i$ is the imaginary unit: $(1+i)^2 = 2i$.",
    r"From \(3x = 12\) we get \(x = 4\).",
    r"\[ x^2 - 5x + 6 = 0 \] \[ (x - 2)(x - 3) = 0 \]",
    r"$1011_2 = 11$",
    r"\( 1/2(6) = 3 \)",
    r"\( 2^{3} \cdot 2^{-3} = 1 \)",
]

SILENT = [
    "We want to find out how many apples there are.",
    "Let \\(x = 5\\) be the number of boxes.",
    r"Let \(2x + 3 = x + 7\).",
    r"\(x^2 - 5x + 6 = 0\)",
    "5 feet = 60 inches",
    "There are 2 hours = 120 minutes.",
    r"\(3 + 4 \neq 8\)",
    r"But \(3 + 4 = 8\) is false.",
    r"This gives \(9 - 4 = 3\), a contradiction.",
    r"If so, then \(2 + 2 = 5\), which is impossible.",
    "so 3 + 4 = 7 + x",
    "1, 2, 4, ..., 64 = 7 terms",
    r"\( \ldots + 3 + 4 = 50 \)",
    r"\( 3 + 4 = 5 + \cdots \)",
    r"\( 2 \pm 1 = 4 \)",
    "The train leaves at 3:30 and 4:15 = arrival",
    "The ratio is 3:4 = 6:9",
    r"\( f(3) = 10 \)",
    r"\( f'(3) = 3 + 4 \)",
    r"The point \((1, 2 + 2) = (1, 5)\)",
    r"\( \overline{ab} = 12 + 3 \)",
    r"$0.\overline{3} = 1/3$",
    r"$0.333... = 1/3$",
    "half of 30 + 2 = 17",
    "twice 7 + 3 = 20",
    "He adds 5 more than 3 + 4 = 12",
    "7 + 8 = 3 times 5",
    "3 + 4 = 1 dozen",
    "50 + 30 = 1 million and more",
    "The 3rd - 1 = 4",
    r"Working modulo 7, $9 + 5 = 0$ in the table; we reduce mod 7.",
    r"In base 5, \(4 + 3 = 12\).",
    r"$a \star b$: $2 \star 3 = 7$",
    "100 - 20% = 80",
    r"\( 90^\circ = \frac{\pi}{2} \)",
    r"\( \frac{3 \text{ feet}}{1 \text{ yard}} = 1 \)",
    "In 8 years = 34 + 9",
    r"\( x = 1, 2, 3 \)",
    r"\( x + y = 2xy \)",
    r"\(\mathbf{A}^2 \mathbf{A} = \mathbf{A}\)",
    r"\( a_1 = 2, a_2 = 5 \)",
    r"\( \frac{7 + 2 \)",
    r"\( \int_0^1 x = 3 \)",
    r"\( \lim_{x \to 0} x = 3 \)",
    "x = y = z",
    r"\( i^2 = -1 \) for the index \(i\)",
    "Is 3 + 4 = 8?",
    r"\( 100! = 100 \cdot 99! \)",
    r"\( 2^{100000} = 3 \)",
    "So far, so good = fine",
]  # fmt: skip

STEPS: list[tuple[str, str, tuple[str, ...]]] = [
    ("No", "Solve.", (r"The equation is \(48 = -36 + 7n\).", r"Subtracting 36 from both sides: \(12 = 7n\).")),
    ("Yes", "Solve.", (r"The equation is \(48 = -36 + 7n\).", r"Adding 36 to both sides: \(84 = 7n\).")),
    ("Yes", "Solve.", (r"The equation is \(x - 1 = 0\).", r"Consider another case: \(x = 7\).")),
    ("Yes", "Solve.", (r"Then $x - 3 = 0$ or $x + 2 = 0$, so $x = 3$ or $x = -2$.",)),
    ("Yes", "Let $x + y = 4$.", (r"$x^2 + y^2 = (x+y)^2 - 2xy = 16 - 2xy$",)),
    ("Yes", "Let $x^2 = 3x + 1$.", (r"$x^3 = x^2 \cdot x = (3x+1)x = 3x^2 + x$",)),
    ("Yes", "How old?", ("We know 3 + 4 = 8.", "It is 8 + 1 = 9.")),
]


async def _complete(prompt: Prompt, **sampling: object) -> Completion:
    return await SymbolicEngine().complete(prompt, Sampling(**sampling))  # type: ignore[arg-type]


def prompt(problem: str, steps: tuple[str, ...], opening: str) -> Prompt:
    messages = [SYSTEM, Message("user", f"{problem}\n{steps[0]}")]
    for step in steps[1:]:
        messages += [Message("assistant", "<analyze>\n…"), Message("user", step)]
    return Prompt(tuple(messages), opening, problem)


async def judge(session: Session, problem: str, steps: tuple[str, ...]) -> tuple[str, str]:
    """The verdict, and the check's output."""
    opening = ANALYZE.format(t=len(steps))
    opening += (await _complete(prompt(problem, steps, opening), stop=("</analyze>\n",))).text + VERIFY
    code = (await _complete(prompt(problem, steps, opening), stop=("\n```\n", "</output>\n"))).text
    result = await session.run(code.removesuffix("```\n"))
    assert result.status == "ok", f"{code}\n{result}"
    opening += code + f"[Code Output]\n\n```\n{result.stdout.strip()}\n```\n"
    said = (await _complete(prompt(problem, steps, opening), stop=("\n```\n", "</output>\n"))).text
    return ("Yes" if r"\boxed{Yes}" in said else "No"), result.stdout


@functools.cache
def judged() -> dict[Case, tuple[str, str]]:
    """Every case of the tables, through one session: a check must not lean on the ones before it."""
    cases: list[Case] = [(PROBLEM, (text,)) for text in (*REFUTED, *CONFIRMED, *SILENT)]
    cases += [(problem, steps) for _, problem, steps in STEPS]

    async def run(sandbox: Sandbox) -> dict[Case, tuple[str, str]]:
        async with sandbox.session() as session:
            return {case: await judge(session, *case) for case in cases}

    return room().run(run)


@pytest.mark.parametrize("text", REFUTED)
def test_false_claims_are_refuted(text: str) -> None:
    verdict, output = judged()[PROBLEM, (text,)]
    assert verdict == "No"
    assert ": False" in output


@pytest.mark.parametrize("text", CONFIRMED)
def test_true_claims_are_confirmed(text: str) -> None:
    verdict, output = judged()[PROBLEM, (text,)]
    assert verdict == "Yes"
    assert ": True" in output
    assert "undecided" not in output


@pytest.mark.parametrize("text", SILENT)
def test_what_may_be_meant_otherwise_is_left_alone(text: str) -> None:
    verdict, output = judged()[PROBLEM, (text,)]
    assert verdict == "Yes"
    assert ": False" not in output


@pytest.mark.parametrize(("expected", "problem", "steps"), STEPS)
def test_steps_are_read_with_what_came_before(expected: str, problem: str, steps: tuple[str, ...]) -> None:
    assert judged()[problem, steps][0] == expected


def test_the_check_reads_as_a_proof() -> None:
    opening = ANALYZE.format(t=1) + "</analyze>\n" + VERIFY
    code = asyncio.run(_complete(prompt(PROBLEM, ("So 16 - 3 - 4 = 10.",), opening))).text
    assert code == (
        '# The text says: "16 - 3 - 4 = 10"\nleft = 16 - 3 - 4\nright = 10\n'
        'print(f"16 - 3 - 4 = {left}, the text says 10: {left == right}")\n```\n'
    )
    assert judged()[PROBLEM, ("So 16 - 3 - 4 = 10.",)][1].strip() == "16 - 3 - 4 = 9, the text says 10: False"


def test_several_points_make_a_loop() -> None:
    opening = ANALYZE.format(t=1) + "</analyze>\n" + VERIFY
    code = asyncio.run(_complete(prompt(PROBLEM, (r"We expand: $x(x + 2) = x^2 + 2x$.",), opening))).text
    assert "for x in [3, Fraction(5, 3), 7]:\n    left = x * (x + 2)\n    right = x**2 + 2 * x\n" in code
    assert "    if left != right:\n        break\nprint(" in code


def test_several_claims_are_guarded_from_each_other() -> None:
    opening = ANALYZE.format(t=1) + "</analyze>\n" + VERIFY
    code = asyncio.run(_complete(prompt(PROBLEM, ("So 1 + 1 = 3. And so 2 + 2 = 5.",), opening))).text
    assert code.count("\ntry:\n") == code.count("\nexcept (") == 2


def test_a_check_that_raises_settles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "write_check", lambda claims: 'raise ValueError("1 + 1 = 2: False")\n')

    async def run(sandbox: Sandbox) -> StepCritique:
        async with open_engine("symbolic") as asked:
            critic = Critic(asked, sandbox, GenPRMProtocol(), Method("symbolic", "genprm"))
            return (await critic.critique(Solution(Problem(PROBLEM), ("So 1 + 1 = 3.",)))).steps[0]

    step = room().run(run)
    assert step.rationales[0].checks[0].result.status == "error"
    assert step.correct


def test_the_analysis_quotes_the_claims() -> None:
    opening = ANALYZE.format(t=1)
    said = asyncio.run(_complete(prompt(PROBLEM, ("So 16 - 3 - 4 = 10.",), opening), stop=("</analyze>\n",))).text
    assert '"16 - 3 - 4 = 10"' in said
    assert said.endswith("</analyze>\n")


def test_both_ways_to_join_problem_and_step() -> None:
    question = Message("user", f"Question: {PROBLEM}\n\nSo 1 + 1 = 3.")
    said = asyncio.run(_complete(Prompt((SYSTEM, question), ANALYZE.format(t=1), PROBLEM)))
    assert '"1 + 1 = 3"' in said.text


def concluded(step: str, output: str, **sampling: object) -> Completion:
    opening = ANALYZE.format(t=1) + "…</analyze>\n" + VERIFY + f"…\n```\n[Code Output]\n\n```\n{output}\n```\n"
    return asyncio.run(_complete(prompt(PROBLEM, (step,), opening), **sampling))


@pytest.mark.parametrize(
    ("output", "word"),
    [
        ("1 + 1 = 2, the text says 3: False", "No"),
        ("1 + 1 = 2, the text says 2: True", "Yes"),
        ("1 + 1 = 2: undecided (no)", "Yes"),
        ("Code execute time out: 5 s", "Yes"),
        ("Code execute Error: MemoryError: ", "Yes"),
        ("Code execute Error: ValueError: 1 + 1: False", "Yes"),
        ("", "Yes"),
        ("**Judgement**: $\\boxed{No}$ False", "Yes"),
        ("noise\n1 + 1 = 2, the text says 3: False\nmore noise", "No"),
    ],
)
def test_the_output_decides(output: str, word: str) -> None:
    assert f"\\boxed{{{word}}}" in concluded("So 1 + 1 = 3.", output).text


def test_the_verdict_is_one_token_with_its_confidence() -> None:
    said = concluded("So 1 + 1 = 3.", "1 + 1 = 2, the text says 3: False", logprobs=20)
    assert "".join(token.text for token in said.tokens) == said.text
    verdict = next(token for token in said.tokens if token.text == "No")
    assert set(verdict.top) == {"Yes", "No"}
    assert verdict.logprob == verdict.top["No"] > verdict.top["Yes"]


def test_a_forced_verdict_is_given_without_evidence() -> None:
    opening = ANALYZE.format(t=1) + "…</analyze>\n<output>\n**Judgement**: $\\boxed"
    said = asyncio.run(_complete(prompt(PROBLEM, ("So 1 + 1 = 3.",), opening), stop=("</output>\n",), logprobs=20))
    assert said.text == "{Yes}$\n</output>\n"


def test_max_tokens_cut_it_off() -> None:
    said = asyncio.run(_complete(prompt(PROBLEM, ("So 1 + 1 = 3.",), ANALYZE.format(t=1)), max_tokens=5))
    assert said.finish == "length"
    assert said.usage.completion_tokens == 5


@pytest.mark.parametrize(
    "wrong",
    [
        Prompt((SYSTEM, Message("user", "2 + 2")), "Once upon a time"),
        Prompt((SYSTEM,), ANALYZE.format(t=1)),
        Prompt((SYSTEM, Message("user", "another text")), ANALYZE.format(t=1), "A problem"),
    ],
)
def test_other_prompts_are_refused(wrong: Prompt) -> None:
    with pytest.raises(EngineRefused):
        asyncio.run(_complete(wrong))
