"""What of the code of cells is as it was: the statement, and all that it uses."""

from __future__ import annotations

from xpm_nb.store.records import Code


def names(then: Code, now: Code) -> frozenset[str]:
    """Name what cells define and is the same in two codes, with all that it uses.

    Examples
    --------
    A class whose base class was edited is not the same, though its own text is.
    """
    before = {_mark(then, number) for number in _cells(then)}
    return frozenset(now.parts[n].name for n in _cells(now) if _mark(now, n) in before)


def _cells(code: Code) -> list[int]:
    return [n for n, part in enumerate(code.parts) if part.kind == "cell"]


def _mark(code: Code, number: int) -> tuple[str, frozenset[tuple[str, str]]]:
    """Give the name of a part, and the names and digests of it and of what it uses."""
    reached, pending = {number}, [number]
    while pending:
        new = set(code.parts[pending.pop()].uses) - reached
        reached |= new
        pending += new
    said = frozenset((code.parts[n].name, code.parts[n].digest) for n in reached)
    return code.parts[number].name, said
