"""``genprm serve``."""

import argparse
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from genprm.errors import MissingExtra
from genprm.refine_command import open_policy, plan_of
from genprm.serving.keys import Keys, new_key
from genprm.serving.options import Options

if TYPE_CHECKING:
    from genprm.serving.refining import Refiner


def command(args: argparse.Namespace) -> Coroutine[Any, Any, int]:
    """Serve until SIGTERM or Ctrl-C, or make a key. 0: stopped as asked."""
    if args.new_key:
        return _made(new_key(args.keys or "keys.txt", args.new_key), args.keys or "keys.txt")
    options = options_of(args)
    keys = Keys.read(options.keys) if options.keys else None
    for package in ("fastapi", "uvicorn", "prometheus_client"):
        if find_spec(package) is None:
            raise MissingExtra(package, "serve", "genprm serve")
    if args.engine.lower().startswith(("http:", "https:")):
        # A server outlives the outages of its engine: it says that the engine is away, and waits.
        args.engine_option = ["patience_s=1e9", *args.engine_option]
    if (args.policy or "").lower().startswith(("http:", "https:")):
        args.policy_option = ["patience_s=1e9", *args.policy_option]
    plan_of(args)
    return _serve(args, options, keys)


def options_of(args: argparse.Namespace) -> Options:
    """Raises ConfigError."""
    given: dict[str, Any] = {name: getattr(args, name) for name in Options.__dataclass_fields__ if hasattr(args, name)}
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return Options(**given)


async def _serve(args: argparse.Namespace, options: Options, keys: Keys | None) -> int:
    from genprm.commands import critic_of
    from genprm.serving.app import make_app
    from genprm.serving.log import say, start_log
    from genprm.serving.server import serve
    from genprm.serving.service import Service

    start_log()
    async with critic_of(args) as critic, _refiner(args) as refiner:
        service = Service(critic, options, refiner=refiner)

        def say_where(url: str) -> None:
            print(f"genprm: serving at {url}", flush=True)
            policy = refiner and refiner.policy.name
            say("serving", url=url, engine=critic.method.engine, policy=policy, keys=keys is not None)

        await serve(make_app(service, keys), service, say_where=say_where)
        say("stopped")
    return 0


@asynccontextmanager
async def _refiner(args: argparse.Namespace) -> AsyncIterator["Refiner | None"]:
    """None without ``--policy``."""
    from genprm.serving.refining import Refiner

    if not args.policy:
        yield None
        return
    async with open_policy(args) as policy:
        yield Refiner(policy, plan_of(args))


async def _made(key: str, path: str) -> int:
    print(key)
    print(f"genprm: its hash is in {path}; the key itself is not kept, so note it down", file=sys.stderr)
    return 0
