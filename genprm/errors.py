"""What can go wrong, as one tree.

    GenPRMError               everything below; the command line prints it as one sentence and exits with 2
    ├── InputError            what the user gave cannot be read: names file, line and field
    ├── ConfigError           an option or an engine name that does not exist or does not fit
    ├── MissingExtra          an optional package is not installed: names the extra
    ├── WriteError            what is to be kept cannot be written, such as on a full disk: ends a run
    └── EngineError           where tokens come from failed
        ├── EngineUnavailable     cannot be reached, or keeps failing after every retry
        │   └── EngineLost            for so long that there is no use in asking it anything more: ends a run
        └── EngineRefused         it answered, and said no for good (wrong key, unknown model)
            └── PromptTooLong         prompt and budget together do not fit the model's window

Failures of checks are no exceptions: see ``genprm.sandbox.Result``. Failures of single rationales are recorded in
their outcome.
"""


class GenPRMError(Exception):
    """Base of all errors that genprm raises on purpose."""


class InputError(GenPRMError, ValueError):
    """Input that cannot be read. ``where`` is ``file``, ``file:line`` or ``stdin``, ``field`` a path inside it."""

    def __init__(self, message: str, where: str = "", field: str = "") -> None:
        place = where + (f", field {field}" if field else "")
        super().__init__(f"{place}: {message}" if place else message)
        self.where = where
        self.field = field


class ConfigError(GenPRMError, ValueError):
    """An option that does not exist or does not fit the others."""


class MissingExtra(GenPRMError, ImportError):
    """A feature needs a package that is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}: pip install 'genprm[{extra}]'")


class WriteError(GenPRMError):
    """A file cannot take more. What was written before is whole, and can be gone on from."""

    def __init__(self, path: object, error: OSError) -> None:
        super().__init__(f"{path} cannot be written: {error.strerror or error}; what was written before is kept")


class EngineError(GenPRMError):
    """An engine could not complete a prompt."""


class EngineUnavailable(EngineError, ConnectionError):
    """The engine cannot be reached, or still fails after every retry."""


class EngineRefused(EngineError):
    """The engine answered, and the answer is final. ``status`` is that of HTTP, where there is one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class EngineLost(EngineUnavailable):
    """The engine has been away for longer than anybody is willing to wait. A run stops here, and can be resumed."""


class PromptTooLong(EngineRefused):
    """The prompt and the tokens that may follow it do not fit the model's window. Asking with less may help."""
