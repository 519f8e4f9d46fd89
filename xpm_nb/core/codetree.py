"""Two versions of the code of a task beside each other: what uses what, and what has changed."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from xpm_nb.core.views import CodeChange, CodeRow

AROUND = 2  # lines around a change that are shown


class Part(Protocol):
    """One piece of code; `store.records.CodePart` is one."""

    @property
    def kind(self) -> str:
        """``cell``, ``needed`` or ``module``."""

    @property
    def name(self) -> str:
        """What it defines."""

    @property
    def where(self) -> str:
        """Where it stands."""

    @property
    def source(self) -> str:
        """Its text."""

    @property
    def digest(self) -> str:
        """Equal for code that does the same."""

    @property
    def uses(self) -> tuple[int, ...]:
        """Numbers of the parts that it needs."""


def _key(part: Part) -> tuple[bool, str]:
    return part.kind == "module", part.name


def _says_something(part: Part) -> bool:
    """Tell whether a part is more than the import of something that is no part."""
    first = part.source.lstrip().partition(" ")[0]
    return part.kind == "module" or first not in ("import", "from")


def tree(parts: Sequence[Part], before: Sequence[Part], roots: Collection[str]) -> list[CodeRow]:
    """Give the parts as a tree, with a mark where one is not what it was.

    Parameters
    ----------
    parts
        As they are now.
    before
        As they were.
    roots
        Names of the classes that the tree begins with.

    Returns
    -------
    list[CodeRow]
        Each part once, at the first place where it is used. What is gone comes last.
    """
    old = {_key(part): part for part in before}
    rows: list[CodeRow] = []
    seen: set[int] = set()
    tops = [i for i, p in enumerate(parts) if any(n in roots for n in p.name.split(", "))]
    used = {n for part in parts for n in part.uses}
    tops += [i for i in range(len(parts)) if i not in used and i not in tops]
    stack = [(i, 0) for i in reversed(tops)]
    while stack:
        number, depth = stack.pop()
        if number in seen:
            continue
        seen.add(number)
        part = parts[number]
        if _says_something(part):
            was = old.get(_key(part))
            mark = "new" if was is None else "" if was.digest == part.digest else "changed"
            rows.append(CodeRow(depth, part.name, part.where, mark))
            depth += 1
        stack += [(n, depth) for n in reversed(part.uses)]
    now = {_key(part) for part in parts}
    gone = [part for key, part in old.items() if key not in now and _says_something(part)]
    return rows + [CodeRow(0, part.name, part.where, "gone") for part in gone]


def changes(parts: Sequence[Part], before: Sequence[Part]) -> list[CodeChange]:
    """Give the parts that do not do the same any more, old and new lines beside each other."""
    old = {_key(part): part for part in before}
    now = {_key(part): part for part in parts}
    found = []
    for key in dict.fromkeys([*now, *old]):
        left, right = old.get(key), now.get(key)
        if left is not None and right is not None and left.digest == right.digest:
            continue
        part = right or left
        assert part is not None
        if not (_says_something(part) or (left is not None and right is not None)):
            continue
        found.append(
            CodeChange(
                part.name,
                "" if left is None else left.where,
                "" if right is None else right.where,
                beside("" if left is None else left.source, "" if right is None else right.source),
            )
        )
    return found


def beside(old: str, new: str) -> tuple[tuple[str | None, str | None, bool], ...]:
    """Put the lines of two texts beside each other.

    Returns
    -------
    tuple
        ``(left, right, changed)`` for each row; None where a side has no line. Of what is equal, a
        few lines around each change; a row of two None between pieces that are apart.
    """
    left, right = old.rstrip("\n").split("\n"), new.rstrip("\n").split("\n")
    left, right = left if old else [], right if new else []
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    rows: list[tuple[str | None, str | None, bool]] = []
    for number, group in enumerate(matcher.get_grouped_opcodes(AROUND)):
        if number:
            rows.append((None, None, False))
        for tag, i1, i2, j1, j2 in group:
            rows += _rows(left[i1:i2], right[j1:j2], tag != "equal")
    return tuple(rows)


def _rows(
    left: Sequence[str], right: Sequence[str], changed: bool
) -> Iterable[tuple[str | None, str | None, bool]]:
    for i in range(max(len(left), len(right))):
        yield (
            left[i] if i < len(left) else None,
            right[i] if i < len(right) else None,
            changed,
        )
