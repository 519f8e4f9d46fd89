"""What Tab offers after ``%xpm``: verbs, options, identifiers with their tags, names of all kinds.

Rule: pure functions of an experiment as it is known here; nothing is looked up on disk but the
names of a workspace's experiments.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from xpm_nb.core.states import JobState
from xpm_nb.core.views import JobView
from xpm_nb.engine import outlook
from xpm_nb.engine.settings import workspace_root
from xpm_nb.notebook.markup import clean
from xpm_nb.store.layout import Workspace

MAX_OFFERS = 300
DIGITS = 8  # of an identifier


class Offer(NamedTuple):
    """Something that could stand at the cursor."""

    text: str
    about: str = "param"  # front-ends show it beside the text


def offers(
    words: Sequence[str],
    parsers: Mapping[str, argparse.ArgumentParser],
    experiment: Any,
    variables: Mapping[str, Any] | None = None,
) -> list[Offer]:
    """Give what could complete the last word.

    Parameters
    ----------
    words : sequence of str
        What stands behind ``%xpm``; the last one is to be completed, and may be empty.
    parsers : mapping
        What each verb takes.
    experiment : Experiment or None
        The current one.
    variables : mapping, optional
        The user's, by name.
    """
    *before, last = words
    if not before:
        found: Iterable[Offer] = (Offer(verb, about(parsers[verb])) for verb in parsers)
    elif before[0] == "help":
        found = [Offer(verb, about(parsers[verb])) for verb in parsers] if len(before) == 1 else []
    elif before[0] in parsers:
        found = _of_verb(before, parsers[before[0]], experiment)
        if before[0] == "plan":
            found = [*_planned(variables or {}, before), *found]
    else:
        found = ()
    begin = [offer for offer in found if offer.text.startswith(last)]
    return begin[:MAX_OFFERS]


def about(parser: argparse.ArgumentParser) -> str:
    """Say what a verb does, in its first clause."""
    line = (parser.description or "").strip().partition("\n")[0]
    return re.split(r"[.:;] |\.$", line, maxsplit=1)[0] or "verb"


def _of_verb(
    before: Sequence[str], parser: argparse.ArgumentParser, experiment: Any
) -> Iterator[Offer]:
    verb, given = before[0], before[1:]
    options = {name: action for action in parser._actions for name in action.option_strings}
    asked = options.get(before[-1])
    if asked is not None and asked.nargs != 0:
        yield from _values(verb, asked.dest, asked, experiment, before)
        return
    action = _next(parser, len(_positionals(given, options)))
    if action is not None:
        yield from _values(verb, action.dest, action, experiment, before)
    for name, action in options.items():
        again = isinstance(action, argparse._AppendAction)
        if name.startswith("--") and (again or not set(action.option_strings) & set(given)):
            yield Offer(name, action.help or "option")


def _planned(variables: Mapping[str, Any], before: Sequence[str]) -> Iterator[Offer]:
    """Name the variables that hold a task, or a list of them."""
    for name, value in list(variables.items()):
        if not name.startswith("_") and name not in before:
            first = value[0] if type(value) in (list, tuple) and value else value
            if outlook.is_task(first):
                yield Offer(name, "task" if first is value else "tasks")


def _next(parser: argparse.ArgumentParser, count: int) -> argparse.Action | None:
    """Give the argument that stands behind so many others, None if no more can."""
    places = [action for action in parser._actions if not action.option_strings]
    if count < len(places):
        return places[count]
    return places[-1] if places and places[-1].nargs in ("*", "+") else None


def _positionals(given: Sequence[str], options: Mapping[str, argparse.Action]) -> list[str]:
    """Give the words that are neither options nor what belongs to one."""
    found, skip = [], False
    for word in given:
        if skip:
            skip = False
        elif word in options:
            skip = options[word].nargs != 0
        elif not word.startswith("-"):
            found.append(word)
    return found


def _values(
    verb: str,
    dest: str,
    action: argparse.Action,
    experiment: Any,
    before: Sequence[str],
) -> Iterator[Offer]:
    """Give what an argument could be, by its name."""
    if action.choices is not None:
        yield from (Offer(str(choice), dest) for choice in action.choices)
    elif dest == "state":
        yield from (Offer(state.value, "state") for state in JobState)
    elif verb == "start" and dest == "name":
        yield from _experiments(before)
    if experiment is None:
        return
    jobs = experiment.view().jobs
    if dest in ("id", "ids", "a", "b"):
        yield from _identifiers(jobs, _FITTING.get(verb), before)
    elif dest == "task":
        yield from (Offer(shlex.quote(name), "task") for name in tasks(jobs))
    elif dest == "tag":
        yield from (Offer(shlex.quote(f"{n}={v}"), "tag") for n, v in tags(jobs))
    elif dest == "over":
        names = dict.fromkeys(name for name, _ in tags(jobs))
        yield from (Offer(shlex.quote(name), "tag") for name in names)
    elif dest == "metrics":
        names = dict.fromkeys(name for job in jobs for name, _ in job.metrics)
        yield from (Offer(shlex.quote(n), "metric") for n in names if n not in before)


_FITTING = {
    "cancel": lambda state: not state.final,
    "retry": lambda state: state is JobState.ERROR,
    "rerun": lambda state: state.final,
}


def _identifiers(jobs: Sequence[JobView], fits: Any, before: Sequence[str]) -> Iterator[Offer]:
    for job in jobs:
        digits = job.identifier[:DIGITS]
        if (fits is None or fits(job.state)) and digits not in before:
            yield Offer(digits, name_of(job))


def name_of(job: JobView) -> str:
    """Name a job by its task and tags: ``Train lr=0.1 model=svc``."""
    given = [f"{clean(name, 40)}={clean(value, 40)}" for name, value in job.tags[:6]]
    return " ".join([clean(job.task, 60), *given])


def tasks(jobs: Iterable[JobView]) -> list[str]:
    """Give the names of the tasks of jobs."""
    return list(dict.fromkeys(job.task for job in jobs))


def tags(jobs: Iterable[JobView]) -> list[tuple[str, str]]:
    """Give the tags that jobs have, each value once."""
    return list(dict.fromkeys(tag for job in jobs for tag in job.tags))


def _experiments(before: Sequence[str]) -> Iterator[Offer]:
    """Name the experiments of the workspace that `before` names, or of the default one."""
    given = None
    for option in ("-w", "--workspace"):
        if option in before[:-1]:
            given = before[before.index(option) + 1]
    try:
        found = Workspace(workspace_root(given)).experiments()
    except (OSError, ValueError):  # a directory that cannot be read offers nothing
        return
    yield from (Offer(shlex.quote(paths.name), "experiment") for paths in found)
