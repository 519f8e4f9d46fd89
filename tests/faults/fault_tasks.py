"""Tasks that do what tasks should not."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from tests.engine.some_tasks import say
from xpm_nb import Meta, Param, Task, log_metrics, progress


def stay(gate: str) -> None:
    """Stay until a file exists."""
    while gate and not os.path.exists(gate):
        time.sleep(0.01)


def own_marker(task: Task) -> None:
    """Write the marker of success that only the end of the job may write."""
    name = type(task).__name__.lower()
    Path(f"{name}.done").touch()
    assert Path(f"{name}.done").is_file()


class Good(Task):
    """Does nothing wrong."""

    n: Param[int]
    gate: Meta[str] = ""

    def execute(self):
        say(f"good {self.n}")
        stay(self.gate)
        progress(1.0)
        return self.n


class After(Task):
    """Needs another task."""

    of: Param[Task]

    def execute(self):
        say("after")


class Prints(Task):
    """Prints more than there is room for."""

    mb: Param[int]
    gate: Meta[str] = ""

    def execute(self):
        say("prints")
        for _ in range(self.mb * 16):
            print("x" * 65535)
        say("printed")
        stay(self.gate)


class Fills(Task):
    """Leaves no room for what is written at its end."""

    fail: Param[bool]
    result: Param[bool] = True

    def execute(self):
        with open("all", "wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError as error:
                    say(error.strerror)
        if self.fail:
            raise ValueError("and then this")
        return "y" * 10_000 if self.result else None


class Waits(Task):
    """Waits; then ends well, or not."""

    n: Param[int]
    gate: Meta[str] = ""
    fail: Meta[bool] = False

    def execute(self):
        say(f"waits {self.n}")
        stay(self.gate)
        if self.fail:
            raise ValueError("after the wait")
        say(f"waited {self.n}")
        log_metrics({"n": self.n})
        return self.n


class Ends(Task):
    """Ends in a way of its own, after it wrote the marker of success itself, or not."""

    how: Param[str]
    marker: Param[bool] = False

    def execute(self):
        if self.marker:
            own_marker(self)
        say(f"ends {self.how}")
        match self.how:
            case "raise":
                raise ValueError("on purpose")
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "exit":
                sys.exit(3)
            case "well":
                return "well"
            case code:
                os._exit(int(code))


class Early(Task):
    """Says that it is done long before it is."""

    gate: Meta[str] = ""

    def execute(self):
        own_marker(self)
        say("early")
        stay(self.gate)
        say("late")
        raise ValueError("it was not")


class Forks(Task):
    """Leaves a worker behind that is of its group."""

    seconds: Param[float]

    def execute(self):
        pid = os.fork()
        if pid == 0:
            time.sleep(self.seconds)
            os._exit(0)
        say(f"worker {pid}")
        return "forked"


class Daemonizes(Task):
    """Becomes a daemon: forks twice, has a session of its own, and its first process ends."""

    gate: Meta[str] = ""
    goes_on: Param[bool] = True
    deaf: Param[bool] = False

    def execute(self):
        if first := os.fork():
            os.waitpid(first, 0)  # until it has its session: what is left in ours would be ended
            os._exit(0)
        os.setsid()
        if os.fork():
            os._exit(0)
        if self.deaf:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say(f"daemon {os.getpid()}")
        stay(self.gate)
        say("daemon ends")
        return "of the daemon"


class Closes(Task):
    """Closes all descriptors, as daemons do."""

    gate: Meta[str] = ""
    streams: Param[bool] = True

    def execute(self):
        say("closes")
        os.closerange(0 if self.streams else 3, 1 << 16)
        say("closed")
        stay(self.gate)
        say("ends")
        return "closed"


class Stubborn(Task):
    """Takes no notice of being asked to end."""

    def execute(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say("stubborn")
        time.sleep(600)


class Speaks(Task):
    """Has a large log, of which most is a hole in the file; and large figures."""

    size: Param[int]
    gate: Meta[str] = ""

    def execute(self):
        log_metrics({"first": 1.0})
        for name in ("speaks.out", "speaks.err", ".experimaestro/metrics.jsonl"):
            with open(name, "ab") as file:
                file.truncate(self.size)
                file.write(b"\nthe last line\n")
        say("spoken")
        stay(self.gate)
        log_metrics({"last": 2.0})


class Timed(Task):
    """Says how much time it has left, while the clock is set."""

    gate: Meta[str] = ""

    def execute(self):
        say(f"left {self.remaining_time()}")
        stay(self.gate)
