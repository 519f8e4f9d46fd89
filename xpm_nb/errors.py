"""Every exception of the project.

The tree, by who can mend it::

    XpmError
    ├── the user's
    │   ├── ConfigError (ValueError)          a wrong value, type, name or place of a parameter
    │   │   └── NoJobError (AttributeError)   the job of a task that was not submitted
    │   ├── ConfigTypeError (TypeError)       a class or a call that cannot mean what it says
    │   ├── FrozenError (AttributeError)      a value that may not be set (sealed, constant, …)
    │   ├── UnsetError (KeyError)             a required parameter that has no value yet
    │   ├── NoExperimentError                 submitting, and nothing is open
    │   ├── StaleError                        a result that other code made
    │   ├── CarrierError                      code of a cell that cannot be carried into a job
    │   └── ExportError                       an experiment that cannot be written as a package
    ├── the world's
    │   ├── MissingFileError (KeyError)       a file that a job's directory does not have
    │   ├── WorkspaceError                    a directory that cannot be used
    │   ├── NoResultError                     a job that is not done (any more)
    │   ├── RecordError                       a file that cannot be understood
    │   │   └── MissingClassError             it names classes that are not there
    │   ├── LaunchError                       a job that could not be started
    │   ├── JobError                          a job that ended badly
    │   └── FailedExperiment                  some jobs of an experiment ended badly
    └── InternalError                         ours: please report

    TaskCancelled (BaseException)             not an error: raised inside a job that is to end
    GracefulTimeout (Exception)               raised by a task that wants to be started again

A message says what, which, and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence


class XpmError(Exception):
    """Root of all errors raised on purpose by this package."""


class ConfigError(XpmError, ValueError):
    """A parameter has a wrong value, type or name; the message names class, parameter and place."""


class NoJobError(ConfigError, AttributeError):
    """The job of a configuration was asked for that no submitted task stands behind.

    It is an AttributeError too, so that ``hasattr(config, "job")`` gives an answer.
    """


class ConfigTypeError(XpmError, TypeError):
    """A class definition or a call that cannot be meant, as ``Learn(lr=1)`` for ``Learn.C``."""


class FrozenError(XpmError, AttributeError):
    """A value that may not be set: sealed, constant, generated, or None where one is required."""


class UnsetError(XpmError, KeyError):
    """A required parameter was read before it had a value."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, which would quote the whole sentence.
        return str(self.args[0]) if self.args else ""


class NoExperimentError(XpmError):
    """Something needs an open experiment; the message says how to open one."""


class CarrierError(XpmError):
    """The code of a class defined in a cell cannot be carried into a job."""


class StaleError(XpmError):
    """A result is there that other code made, and ``stale="error"`` says that it is not to be used.

    The message says what has changed, and what can be done.
    """


class ExportError(XpmError):
    """An experiment cannot be written as a package there; nothing was written."""


class MissingFileError(XpmError, KeyError):
    """A job's directory has no such file; the message names one that it has."""

    __str__ = UnsetError.__str__


class WorkspaceError(XpmError):
    """A workspace directory cannot be used (not writable, not a directory)."""


class NoResultError(XpmError):
    """A job has no result, or not the one that was being read: its marker of success is not there.

    Whoever asks looks again how the job is; no user meets this.
    """


class RecordError(XpmError):
    """A file of a workspace cannot be understood (damaged, or of a newer format)."""


class MissingClassError(RecordError):
    """What is to be loaded names classes that are not there.

    Attributes
    ----------
    classes : tuple of str
        ``module.Class`` of each.
    """

    def __init__(self, message: str, classes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.classes = tuple(classes)


class LaunchError(XpmError):
    """A launcher could not start a job."""


class JobError(XpmError):
    """A job ended badly.

    Attributes
    ----------
    identifier : str
        The job's identifier, 64 hexadecimal digits.
    reason : str
        One of the values of ``FailureReason``.
    """

    def __init__(self, message: str, *, identifier: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.identifier = identifier
        self.reason = reason


class FailedExperiment(XpmError):
    """Some jobs of an experiment ended badly; `errors` has one `JobError` for each."""

    def __init__(self, message: str, errors: Sequence[JobError] = ()) -> None:
        super().__init__(message)
        self.errors = tuple(errors)


class InternalError(XpmError):
    """A bug of this package: please report it with the traceback."""


class TaskCancelled(BaseException):
    """Raised in the main thread of a job that is asked to end (SIGTERM, SIGINT).

    A task may catch it to save its work, and should raise it again. Like KeyboardInterrupt it is no
    `Exception`, so that ``except Exception`` in the middle of a training loop does not swallow it.

    Attributes
    ----------
    remaining_time : float or None
        How many seconds are left before the process is killed, None if nobody knows.
    """

    def __init__(self, message: str = "", remaining_time: float | None = None) -> None:
        super().__init__(message)
        self.remaining_time = remaining_time


class GracefulTimeout(Exception):
    """Raised by a task to say: I stopped because of the time limit; start me again.

    Of a `ResumableTask` the next attempt begins at once, with the files that this one left, unless
    it was run again ``max_retries`` times already. Any other task ends in error (timeout).

    Examples
    --------
    >>> class Learn(ResumableTask):
    ...     def execute(self):
    ...         for epoch in epochs_left():
    ...             left = self.remaining_time()
    ...             if left is not None and left < 60:
    ...                 save()
    ...                 raise GracefulTimeout(f"before epoch {epoch}")
    """
