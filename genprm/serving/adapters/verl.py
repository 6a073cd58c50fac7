"""A reward function of verl: ``custom_reward_function.path`` is this file, ``name`` is ``compute_score``.

The server and its key come from ``custom_reward_function.reward_kwargs`` (``url``, ``key``) or from the environment
(``GENPRM_URL``, ``GENPRM_KEY``).
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

from genprm.client import Client, ServiceError
from genprm.serving.adapters.text import problem_of, solution_of
from genprm.serving.bodies import By

_QUESTIONS = ("question", "problem", "prompt", "raw_prompt")


def verl_reward(url: str, *, key: str | None = None, **fixed: Any) -> Callable[..., float]:
    """:func:`compute_score` with its options chosen."""

    def score(data_source: str, solution_str: str, ground_truth: Any, extra_info: Any = None, **more: Any) -> float:
        return compute_score(
            data_source, solution_str, ground_truth, extra_info, **{**more, **fixed, "url": url, "key": key}
        )

    return score


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    url: str | None = None,
    key: str | None = None,
    by: By = "min",
    empty: float = 0.0,
    missing: float | None = None,
    **settings: Any,
) -> float:
    """The reward of one solution, in [0, 1]. The problem is ``extra_info["question"]`` (or ``problem``, ``prompt``).

    ``empty`` is the reward of a text without a solution, ``missing`` that of one without a verdict.

    Raises:
        ServiceError: there is no reward, and no ``missing`` to put in its place.
    """
    solution = solution_of(solution_str)
    if not solution:
        return empty
    item = {"problem": _problem(extra_info or {}, data_source), "solution": solution}
    key = key or os.environ.get("GENPRM_KEY")
    with Client(url or os.environ.get("GENPRM_URL", "http://127.0.0.1:8000"), key=key) as client:
        (score,) = client.score([item], by=by, **settings)
    reward = missing if score.reward is None else score.reward
    if reward is None:
        raise ServiceError(f"a solution has no reward ({score.outcome} {score.error}); missing=VALUE puts one there")
    return reward


def _problem(extra: Mapping[str, Any], data_source: str) -> str:
    for name in _QUESTIONS:
        if (given := extra.get(name)) is not None and len(given):
            return problem_of(given if isinstance(given, str) else list(given))
    raise ServiceError(f"rows of {data_source} have no extra_info[{' or '.join(map(repr, _QUESTIONS))}]")
