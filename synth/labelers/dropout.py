"""Labels from a model that reads with dropout: how far its opinion of a step wavers (MC dropout, arXiv 1506.02142).

The model reads problem and steps ``passes`` times, with dropout after every feed-forward block, and each time gives a
step a score in [0, 1]: the geometric mean of its tokens' probabilities (``likelihood``), or P(Yes) at the question
whether the step is right (``yes``). The score is the mean over the passes, and the confidence the share of passes
that are on the label's side of the threshold. Needs the extra ``hf``.
"""

import asyncio
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal

from genprm.engines.hf import load_model
from genprm.errors import ConfigError
from genprm.synth.types import Attempt, Labelled, StepLabel

Reading = Literal["likelihood", "yes"]
_ALONE = Lock()
_QUESTION = "\n\nIs the last step right? Answer Yes or No.\nAnswer:"


@dataclass(frozen=True)
class Dropout:
    """Make it with :meth:`load`."""

    name: str
    model: Any
    tokenizer: Any
    reading: Reading
    passes: int
    rate: float
    threshold: float
    seed: int

    @classmethod
    async def load(
        cls,
        model: str,
        *,
        reading: Reading = "likelihood",
        passes: int = 8,
        rate: float = 0.1,
        threshold: float = 0.5,
        seed: int = 0,
    ) -> "Dropout":
        """``model``: a folder or a name on the hub. Raises as ``genprm.engines.hf.load_model`` does."""
        if passes < 2 or not 0 < rate < 1:
            raise ConfigError("dropout needs two passes at least, and a rate between 0 and 1")
        loaded, tokenizer = await asyncio.to_thread(load_model, model)
        return cls(f"dropout:{reading}:hf:{model}", loaded, tokenizer, reading, passes, rate, threshold, seed)

    async def label(self, attempt: Attempt) -> Labelled:
        scores = await asyncio.to_thread(self.scores, attempt)
        return Labelled(attempt, self.name, tuple(self._step(given) for given in scores))

    def scores(self, attempt: Attempt) -> list[list[float]]:
        """For each step the scores of all passes; the same seed and attempt give the same."""
        import torch

        solution = attempt.solution
        read = self._likelihoods if self.reading == "likelihood" else self._yeses
        # The seed of torch is one for the process: it is put back as it was.
        # Attempts that are labelled side by side would draw from it in turns, and drop twice in the same model.
        with _ALONE, torch.random.fork_rng(), torch.inference_mode(), _dropping(self.model, self.rate):
            torch.manual_seed(self.seed)
            passes = [read(solution.problem.text, solution.steps) for _ in range(self.passes)]
        return [list(given) for given in zip(*passes, strict=True)]

    def _step(self, given: Sequence[float]) -> StepLabel:
        known = [score for score in given if not math.isnan(score)]
        if not known:
            return StepLabel(None)
        score = sum(known) / len(known)
        holds = score >= self.threshold
        agreeing = sum((each >= self.threshold) == holds for each in known) / len(known)
        return StepLabel(holds, score, max(agreeing, 0.5))

    def _likelihoods(self, problem: str, steps: Sequence[str]) -> list[float]:
        """NaN for a step without tokens."""
        parts = [self._ids(problem + "\n\n"), *(self._ids(step + "\n\n") for step in steps)]
        ids = [i for part in parts for i in part]
        logs = self._logits(ids)[:-1].log_softmax(-1)
        found, at = [], max(len(parts[0]), 1)
        for part in parts[1:]:
            end = at + len(part)
            own = [float(logs[i - 1, ids[i]]) for i in range(at, min(end, len(ids)))]
            found.append(math.exp(sum(own) / len(own)) if own else math.nan)
            at = end
        return found

    def _yeses(self, problem: str, steps: Sequence[str]) -> list[float]:
        yes, no = (self._ids(word)[-1] for word in (" Yes", " No"))
        found = []
        for t in range(len(steps)):
            text = "\n\n".join((problem, *steps[: t + 1])) + _QUESTION
            last = self._logits(self._ids(text))[-1, [yes, no]]
            found.append(float(last.softmax(-1)[0]))
        return found

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def _logits(self, ids: list[int]) -> Any:
        import torch

        return self.model(torch.tensor([ids], device=self.model.device)).logits[0].float()


@contextmanager
def _dropping(model: Any, rate: float) -> Iterator[None]:
    """Dropout after every feed-forward block: the models of today have none of their own."""
    from torch.nn.functional import dropout

    blocks = [module for name, module in model.named_modules() if name.rpartition(".")[2] == "mlp"]
    if not blocks:
        raise ConfigError("the model has no feed-forward block named mlp, so there is nowhere to drop anything")
    hooks = [block.register_forward_hook(lambda _m, _i, out: dropout(out, rate, training=True)) for block in blocks]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
