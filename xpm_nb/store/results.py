"""What `execute` returned: JSON where that comes back equal, else a pickle.

Rule 1: only `load_result` ever unpickles, and only when somebody asks for the result of a job, and
only what nobody else can have written.
"""

from __future__ import annotations

from typing import Any

from xpm_nb.errors import RecordError
from xpm_nb.store import owners
from xpm_nb.store.files import FORMAT, exact_json, open_file, read_object, write_bytes, write_json
from xpm_nb.store.layout import JobPaths


def store_result(paths: JobPaths, value: Any) -> None:
    """Keep what `execute` returned; None leaves no file.

    JSON if it comes back equal with equal types, else cloudpickle. A value that neither can hold
    is noted with the reason, so that `load_result` can say why there is none.
    """
    if value is None:
        return
    text = exact_json({"format": FORMAT, "value": value})
    if text is not None:
        write_bytes(paths.result_json, text, durable=True)
        return
    import cloudpickle  # only where it is needed: 25 ms

    try:
        data = cloudpickle.dumps(value)
    except Exception as error:  # the value's own code runs here: a border like execute()
        note = f"{type(value).__name__} cannot be stored: {type(error).__name__}: {error}"
        write_json(paths.result_json, {"format": FORMAT, "unstorable": note}, durable=True)
        return
    write_bytes(paths.result_pickle, data, durable=True)


def load_result(paths: JobPaths) -> Any:
    """Give back what `execute` returned; None if nothing was kept.

    This unpickles, which runs code that the file names: only for an explicit request of the result
    of an own job, never for a display.

    Raises
    ------
    RecordError
        The file is damaged, says why the value could not be kept, or is a pickle that another
        user could have written.
    """
    try:
        data = read_object(paths.result_json)
    except RecordError as error:
        raise RecordError(f"{error}; {_run_again(paths)}") from error
    if data is not None:
        if "unstorable" in data:
            raise RecordError(f"the result is not kept: {data['unstorable']} ({paths.result_json})")
        if "value" not in data:
            raise RecordError(
                f"{paths.result_json} is damaged: it has no 'value'; {_run_again(paths)}"
            )
        return data["value"]
    try:
        with open_file(paths.result_pickle) as file:
            _check_own(paths, file.fileno())
            pickled = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"cannot read {paths.result_pickle}: {error.strerror}") from error
    import cloudpickle

    try:
        return cloudpickle.loads(pickled)
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
