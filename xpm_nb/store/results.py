"""What `execute` returned: JSON where that comes back equal, else a pickle.

Rule 1: only `load_result` ever unpickles, and only when somebody asks for the result of a job, and
only what nobody else can have written.
Rule 2: a result is what the marker of success belongs to that is there. Without a marker there is
none, and a file that the attempt has noted and that is not there is an error, never None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xpm_nb.errors import NoResultError, RecordError
from xpm_nb.store import owners, records
from xpm_nb.store.files import FORMAT, exact_json, open_file, read_object, write_bytes, write_json
from xpm_nb.store.layout import JobPaths

if TYPE_CHECKING:
    from xpm_nb.store.classes import Find

NONE = "none"  # what is noted where `execute` returned None; else the name of the file


def store_result(paths: JobPaths, value: Any) -> str:
    """Keep what `execute` returned, and say what is to be noted of it; None leaves no file.

    JSON if it comes back equal with equal types, else cloudpickle. A value that neither can hold
    is noted with the reason, so that `load_result` can say why there is none.
    """
    if value is None:
        return NONE
    text = exact_json({"format": FORMAT, "value": value})
    if text is not None:
        write_bytes(paths.result_json, text, durable=True)
        return paths.result_json.name
    from xpm_nb.store import classes  # it imports cloudpickle: 25 ms, only where it is needed

    try:
        data = classes.dumps(value)
    except Exception as error:  # the value's own code runs here: a border like execute()
        note = f"{type(value).__name__} cannot be stored: {type(error).__name__}: {error}"
        write_json(paths.result_json, {"format": FORMAT, "unstorable": note}, durable=True)
        return paths.result_json.name
    write_bytes(paths.result_pickle, data, durable=True)
    return paths.result_pickle.name


def load_result(paths: JobPaths, find: Find | None = None) -> Any:
    """Give back what `execute` returned in the attempt whose marker of success is there.

    This unpickles, which runs code that the file names: only for an explicit request of the result
    of an own job, never for a display.

    Parameters
    ----------
    paths : JobPaths
        The job.
    find : callable, optional
        Gives the class of cells that has a qualified name, None for the one of then.

    Raises
    ------
    NoResultError
        The marker is not there, or became another one meanwhile: it is to be looked how the job is.
    RecordError
        A file is damaged or was deleted, says why the value could not be kept, or is a pickle that
        another user could have written.
    """
    mark = records.done_mark(paths)
    try:
        data, pickled = _read(paths)
        trouble = None
    except RecordError as error:  # what was read may be half moved away by now
        data, pickled, trouble = None, None, error
    if mark is None or records.done_mark(paths) != mark:
        raise NoResultError(f"{paths.done} is not there, or was replaced just now")
    if trouble is not None:
        raise trouble
    return _value(paths, data) if pickled is None else _unpickled(paths, pickled, find)


def is_json(paths: JobPaths) -> bool:
    """Tell whether a result is kept as JSON, which anybody may read; raises `NoResultError`."""
    mark = records.done_mark(paths)
    found = paths.result_json.exists()
    if mark is None or records.done_mark(paths) != mark:
        raise NoResultError(f"{paths.done} is not there, or was replaced just now")
    return found


def _read(paths: JobPaths) -> tuple[dict[str, Any] | None, bytes | None]:
    """Read the file in which a result is, JSON or pickle; neither if that was None."""
    try:
        data = read_object(paths.result_json)
    except RecordError as error:
        raise RecordError(f"{error}; {_run_again(paths)}") from error
    if data is not None:
        return data, None
    try:
        with open_file(paths.result_pickle) as file:
            _check_own(paths, file.fileno())
            return None, file.read()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise RecordError(f"cannot read {paths.result_pickle}: {error.strerror}") from error
    noted = records.read_result_note(paths)
    if noted not in ("", NONE, None):
        path = paths.result_pickle if noted == paths.result_pickle.name else paths.result_json
        raise RecordError(f"{path} was deleted; {_run_again(paths)}")
    if noted is None and records.read_job(paths) is None and records.is_of_ours(paths):
        raise RecordError(
            f"nothing of its result is there: {paths.private} was deleted; {_run_again(paths)}"
        )
    return None, None


def _value(paths: JobPaths, data: dict[str, Any] | None) -> Any:
    if data is None:
        return None
    if "unstorable" in data:
        raise RecordError(f"the result is not kept: {data['unstorable']} ({paths.result_json})")
    if "value" not in data:
        raise RecordError(f"{paths.result_json} is damaged: it has no 'value'; {_run_again(paths)}")
    return data["value"]


def _unpickled(paths: JobPaths, pickled: bytes, find: Find | None) -> Any:
    from xpm_nb.store import classes

    try:
        return classes.loads(pickled, find)
    except Exception as error:  # a border: whatever the classes named in there raise
        what = f"{type(error).__name__}: {error}"
        raise RecordError(
            f"{paths.result_pickle} cannot be loaded: {what}; {_run_again(paths)}"
        ) from error


def _check_own(paths: JobPaths, fd: int) -> None:
    doubt = owners.doubt(paths.workspace, (paths.path, paths.private, paths.result_pickle), fd)
    if doubt is not None:
        raise RecordError(
            f"{doubt.text}, and the result is a pickle, which executes what it says: it is not "
            f"loaded; {_run_again(paths)} ({doubt.remedy})"
        )


def _run_again(paths: JobPaths) -> str:
    return f"to run the job again, delete {paths.done} and submit it again"
