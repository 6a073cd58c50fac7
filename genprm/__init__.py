"""genprm: a generative process reward model with code verification.

For every step of a solution a language model writes an analysis and a Python check, a sandbox runs the check, the
output goes back to the model, the model gives its verdict; N such rationales vote.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from genprm.api import critique, open_critic
    from genprm.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client", "__version__", "critique", "open_critic"]


def __getattr__(name: str) -> Any:
    # Late, so that ``import genprm`` costs nothing.
    if name in ("critique", "open_critic"):
        from genprm import api

        return getattr(api, name)
    if name in ("AsyncClient", "Client"):
        from genprm import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
