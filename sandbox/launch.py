"""The command that starts a process of the sandbox's own."""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
# Empty packages, so that it loads the few modules it needs and nothing of the host's (asyncio, engines).
_BOOT = """
import sys, types
for name in ("genprm", "genprm.sandbox"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [sys.argv[1]]
from importlib import import_module
import_module("genprm.sandbox.inside." + sys.argv[2]).main(sys.argv[3])
"""


def command(module: str, argument: str) -> list[str]:
    """Runs ``main(argument)`` of a module of ``inside``."""
    return [sys.executable, "-s", "-P", "-c", _BOOT, _HERE, module, argument]
