"""The checks of one solution: the same code in the same state runs once, whoever asks for it.

What a check sees is what ran before it in its namespace, so states form a tree: a :class:`Place` is where a rationale
stands in it, and running code moves it to a child. A second rationale that runs the same code from the same state gets
the result of the first. Processes are taken only where something new runs, and forked only where two part.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from genprm.flight import cancelled
from genprm.sandbox import Result, Sandbox, Session


@dataclass(eq=False, slots=True)
class State:
    """A namespace, by what ran in it."""

    past: Sequence[tuple[str, float]] = ()
    """What to run again to come here without a process."""
    session: Session | None = None
    """A process that is in this state now."""
    standing: int = 0
    """Places here."""
    following: "dict[str, tuple[asyncio.Task[Result], State]]" = field(default_factory=dict)
    """What came of each code that was run from here."""


class CheckTree:
    """All that the rationales of one solution run. Close it when they are done."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._root = State()
        self._sessions: set[Session] = set()
        self._tasks: set[asyncio.Task[Result]] = set()

    def start(self) -> "Place":
        """An empty namespace."""
        return Place(self, self._root)

    def at(self, state: State) -> "Place":
        """A place in a state that another one has been in."""
        return Place(self, state)

    async def close(self) -> None:
        """End what still runs, and give back every process."""
        await cancelled(self._tasks)
        for session in self._sessions:
            session.close()

    def begin(self, state: State, code: str) -> tuple[asyncio.Task[Result], State]:
        """Run ``code`` from ``state``, in a task of its own: who asked first may be cancelled, the others wait on."""
        after = State()
        # Settled here and not in the task: of those who leave in one turn of the loop only the last takes the process.
        session, forked = state.session, state.standing > 0
        if not forked:
            state.session = None
        task = asyncio.create_task(self._run(state, session, forked, after, code))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task, after

    async def _run(self, state: State, session: Session | None, forked: bool, after: State, code: str) -> Result:
        if session is None:
            session = self._sandbox.session(state.past)
        elif forked:  # somebody may want to go another way from here
            session = await session.fork()
        self._sessions.add(session)
        result = await session.run(code)
        after.session, after.past = session, session.past
        return result

    def abandon(self, state: State) -> None:
        """Nobody stands there any more: its process can go. Who comes back runs again what led there."""
        if state.session is not None and all(task.done() for task, _ in state.following.values()):
            state.session.close()
            self._sessions.discard(state.session)
            state.session = None


class Place:
    """Where one rationale stands."""

    def __init__(self, tree: CheckTree, state: State) -> None:
        self._tree = tree
        self._state = state
        state.standing += 1

    async def run(self, code: str) -> tuple[Result, bool]:
        """The result of ``code`` here, and whether it had been run from here before."""
        state = self._state
        reused = code in state.following
        state.standing -= 1
        if not reused:
            state.following[code] = self._tree.begin(state, code)
        task, self._state = state.following[code]
        self._state.standing += 1
        return await asyncio.shield(task), reused

    @property
    def state(self) -> State:
        """Where it stands now."""
        return self._state

    def back_to(self, state: State) -> None:
        """Stand where it stood before, as if nothing had been run since."""
        self._state.standing -= 1
        self._state = state
        state.standing += 1

    def leave(self) -> None:
        """The rationale is done, and none goes on from this place."""
        self._state.standing -= 1
        if not self._state.standing:
            self._tree.abandon(self._state)
