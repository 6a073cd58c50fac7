"""Search by a process verifier: of many steps that a policy proposes those go on that lead somewhere.

    async with open_engine("nano:policy") as engine:
        policy = EnginePolicy(engine)
        score = EffectiveReward(scorer, prover, alpha=1.0)
        result = await search(problem, policy, score, SearchPlan("beam", beam=4, expand=4))
        print(result.text, result.account.generated)

``docs/search.md`` has the definitions, the algorithms and the accounting.
"""

from genprm.searching.completions import CompletionsScorer, Grade, right_number
from genprm.searching.paths import Account, Candidate, SearchResult
from genprm.searching.plan import ALGORITHMS, CHOICES, SearchPlan
from genprm.searching.policy import EnginePolicy, StepPolicy
from genprm.searching.scores import EffectiveReward, Mark, StepScore
from genprm.searching.tree import Search
from genprm.types import Problem

__all__ = [
    "ALGORITHMS",
    "CHOICES",
    "Account",
    "Candidate",
    "CompletionsScorer",
    "EffectiveReward",
    "EnginePolicy",
    "Grade",
    "Mark",
    "SearchPlan",
    "SearchResult",
    "StepPolicy",
    "StepScore",
    "right_number",
    "search",
]


async def search(problem: Problem, policy: StepPolicy, score: StepScore, plan: SearchPlan) -> SearchResult:
    """Look for a solution. The same seed finds the same, as far as the engines keep to theirs.

    Raises:
        EngineLost: an engine has gone; whatever else fails is counted in the result.
    """
    return await Search(problem, policy, score, plan).run()
