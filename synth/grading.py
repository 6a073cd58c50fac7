"""A solution's final answer against the reference."""

from genprm.answers import final_answer
from genprm.comparing import Comparer, Likeness
from genprm.synth.types import Grade
from genprm.types import Finish

_GRADES: dict[Likeness, Grade] = {
    "same": "right",
    "different": "wrong",
    "unparsed": "unparsed",
    "timeout": "timeout",
}


class Grader:
    """Grades texts by their final answers, with the processes of a :class:`~genprm.comparing.Comparer`."""

    def __init__(self, workers: int = 2, limit_s: float = 5.0) -> None:
        """``limit_s``: CPU seconds after which a comparison is killed."""
        self._comparer = Comparer(workers, limit_s)

    async def grade(self, text: str, reference: str, finish: Finish = "stop") -> tuple[Grade, str | None]:
        """How the answer of ``text`` compares with ``reference``, and the answer.

        A text without an answer is ``cut_off`` where it ran into its limit (``finish`` is ``length``).
        """
        answer = final_answer(text)
        if answer is None:
            return ("cut_off" if finish == "length" else "no_answer"), None
        return _GRADES[await self._comparer.compare(answer, reference)], answer

    async def close(self) -> None:
        """Ends the workers. Safe to call twice."""
        await self._comparer.close()
