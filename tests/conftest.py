"""What all tests share: hypothesis profiles, the plan that checks itself, a process that is as new
after each test, a look at what tests leave, and stories of failures.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.fresh import as_new
from xpm_nb.core.plan import Plan
from xpm_nb.engine import story
from xpm_nb.store.layout import MARKER, Workspace

pytest_plugins = ["tests.leaks"]

# Whatever machine it is, and whether or not a variable says that it is one for tests: only an input
# that breaks a law may fail, never how long it took or what happened to be drawn. Inputs are new
# each time; one that is found is printed in a form that can be tried again.
settings.register_profile(
    "all",
    deadline=None,
    derandomize=False,
    print_blob=True,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
        HealthCheck.large_base_example,
    ],
)
settings.register_profile("fast", parent=settings.get_profile("all"), max_examples=10)
settings.load_profile("fast" if os.environ.get("FAST") == "1" else "all")

Plan.checked = True  # here, and in the processes that tests start
os.environ["XPM_DEBUG"] = "1"

# Shells begin what is to run in the background without SIGINT, and so would all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

STORIES = 40  # how many jobs of a failed test are told of


@pytest.fixture(autouse=True)
def new_after_each():
    """What is process-wide in the engine begins and ends with each test."""
    yield
    as_new()


def workspaces(arguments):
    """The workspaces that a test used, by what its fixtures gave it."""
    places = [*arguments]
    for name in ("path", "root", "workspace"):
        places += [getattr(a, name, None) for a in arguments if not isinstance(a, Path)]
    roots = {place for place in places if isinstance(place, Path) and place.is_dir()}
    patterns = (MARKER, f"*/{MARKER}", f"*/*/{MARKER}")
    found = {mark.parent for root in roots for pattern in patterns for mark in root.glob(pattern)}
    return [Workspace(path) for path in sorted(found)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test tells the stories of the jobs of its workspaces."""
    report = yield
    if report.when == "call" and report.failed:
        for workspace in workspaces(list(getattr(item, "funcargs", {}).values())):
            jobs = workspace.jobs()
            told = "\n".join(str(story.tell(paths)) for paths in jobs[:STORIES])
            more = f"\nand {len(jobs) - STORIES} jobs more" if len(jobs) > STORIES else ""
            report.sections.append((f"Stories of {workspace.root}", told + more))
    return report
