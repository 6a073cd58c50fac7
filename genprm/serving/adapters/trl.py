"""A reward function of TRL's ``GRPOTrainer`` (and others that take ``reward_funcs``)."""

from collections.abc import Callable, Sequence
from typing import Any

from genprm.client import Client, ServiceError
from genprm.serving.adapters.text import Chat, problem_of, solution_of
from genprm.serving.bodies import By

Rewards = Callable[..., list[float | None]]


def trl_reward(
    url: str, *, key: str | None = None, by: By = "min", empty: float = 0.0, batch: int = 32, **settings: Any
) -> Rewards:
    """A function of ``prompts`` and ``completions`` (texts or conversations, as TRL gives them) -> a reward for each.

    None, which TRL leaves out of the mean, where the critic gave no verdict or the server refused a solution;
    ``empty`` for a completion without any text. ``settings`` are those of a request (``n``, ``threshold``, …).

    Raises (when it is called):
        ServiceError: the server cannot be reached, or has failed on everything.
    """

    def genprm_reward(prompts: Sequence[Chat], completions: Sequence[Chat], **_: Any) -> list[float | None]:
        pairs = zip(prompts, completions, strict=True)
        items = [{"problem": problem_of(prompt), "solution": solution_of(text)} for prompt, text in pairs]
        asked = [n for n, item in enumerate(items) if item["solution"]]
        rewards: list[float | None] = [empty] * len(items)
        with Client(url, key=key) as client:
            for start in range(0, len(asked), batch):
                part = asked[start : start + batch]
                for n, reward in zip(part, _rewards(client, [items[n] for n in part], by, settings), strict=True):
                    rewards[n] = reward
        return rewards

    return genprm_reward


def _rewards(client: Client, items: list[dict[str, str]], by: By, settings: dict[str, Any]) -> list[float | None]:
    try:
        return [score.reward for score in client.score(items, by=by, **settings)]
    except ServiceError as error:
        if error.status not in (400, 413):
            raise
        if len(items) == 1:
            return [None]  # this one is too long, or has too many steps
    return [reward for item in items for reward in _rewards(client, [item], by, settings)]
