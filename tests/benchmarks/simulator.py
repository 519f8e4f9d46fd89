"""The kernel's side of the benchmark: an experiment whose jobs change without any process.

Jobs stand in the experiment's own list; a thread changes them and tells the listeners of the
engine's loop, as the scheduler does. Nothing of the notebook side knows about it.
"""

from __future__ import annotations

import atexit
import hashlib
import itertools
import json
import os
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xpm_nb import start
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.engine import loop
from xpm_nb.engine.contents import Item
from xpm_nb.engine.entries import Entry

SLOTS = 16
STEPS = 20  # that a job takes
FAILS = 13  # each so many-th job does
RATES = ("0.1", "0.03", "0.01", "0.003", "0.001", "0.0003")
MODELS = ("linear", "forest", "network")
TASKS = ("Prepare", *["Train"] * 6, *["Evaluate"] * 3)  # of each ten jobs
NEEDS = ((), *[(0,)] * 6, (1, 2), (3, 4), (5, 6))  # which of the ten each of them needs


class Worker:
    """A process for running jobs to be, so that what they use can be looked at."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            ["sleep", "3600"], stdin=subprocess.DEVNULL, start_new_session=True
        )
        atexit.register(self.end)

    def as_dict(self) -> dict[str, Any]:
        return {"type": "local", "pid": self.process.pid, "start": 0}

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


class Simulator:
    """So many jobs, some of which are done, and a thread that lets the others go on.

    Parameters
    ----------
    count : int
        How many jobs.
    folder : Path
        Where the workspace is.
    done : float
        How many of them are done at the beginning, as a part of all.
    """

    def __init__(self, count: int, folder: Path, done: float = 0.3) -> None:
        self.xp = start("benchmark", workspace=folder / f"workspace-{count}", slots=SLOTS)
        self.began = time.time() - 3600
        self.entries: list[Entry] = []
        for number in range(count):
            self.entries.append(self._entry(number))
        self.workers = deque(Worker() for _ in range(min(SLOTS, count)))
        self.waiting = deque(range(count))
        self.over: deque[int] = deque()
        self.running: deque[int] = deque()
        self.step = dict.fromkeys(range(count), 0)
        self.changes = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        for _ in range(int(count * done)):
            self._start()
            self._end(self.running.pop(), after_s=100.0)
        while self.workers and self.waiting:
            self._start()

    def _entry(self, number: int) -> Entry:
        task = TASKS[number % len(TASKS)]
        digits = hashlib.sha256(f"{task} {number}".encode()).hexdigest()
        paths = self.xp.workspace.job(f"benchmark.{task.lower()}", digits)
        entry = loop.current().entry(paths)
        entry.facts.task = task
        entry.facts.submitted = self.began + number * 0.01
        place = number % len(TASKS)
        entry.facts.dependencies = tuple(
            self.entries[number - place + needed].paths.key for needed in NEEDS[place]
        )
        entry.freeze(JobState.WAITING, None, "")
        tags = {
            "lr": RATES[number % len(RATES)],
            "model": MODELS[number // 7 % len(MODELS)],
            "seed": number,
        }
        item = Item(entry, tags, entry.facts.submitted, "")
        item.job = self.xp._job(item)
        self.xp._items[entry.id] = item
        return entry

    # -- changes ----------------------------------------------------------------------------

    def _start(self) -> int:
        if not self.waiting:  # all over again
            self.waiting.append(self.over.popleft())
        number = self.waiting.popleft()
        entry = self.entries[number]
        attempt = entry.facts.attempt + (self.step[number] > 0)
        entry.forget_attempt()
        entry.facts.attempt = attempt
        if self.workers:
            entry.handle = self.workers.popleft()  # type: ignore[assignment]
        entry.facts.started = time.time()
        entry.paths.path.mkdir(parents=True, exist_ok=True)
        entry.paths.private.mkdir(exist_ok=True)
        entry.freeze(JobState.RUNNING, None, "")
        self.step[number] = 0
        self.running.append(number)
        return number

    def _go_on(self, number: int) -> None:
        entry = self.entries[number]
        step = self.step[number] = self.step[number] + 1
        entry.facts.progress = step / STEPS
        entry.facts.progress_text = f"epoch {step}"
        self._measure(entry, number, step)
        entry.freeze(JobState.RUNNING, None, "")

    def _measure(self, entry: Entry, number: int, step: int) -> None:
        loss = 1 / (1 + step) + number % 100 / 1000
        entry.facts.metrics = {"loss": loss, "accuracy": 1 - loss / 3}
        with entry.paths.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "metrics": entry.facts.metrics}) + "\n")

    def _end(self, number: int, after_s: float = 0.0) -> None:
        entry = self.entries[number]
        if entry.handle is not None:
            self.workers.append(entry.handle)  # type: ignore[arg-type]
        entry.handle = None
        if after_s:
            entry.facts.ended, entry.facts.started = time.time(), time.time() - after_s
            for step in range(STEPS - 3, STEPS):
                self._measure(entry, number, step)
        self.step[number] = STEPS
        entry.facts.ended, entry.facts.progress = time.time(), 1.0
        if number % FAILS == FAILS - 1:
            message = f"ValueError: the loss of number {number} is not finite"
            entry.freeze(JobState.ERROR, FailureReason.FAILED, message)
        else:
            entry.freeze(JobState.DONE, None, "")
        self.over.append(number)

    def _steps(self) -> Iterator[int]:
        """Change one job after the other, and give each."""
        while True:
            number = self.running.popleft()
            if self.step[number] < STEPS:
                self._go_on(number)
                self.running.append(number)
                yield number
            else:
                self._end(number)
                yield number
                yield self._start()

    # -- the thread -------------------------------------------------------------------------

    def run(self, rate: float) -> None:
        """Make so many changes a second, from now on."""
        self._stop.clear()
        self._thread = threading.Thread(
            target=self._run, args=(1 / rate,), name="simulator", daemon=True
        )
        self._thread.start()

    def _run(self, period_s: float) -> None:
        steps = self._steps()
        began = time.monotonic()
        for count in itertools.count(1):
            number = next(steps)
            self.changes += 1
            loop.current()._tell(frozenset([self.entries[number].paths.key]))
            if self._stop.wait(max(0.0, began + count * period_s - time.monotonic())):
                return

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def finish(self) -> None:
        """Let all jobs end at once."""
        self.stop()
        keys = []
        while self.running or self.waiting:
            while self.running:
                number = self.running.popleft()
                self._end(number, after_s=100.0)
                self.entries[number].settle(True)
                keys.append(self.entries[number].paths.key)
            if self.waiting:
                self._start()
        for entry in self.entries:
            entry.settle(True)
        loop.current()._tell(frozenset(keys))


# -- what the benchmark asks the kernel -----------------------------------------------------------


def forget(xp: Any) -> None:
    """Take all displays of an experiment away, so that the next one is the first again."""
    from xpm_nb.notebook import bridge

    publisher = bridge.current()
    with publisher._lock:
        found = publisher._lives.pop(id(xp), None)
        publisher._cell = None
    if found is not None:
        found.close()


def used() -> dict[str, float]:
    """Give the seconds of processor time that this process used so far, and those of its threads."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    found = {"at": time.monotonic(), "process": time.process_time()}
    for thread in os.listdir("/proc/self/task"):
        name = names.get(int(thread), "others")
        with open(f"/proc/self/task/{thread}/schedstat", encoding="ascii") as file:
            found[name] = found.get(name, 0.0) + int(file.read().split()[0]) / 1e9
    return found


class Rows:
    """The same jobs as rows of plain ipywidgets: the comparison."""

    PERIOD_S = 0.2

    def __init__(self, simulator: Simulator) -> None:
        import ipywidgets

        self.simulator = simulator
        self.rows = {}
        for view in simulator.xp.view().jobs:
            labels = [ipywidgets.Label(text) for text in self._texts(view)]
            row = ipywidgets.HBox(labels)
            row.add_class("benchmark-row")
            self.rows[view.key] = row
        self.box = ipywidgets.VBox(list(self.rows.values()))
        self.box.add_class("benchmark-rows")
        self._keys: set[str] = set()
        self._wake = threading.Event()
        loop.current().subscribe(self._hear)
        threading.Thread(target=self._run, name="rows", daemon=True).start()

    def _hear(self, keys: frozenset[str]) -> None:
        self._keys |= keys
        self._wake.set()

    @staticmethod
    def _texts(view: Any) -> list[str]:
        tags = " ".join(f"{name}={value}" for name, value in view.tags)
        metrics = " ".join(f"{name} {value:.4g}" for name, value in view.metrics)
        progress = "" if view.progress is None else f"{view.progress:.0%} {view.progress_text}"
        name = f"{view.task} {view.identifier[:8]}"
        return [name, view.state.value, tags, progress, metrics, str(view.attempt)]

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            keys, self._keys = self._keys, set()
            for view in self.simulator.xp.peek(keys):
                for label, text in zip(
                    self.rows[view.key].children, self._texts(view), strict=True
                ):
                    label.value = text
            time.sleep(self.PERIOD_S)
