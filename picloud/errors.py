"""Every error PiCloud raises on purpose.

The first branch says whose fault it is, the class says what happened, `code` is stable and may be relied on::

    PicloudError
    ├── CallerError                     the request or command was wrong; change it and try again
    │   ├── InvalidInput                invalid_input
    │   │   ├── InvalidScript           invalid_script
    │   │   ├── InvalidRoute            invalid_route
    │   │   ├── InvalidTrigger          invalid_trigger
    │   │   └── InvalidNotebook         invalid_notebook
    │   ├── Unauthenticated             unauthenticated
    │   ├── PermissionDenied            permission_denied
    │   ├── NotFound                    not_found
    │   ├── MethodNotAllowed            method_not_allowed
    │   ├── Conflict                    conflict
    │   │   └── StaleRevision           stale_revision
    │   ├── TestsFailed                 tests_failed
    │   ├── BodyTooLarge                body_too_large
    │   └── AppBusy                     app_busy
    ├── ScriptError                     a script failed; carries its traceback
    │   ├── ScriptSyntaxError           script_syntax_error
    │   ├── ScriptRuntimeError          script_runtime_error
    │   │   └── ExpectationFailed       expectation_failed
    │   ├── InvalidResponse             invalid_response
    │   ├── ModuleNotFound              module_not_found
    │   ├── InvalidModule               invalid_module
    │   ├── ImportCycle                 import_cycle
    │   ├── ImportTooDeep               import_too_deep
    │   ├── ResponseTooLarge            response_too_large
    │   ├── TimeLimitExceeded           time_limit_exceeded
    │   ├── CpuLimitExceeded            cpu_limit_exceeded
    │   ├── CallLimitExceeded           call_limit_exceeded
    │   ├── MemoryLimitExceeded         memory_limit_exceeded
    │   └── RunInterrupted              run_interrupted
    └── PlatformError                   PiCloud or what it stands on failed; the cause is in the log only
        ├── DatabaseUnavailable         database_unavailable
        ├── EmbeddedServerError         embedded_server_error
        ├── MigrationError              migration_error
        ├── DataPlaneUnavailable        data_plane_unavailable
        ├── ExecutorUnavailable         executor_unavailable
        └── ExecutorLost                executor_lost

A message is a plain sentence that says what to do. It never holds a host, a statement or a driver's text: those stay
in `__cause__`, which is logged and not shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar


class PicloudError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__ or type(self).code)

    @property
    def message(self) -> str:
        """The sentence for the person who sees the error."""
        return str(self.args[0])


class CallerError(PicloudError):
    """The request or command was wrong."""

    code = "caller_error"


class InvalidInput(CallerError):
    """A value is not valid."""

    code = "invalid_input"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing wrong with a source text."""

    line: int
    """1-based."""
    column: int
    """1-based, in bytes."""
    message: str
    """What is wrong and what to do."""

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.message}"


class InvalidScript(InvalidInput):
    """The script is not valid; `diagnostics` holds everything found, in source order."""

    code = "invalid_script"

    def __init__(self, name: str, diagnostics: tuple[Diagnostic, ...], place: str | None = None) -> None:
        """Take the script's name, what was found, and the notebook cell it comes from."""
        self.name = name
        self.diagnostics = diagnostics
        where = f"{place}, {name}" if place else name
        super().__init__("\n".join(f"{where}:{diagnostic}" for diagnostic in diagnostics))


class InvalidRoute(InvalidInput):
    """The route is not valid."""

    code = "invalid_route"


class InvalidTrigger(InvalidInput):
    """The trigger is not valid."""

    code = "invalid_trigger"


class InvalidNotebook(InvalidInput):
    """The notebook cannot be published; `cell` (1-based) and, of several, `notebook` say where, when that is known."""

    code = "invalid_notebook"

    def __init__(self, message: str, *, cell: int | None = None, notebook: str | None = None) -> None:
        self.cell = cell
        self.notebook = notebook
        where = [notebook] if notebook is not None else []
        where += [f"cell {cell}"] if cell is not None else []
        super().__init__(f"{', '.join(where)}: {message}" if where else message)


class Unauthenticated(CallerError):
    """This needs a valid token: send it as 'Authorization: Bearer ...' (make one with 'picloud token create')."""

    code = "unauthenticated"


class PermissionDenied(CallerError):
    """The token does not allow this."""

    code = "permission_denied"


class NotFound(CallerError):
    """There is no such thing here."""

    code = "not_found"


class MethodNotAllowed(CallerError):
    """The path exists but not for this method; `allow` lists the methods it answers."""

    code = "method_not_allowed"

    def __init__(self, allow: tuple[str, ...]) -> None:
        self.allow = allow
        super().__init__(f"This path answers {', '.join(allow)} only.")


class Conflict(CallerError):
    """This contradicts what is there now."""

    code = "conflict"


class StaleRevision(Conflict):
    """The app was published again in the meantime; try again."""

    code = "stale_revision"


@dataclass(frozen=True, slots=True)
class FailedTest:
    """A test that did not pass."""

    test: str
    message: str
    line: int | None = None
    """Of the test, 1-based; None when it did not run, or was stopped where no line is known."""
    at: str | None = None
    """`SCRIPT:LINE` when the error is in a script the test reached."""


class TestsFailed(CallerError):
    """Tests failed, so nothing was published.

    `failures` holds them when a publish ran them.
    """

    __test__ = False  # the name starts like a test class's
    code = "tests_failed"

    def __init__(self, message: str | None = None, failures: tuple[FailedTest, ...] = ()) -> None:
        self.failures = failures
        super().__init__(message)


class BodyTooLarge(CallerError):
    """The request body is too large."""

    code = "body_too_large"


class AppBusy(CallerError):
    """The app has as many runs going on as it may; try again in a moment."""

    code = "app_busy"


class ScriptError(PicloudError):
    """The script failed.

    `script` and `line` (1-based) say where; `traceback` has one line per Lua frame of a script, innermost first.
    """

    code = "script_error"

    def __init__(
        self,
        message: str | None = None,
        *,
        script: str | None = None,
        line: int | None = None,
        traceback: tuple[str, ...] = (),
    ) -> None:
        self.script = script
        self.line = line
        self.traceback = traceback
        super().__init__(message)


class ScriptSyntaxError(ScriptError):
    """The script is not valid Lua."""

    code = "script_syntax_error"


class ScriptRuntimeError(ScriptError):
    """The script raised an error."""

    code = "script_runtime_error"


class ExpectationFailed(ScriptRuntimeError):
    """A test's expectation does not hold; `details` is JSON that `picloud.model.expectation` reads."""

    code = "expectation_failed"

    def __init__(self, message: str | None = None, *, details: str = "", **where: Any) -> None:
        self.details = details
        super().__init__(message, **where)


class InvalidResponse(ScriptError):
    """The script returned something that is not a response."""

    code = "invalid_response"


class ModuleNotFound(ScriptError):
    """The app has no module of that name."""

    code = "module_not_found"


class InvalidModule(ScriptError):
    """The module holds statements a module may not have."""

    code = "invalid_module"


class ImportCycle(ScriptError):
    """Modules require each other in a circle."""

    code = "import_cycle"


class ImportTooDeep(ScriptError):
    """Modules require each other too many levels deep."""

    code = "import_too_deep"


class ResponseTooLarge(ScriptError):
    """The script's answer is larger than it may be."""

    code = "response_too_large"


class TimeLimitExceeded(ScriptError):
    """The run took longer than it may."""

    code = "time_limit_exceeded"


class CpuLimitExceeded(ScriptError):
    """The run used more CPU time than it may."""

    code = "cpu_limit_exceeded"


class CallLimitExceeded(ScriptError):
    """The run made more calls out of Lua than it may."""

    code = "call_limit_exceeded"


class MemoryLimitExceeded(ScriptError):
    """The run used more memory than it may."""

    code = "memory_limit_exceeded"


class RunInterrupted(ScriptError):
    """The run was interrupted."""

    code = "run_interrupted"


class PlatformError(PicloudError):
    """PiCloud failed; the log has the cause."""

    code = "platform_error"


class DatabaseUnavailable(PlatformError):
    """The database does not answer; try again in a moment."""

    code = "database_unavailable"


class EmbeddedServerError(PlatformError):
    """The embedded PostgreSQL server did not start; see the log file in PICLOUD_HOME/postgres."""

    code = "embedded_server_error"


class MigrationError(PlatformError):
    """The database schema cannot be brought up to date."""

    code = "migration_error"


class DataPlaneUnavailable(PlatformError):
    """The server that runs scripts is starting or restarting; try again in a moment."""

    code = "data_plane_unavailable"


class ExecutorUnavailable(PlatformError):
    """The node that runs scripts cannot take this; nothing was run, try again in a moment."""

    code = "executor_unavailable"


class ExecutorLost(PlatformError):
    """The node that runs scripts did not answer; it is not known whether the script ran."""

    code = "executor_lost"
