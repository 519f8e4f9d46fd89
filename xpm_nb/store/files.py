"""How anything is written in a workspace, and read: whole files, and files that grow by lines.

Rule 1: a file appears whole or not at all: it is written aside and takes its name by `os.replace`,
which also replaces a link instead of following it.
Rule 2: `fsync` only where `durable`: results and failures, so that no power cut leaves an empty
file with their name. (The journal keeps the order of renames: no marker without its result.)
Rule 3: reading is tolerant of a last line cut short. Anything else that cannot be understood is a
`RecordError` that names the file.
"""

# No `from __future__ import annotations`: every job imports this, and it would cost a moment each.
import errno
import json
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from xpm_nb.errors import RecordError
from xpm_nb.store import fs
from xpm_nb.store.layout import aside

FORMAT = 1  # of the JSON files of this version
MAX_BYTES = 256 << 20  # of a file that is read whole; what is ours has some kilobytes
MAX_DEPTH = 500  # of JSON: what looks at a value may need several calls for a level


def write_bytes(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a whole file, or nothing.

    Parameters
    ----------
    path : Path
        Replaced if it is there (a link is replaced, not followed).
    durable : bool
        Whether its content must be on the disk before it takes its name.
    """
    temporary = aside(path)
    fd = fs.open_fd(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[fs.write(fd, view) :]
            if durable:
                fs.fsync(fd)
        finally:
            os.close(fd)
        fs.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            fs.unlink(temporary)
        raise


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a whole text file in UTF-8, or nothing."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"), durable=durable)


def json_text(data: Any) -> str:
    """Give the text of a JSON file (NaN and Infinity as Python writes them).

    Raises
    ------
    RecordError
        JSON cannot hold it: an integer of thousands of digits, say.
    """
    try:
        return json.dumps(data, indent=1) + "\n"
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise RecordError(f"JSON cannot hold it: {error}") from error


def params_text(document: Mapping[str, Any]) -> str:
    """Give the text of ``params.json``, an object in a line; raises `RecordError`.

    Not with `indent`, for which Python has no fast encoder: the file of the last job of a chain
    holds all jobs before it.
    """

    def rows(value: Any) -> str:
        if not isinstance(value, list) or not value:
            return json.dumps(value)
        return "[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n ]"

    try:
        lines = [f" {json.dumps(name)}: {rows(value)}" for name, value in document.items()]
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise RecordError(f"JSON cannot hold it: {error}") from error
    return "{\n" + ",\n".join(lines) + "\n}\n"


def exact_json(value: Any) -> bytes | None:
    """Give the JSON from which a value comes back equal, with equal types; None if none does.

    Also where it is a part of a document: that is two levels more, at most.
    """
    try:
        text = json.dumps(value).encode("ascii")
        return text if _same(value, parse(text, MAX_DEPTH - 2)) else None
    except (TypeError, ValueError, RecursionError, OverflowError):
        return None


def _same(a: Any, b: Any) -> bool:
    """Compare by type and value, containers by their elements; floats by their digits (NaN)."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(type(k) is str and _same(a[k], b[k]) for k in a)
    if isinstance(a, float):
        return repr(a) == repr(b)
    return bool(a == b)


def write_json(path: Path, data: Any, *, durable: bool = False) -> None:
    """Write a whole JSON file, or nothing; raises `RecordError` for what JSON cannot hold."""
    write_text(path, json_text(data), durable=durable)


def open_file(path: Path) -> BinaryIO:
    """Open a file to be read, which must be one: a pipe of that name would be waited for.

    Raises
    ------
    OSError
        There is none, or it is something else.
    """
    fd = fs.open_fd(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is not a file", str(path))
        return open(fd, "rb")
    except BaseException:
        os.close(fd)
        raise


def read_bytes(path: Path) -> bytes | None:
    """Read a whole file of a sensible size; None if there is none; raises `RecordError`."""
    try:
        with open_file(path) as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise RecordError(f"{path} is damaged: it is larger than {MAX_BYTES} bytes")
    return data


def read_text(path: Path) -> str | None:
    """Read a whole text file; None if there is none; raises `RecordError`."""
    data = read_bytes(path)
    return None if data is None else data.decode("utf-8", "replace")


def printable(text: str) -> str:
    """Spell halves of surrogate pairs (of names that are no UTF-8): no stream takes them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def parse(data: bytes, limit: int = MAX_DEPTH) -> Any:
    """Read JSON that is nested no deeper than what is ours, or a user's value.

    Raises
    ------
    ValueError
        It is none, or too deep.
    """
    try:
        value = json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if data.count(b"[") + data.count(b"{") > limit and _depth_over(value, limit):
        raise ValueError("it is nested too deeply")
    return value


def _depth_over(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner += [v for v in item.values() if isinstance(v, (dict, list))]
            elif isinstance(item, list):
                inner += [v for v in item if isinstance(v, (dict, list))]
        if not inner:
            return False
        level = inner
    return True


def read_json(path: Path) -> Any:
    """Read a JSON file; None if there is none.

    Raises
    ------
    RecordError
        It cannot be read, is no JSON, or has a ``format`` newer than this version knows.
    """
    data = read_bytes(path)
    if data is None:
        return None
    try:
        value = parse(data)
    except ValueError as error:
        raise RecordError(f"{path} is damaged: {error}") from error
    if value is None:  # None means "no file" here, and no file of ours holds it
        raise RecordError(f"{path} is damaged: it holds null")
    if isinstance(value, dict):
        version = value.get("format", FORMAT)
        if not isinstance(version, int):
            raise RecordError(f"{path} is damaged: its format is {version!r}")
        if version > FORMAT:
            raise RecordError(
                f"{path} has format {version}, and this version of xpm_nb knows {FORMAT}: upgrade"
            )
    return value


def read_object(path: Path) -> dict[str, Any] | None:
    """Read a JSON file that must hold an object; None if there is none; raises `RecordError`."""
    value = read_json(path)
    if value is not None and not isinstance(value, dict):
        raise RecordError(f"{path} is damaged: an object is expected, not {kind_of(value)}")
    return value


def kind_of(value: Any) -> str:
    """Say in a message what a value is."""
    return f"a {type(value).__name__}"


class Appender:
    """Appends lines of JSON to a file; each call is one write, so that writers never mix."""

    __slots__ = ("_fd", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = fs.open_fd(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW)
        # A writer killed in the middle left a line without end: ours must not become its rest.
        size = os.fstat(self._fd).st_size
        if size and os.pread(self._fd, 1, size - 1) != b"\n":
            fs.write(self._fd, b"\n")

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append some rows, in one write; raises OSError (a full disk)."""
        text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
        data = text.encode("ascii")
        if fs.write(self._fd, data) != len(data):
            fs.write(self._fd, b"\n")  # a torn line must not swallow the next
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def close(self) -> None:
        """Close the file; further calls do nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def append_line(path: Path, row: Mapping[str, Any]) -> None:
    """Append one line of JSON."""
    appender = Appender(path)
    try:
        appender.write([row])
    finally:
        appender.close()


def read_lines(path: Path, offset: int = 0, limit: int = -1) -> tuple[list[dict[str, Any]], int]:
    """Read the complete lines after an offset, of at most so many bytes together.

    Lines that are no JSON object are left out: a writer was killed there.

    Returns
    -------
    tuple[list[dict], int]
        The rows, and the offset for the next call. A file that has become shorter is read from its
        beginning; one that is not there has no rows.

    Raises
    ------
    RecordError
        The file cannot be read.
    """
    try:
        with open_file(path) as file:
            if os.fstat(file.fileno()).st_size < offset:
                offset = 0
            file.seek(offset)
            data = file.read(limit)
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from error
    end = data.rfind(b"\n") + 1
    return _objects(data[:end])[0], offset + end


def read_all_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Read the complete lines of a file, and count those that are no JSON objects.

    Raises
    ------
    RecordError
        The file cannot be read.
    """
    try:
        with open_file(path) as file:
            data = file.read()
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from error
    return _objects(data[: data.rfind(b"\n") + 1])


def _objects(data: bytes) -> tuple[list[dict[str, Any]], int]:
    """Give the JSON objects of lines, and how many lines (but for empty ones) hold none."""
    rows, others = [], 0
    for line in data.splitlines():
        try:
            row = parse(line)
        except ValueError:
            row = None
        if isinstance(row, dict):
            rows.append(row)
        elif line.strip():
            others += 1
    return rows, others
