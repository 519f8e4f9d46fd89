"""Notes each write outside of the places that a test allows; in jobs and kernels, from the start.

An audit hook cannot be taken out again, and sees what any library does.
"""

import os
import sys

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_allowed = tuple(os.environ.get("XPM_TEST_INSIDE", "").split(os.pathsep))
_log = os.environ.get("XPM_TEST_GUARD", "")
_NAMES = {  # events whose first arguments are paths, and how many of them
    "os.remove": 1,
    "os.rmdir": 1,
    "os.mkdir": 1,
    "os.truncate": 1,
    "os.chmod": 1,
    "os.chown": 1,
    "os.rename": 2,
    "os.link": 2,
    "os.symlink": 2,
}
_busy = False


def _real(path, folder=-1, follow=True):
    path = os.fsdecode(path)
    if not os.path.isabs(path) and isinstance(folder, int) and folder >= 0:
        path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
    if follow:
        return os.path.realpath(path)
    head, tail = os.path.split(path.rstrip("/"))
    return os.path.join(os.path.realpath(head), tail)


def _paths(event, args):
    if event == "open":
        path, _, flags = args
        writes = isinstance(path, (str, bytes)) and isinstance(flags, int) and flags & _WRITES
        # The event does not say of which directory's descriptor a relative path is; what is made
        # in the current folder is found by looking into it afterwards.
        if writes and os.path.isabs(path):
            yield _real(path, follow=not flags & (os.O_NOFOLLOW | os.O_EXCL))
    elif event in ("os.rename", "os.link"):
        yield _real(args[0], args[2], follow=False)
        yield _real(args[1], args[3], follow=False)
    elif event == "os.symlink":
        yield _real(args[1], args[2], follow=False)
    elif event in _NAMES and not isinstance(args[0], int):
        last = args[-1] if event != "os.truncate" else -1
        yield _real(args[0], last, follow=event in ("os.chmod", "os.truncate"))


def _hook(event, args):
    global _busy
    if event == "pickle.find_class" and not _busy:
        _note(f"pickle {args}")
    if _busy or (event != "open" and event not in _NAMES):
        return
    _busy = True
    try:
        for path in _paths(event, args):
            inside = any(path == root or path.startswith(root + "/") for root in _allowed if root)
            if not inside and not path.startswith(("/dev/", "/proc/")):
                frame, where = sys._getframe(1), []
                while frame is not None and len(where) < 8:
                    where.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
                    frame = frame.f_back
                _note(f"{event} {path!r} {where}")
    except Exception as error:
        _note(f"guard: {event} {args} {error!r}")
    finally:
        _busy = False


def _note(text):
    fd = os.open(_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, f"{text}\n".encode("utf-8", "backslashreplace"))
    os.close(fd)


if _log:
    _allowed = (*(os.path.realpath(a) for a in _allowed if a), os.path.realpath(_log))
    sys.addaudithook(_hook)
