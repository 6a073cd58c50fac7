"""The sandbox without async, for scripts and the shell."""

import asyncio

from genprm.sandbox.limits import Limits
from genprm.sandbox.pool import Level, Sandbox
from genprm.sandbox.result import Result


def run(code: str, limits: Limits | None = None, level: Level = "confined") -> Result:
    """Run one check in a fresh sandbox. Takes about a second; for many checks use ``Sandbox``."""
    return asyncio.run(_run(code, limits, level))


async def _run(code: str, limits: Limits | None, level: Level) -> Result:
    async with Sandbox(limits=limits, level=level) as sandbox, sandbox.session() as session:
        return await session.run(code)
