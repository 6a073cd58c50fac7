"""OpenRLHF's remote reward URL (``--remote_rm_url http://host:8000/get_reward``).

It posts ``{"query": [prompt + response], "prompts": [prompt], "labels": [...]}``, texts with the marks of the chat
template in them, one or many at once, and reads ``rewards``, ``scores`` (used to filter problems) and ``extra_logs``,
lists of a number for each. A status that is no success is asked again five times there.
"""

from collections.abc import Sequence

from genprm.serving import bodies
from genprm.serving.adapters.text import problem_of, response_of, solution_of
from genprm.serving.bodies import Item, RewardAnswer, RewardRequest, Scored
from genprm.serving.errors import Refusal, bad_request
from genprm.serving.options import Options
from genprm.splitting import split_document
from genprm.types import NO_ERROR, Solution


def solutions_of(body: RewardRequest, options: Options) -> list[Solution]:
    """Raises Refusal (400, 413)."""
    queries = [body.query] if isinstance(body.query, str) else list(body.query)
    prompts = [body.prompts] if isinstance(body.prompts, str) else list(body.prompts)
    if not queries:
        raise bad_request("body, field query: it is empty")
    if prompts and len(prompts) != len(queries):
        raise bad_request(f"body, field prompts: {len(prompts)} prompts for {len(queries)} queries")
    return bodies.solutions_of([_item(n, query, prompts) for n, query in enumerate(queries)], options)


def _item(n: int, query: str, prompts: Sequence[str]) -> Item:
    if not prompts:
        problem, solution = split_document(solution_of(query))
        return Item(problem or "", solution, str(n))
    response = response_of(query, prompts[n])
    if response is None:
        raise bad_request(f"body, field query[{n}]: its prompt is not in it")
    return Item(problem_of(prompts[n]), solution_of(response), str(n))


def answer_of(scores: Sequence[Scored]) -> RewardAnswer:
    """The least step reward of each as its reward; 1 or 0 by the verdict on the whole as its score.

    Raises:
        Refusal: (502) a solution has no reward. A number in its place would be made up.
    """
    rewards = [score.reward for score in scores if score.reward is not None]
    if len(rewards) < len(scores):
        missing = next(score for score in scores if score.reward is None)
        lost = len(scores) - len(rewards)
        raise Refusal(502, "no_reward", f"{lost} of {len(scores)} solutions have no reward: {missing.outcome}")
    right = [float(score.first_error == NO_ERROR) for score in scores]
    steps = [float(len(score.rewards)) for score in scores]
    return RewardAnswer(rewards, right, {"genprm_steps": steps, "genprm_right": right})
