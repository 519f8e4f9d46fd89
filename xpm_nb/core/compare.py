"""Where two configurations differ: only the places that do, in the order of the parameters.

What is compared are two dictionaries of `serial.dump` (or `serial.outline`), so that it works as
well for live configurations as for the params.json of jobs whose classes are gone.

Rule 1: configurations of one place are compared parameter by parameter, whatever their classes;
two that were compared once are not compared again, so that shared parts and loops come to an end.
Rule 2: values are the same if their types and bits are: 1 is not 1.0, and NaN is NaN.
Rule 3: nothing recurses, and no path gets long: a chain of 5,000 configurations goes through.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import replace
from itertools import zip_longest
from typing import Any, NamedTuple

from xpm_nb.core import doors
from xpm_nb.core.forms import MISSING
from xpm_nb.core.graph import identify
from xpm_nb.core.identifier import SCALARS
from xpm_nb.core.names import repr_of, shorten
from xpm_nb.core.nodes import info
from xpm_nb.core.serial import outline
from xpm_nb.core.views import MAX_ITEMS, MAX_LEVELS, DiffRow, DiffView
from xpm_nb.core.written import Items, Written, items
from xpm_nb.errors import ConfigError, NoExperimentError, UnsetError

WIDTH = 120  # characters of a value that are shown
BEFORE = 30  # of these, those before the first difference
READ = 1_000_000  # characters of a container that are looked through for a difference
LONGEST = 2**62  # a single text is looked through to its end
MAX_PAIRS = 100_000  # of configurations; two loops of many lengths make more than anyone reads
HEAD, TAIL = 4, 8  # steps of a path that are shown at its beginning and at its end


def diff(a: Mapping[str, Any], b: Mapping[str, Any]) -> DiffView:
    """Compare two dumped graphs.

    Parameters
    ----------
    a, b : Mapping
        What `serial.dump` gave, perhaps by way of JSON; damaged data gives fewer rows, no error.

    Returns
    -------
    DiffView
        ``diff(b, a)`` has the same rows with their sides exchanged.
    """
    return _Comparison(Written(a), Written(b)).view()


def between(a: Any, b: Any, namespace: str | None) -> DiffView:
    """Compare two live configurations, complete or not.

    Parameters
    ----------
    a, b : config
        What to compare.
    namespace : str or None
        That of the current experiment; without it, identifiers that need one are left out.
    """
    view = diff(outline(a, namespace), outline(b, namespace))
    return replace(view, left=_side(a, namespace), right=_side(b, namespace))


def _side(config: Any, namespace: str | None) -> tuple[str, str]:
    name = info(config).cls.__name__
    try:
        return name, identify(config, namespace).hex()
    except (ConfigError, UnsetError, NoExperimentError):
        return name, ""


class Diff:
    """The difference of two configurations: what ``a - b`` gives. It is false if there is none.

    Parameters
    ----------
    view : DiffView
        The difference as `diff` or `between` found it.
    """

    __slots__ = ("_view",)

    def __init__(self, view: DiffView) -> None:
        self._view = view

    def view(self) -> DiffView:
        """Give the difference as plain data."""
        return self._view

    @property
    def rows(self) -> tuple[DiffRow, ...]:
        """The places that differ."""
        return self._view.rows

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[DiffRow]:
        return iter(self.rows)

    def __repr__(self) -> str:
        left, right = (f"{name}({at[:8]})" for name, at in (self._view.left, self._view.right))
        many = f"{len(self) or 'no'} difference{'s' * (len(self) > 1)}"
        lines = [f"{row.path}: {row.left or '—'} -> {row.right or '—'}" for row in self.rows]
        return "\n  ".join([f"{left} - {right}: {many}", *lines])

    def __str__(self) -> str:
        return str(doors.renderer(self).get("text/plain") or repr(self))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        return doors.renderer(self)


def difference(left: Any, right: Any) -> Diff:
    """Give ``left - right``, in the current experiment's namespace."""
    return Diff(between(left, right, doors.submitter.namespace()))


# -- places


class _Place(NamedTuple):
    """How a value is reached."""

    above: _Place | None
    step: str
    depth: int
    head: str  # the first steps

    def to(self, step: str) -> _Place:
        depth = self.depth + 1
        return _Place(self, step, depth, self.head + step if depth <= HEAD else self.head)

    def text(self) -> str:
        if self.depth <= HEAD:
            return self.head.removeprefix(".").removeprefix(" ")
        steps: list[str] = []
        place: _Place | None = self
        while place is not None and place.depth > HEAD and len(steps) < TAIL:
            steps.append(place.step)
            place = place.above
        left_out = self.depth - HEAD - len(steps)
        between = f".… {left_out} more …" if left_out else ""
        return (self.head + between + "".join(reversed(steps))).removeprefix(".").removeprefix(" ")


_TOP = _Place(None, "", 0, "")


Numbers = tuple[int | None, int | None]


class _Pair(NamedTuple):
    """Two values to compare; one may be `MISSING`."""

    place: _Place
    values: tuple[Any, Any]
    hashed: tuple[bool, bool]  # the place counts in the identifier, on each side
    alone: int = 0  # levels since there has been one side only

    @property
    def one_sided(self) -> bool:
        return any(value is MISSING for value in self.values)


class _Comparison:
    """Two graphs, and what was found so far.

    Everything that is said of both sides is a pair: (left, right).
    """

    def __init__(self, a: Written, b: Written) -> None:
        self.sides = (a, b)
        self.rows: list[DiffRow] = []
        self.seen: set[Numbers] = set()
        self.pending: list[_Pair] = []

    def view(self) -> DiffView:
        """Compare everything."""
        roots = [_refer(w.root) for w in self.sides]
        self.pending = [_Pair(_TOP, (roots[0], roots[1]), (True, True))]
        while self.pending:
            pair = self.pending.pop()
            one, other = (w.reference(v) for w, v in zip(self.sides, pair.values, strict=True))
            if one is None and other is None:
                self.compare(pair)
            else:
                self.configs(pair, (one, other))
        if len(self.seen) >= MAX_PAIRS:
            self.rows.append(DiffRow("…", "…", "…"))
        left, right = (_name(w) for w in self.sides)
        return DiffView(left, right, tuple(self.rows))

    def compare(self, pair: _Pair) -> None:
        """Compare two values that are no configurations."""
        one, other = map(items, pair.values)
        if one is not None and other is not None and one.kind == other.kind:
            self.containers(pair, one, other)
        elif pair.one_sided and self.holds_configs(found := one or other) and found is not None:
            nothing = Items(found.kind, [])
            self.containers(pair, one or nothing, other or nothing)
        elif one is not None or other is not None or _differ(*pair.values):
            self.row(pair)

    def holds_configs(self, found: Items | None) -> bool:
        """Tell whether configurations are among the items of a container."""
        return found is not None and any(
            w.reference(item) is not None for _step, item in found.items for w in self.sides
        )

    # -- rows

    def row(self, pair: _Pair) -> None:
        """Add a row that shows two values."""
        left, right = (
            w.text(v, LONGEST if items(v) is None else READ)
            for w, v in zip(self.sides, pair.values, strict=True)
        )
        if left == right:
            left, right = map(_in_full, pair.values)
        self.add(pair, left, right)

    def add(self, pair: _Pair, left: str, right: str, *, type_only: bool = False) -> None:
        """Add a row with these texts; a missing value has none."""
        there = [value is not MISSING for value in pair.values]
        hashed = any(
            counts and not _is_path(value)
            for counts, value in zip(pair.hashed, pair.values, strict=True)
        )
        texts = _cut(left if there[0] else None, right if there[1] else None)
        self.rows.append(DiffRow(pair.place.text(), *texts, hashed, type_only))

    # -- configurations

    def configs(self, pair: _Pair, numbers: Numbers) -> None:
        """Compare two configurations, or one with something else."""
        whole = None not in numbers
        if numbers in self.seen or pair.alone > MAX_LEVELS or len(self.seen) >= MAX_PAIRS:
            if not whole:
                self.row(pair)
            return
        self.seen.add(numbers)
        metas = [None if n is None else w.meta(n) for w, n in zip(self.sides, numbers, strict=True)]
        if whole and metas[0] is not metas[1] and pair.place.depth:
            texts = [None if meta is None else str(meta) for meta in metas]
            place = pair.place.to(" (meta)").text()
            self.rows.append(DiffRow(place, texts[0], texts[1], any(pair.hashed)))
        counts = [h and meta is not True for h, meta in zip(pair.hashed, metas, strict=True)]
        pair = pair._replace(hashed=(counts[0], counts[1]), alone=0 if whole else pair.alone + 1)
        self.types(pair, numbers)
        below = [
            *self.parts(pair, numbers, " (made by)", _maker),
            *self.fields(pair, numbers),
            *self.parts(pair, numbers, " (init task {})", Written.init_tasks),
        ]
        self.pending.extend(reversed(below))

    def types(self, pair: _Pair, numbers: Numbers) -> None:
        """Add a row where the classes differ, or one side is no configuration."""
        both = list(zip(self.sides, numbers, strict=True))
        types = [None if n is None else w.type_name(n) for w, n in both]
        if types[0] == types[1]:
            return
        left, right = (
            w.text(value) if n is None else w.name(n)
            for (w, n), value in zip(both, pair.values, strict=True)
        )
        if left == right:
            left, right = map(str, types)
        if not pair.place.depth:
            pair = pair._replace(place=pair.place.to("(type)"))
        self.add(pair, left, right, type_only=True)

    def fields(self, pair: _Pair, numbers: Numbers) -> Iterator[_Pair]:
        """Give the pairs of values of two configurations, in the order of the parameters."""
        both = list(zip(self.sides, numbers, strict=True))
        one, other = ({} if n is None else w.fields(n) for w, n in both)
        for name in _in_order(one, other):
            marks = [
                None if n is None or name not in values else w.mark(n, name)
                for (w, n), values in zip(both, (one, other), strict=True)
            ]
            if any(mark is not None and mark.generated for mark in marks):
                continue  # where it lies tells one job from another, and nothing more
            counts = [
                inside and mark is not None and mark.hashed
                for inside, mark in zip(pair.hashed, marks, strict=True)
            ]
            yield pair._replace(
                place=pair.place.to(f".{name}"),
                values=(one.get(name, MISSING), other.get(name, MISSING)),
                hashed=(counts[0], counts[1]),
            )

    def parts(
        self, pair: _Pair, numbers: Numbers, step: str, find: Callable[[Written, int], list[int]]
    ) -> Iterator[_Pair]:
        """Give the pairs of what belongs to two configurations, and is no parameter."""
        one, other = (
            [] if n is None else find(w, n) for w, n in zip(self.sides, numbers, strict=True)
        )
        for index, (m, n) in enumerate(zip_longest(one, other)):
            place = pair.place.to(step.format(index))
            yield pair._replace(place=place, values=(_refer(m), _refer(n)))

    # -- containers

    def containers(self, pair: _Pair, one: Items, other: Items) -> None:
        """Compare the items of two containers; where many plain ones differ, show the whole."""
        pairs: list[_Pair] = []
        plain = 0
        for inner in self.items(pair, one, other):
            pairs.append(inner)
            plain += _plainly_differs(inner)
            if plain > MAX_ITEMS:
                self.row(pair)
                return
        self.pending.extend(reversed(pairs))

    def items(self, pair: _Pair, one: Items, other: Items) -> Iterator[_Pair]:
        """Give the pairs of items: by index or key; those of sets by themselves."""
        if one.kind in ("list", "tuple"):
            lists = ((item for _step, item in found.items) for found in (one, other))
            for index, values in enumerate(zip_longest(*lists, fillvalue=MISSING)):
                if not _surely_same(*values):  # of a million numbers, only those that matter
                    yield pair._replace(place=pair.place.to(f"[{index}]"), values=values)
            return
        left, right = (_keyed(w, found) for w, found in zip(self.sides, (one, other), strict=True))
        for token in _in_order(left, right):
            step, item = left.get(token) or ("", MISSING)
            their_step, their_item = right.get(token) or ("", MISSING)
            yield pair._replace(place=pair.place.to(step or their_step), values=(item, their_item))


def _refer(number: int | None) -> Any:
    return MISSING if number is None else {"type": "python", "value": number}


def _name(written: Written) -> tuple[str, str]:
    root = written.root
    return ("?", "") if root is None else (written.name(root), written.identifier(root))


def _maker(written: Written, number: int) -> list[int]:
    """Give the task that a configuration is an output of."""
    task = written.task(number)
    return [] if task is None or task == number else [task]


def _in_order(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> list[Any]:
    """Give the keys of both by where they stand, the same whichever of the two comes first.

    Where one lacks some keys of the other, the order is that of the other.
    """
    places: dict[Any, int] = {}
    for keys in (one, other):
        for place, key in enumerate(keys):
            places[key] = max(place, places.get(key, place))
    return sorted(places, key=lambda key: (places[key], str(key)))


def _keyed(written: Written, found: Items) -> dict[Any, tuple[str, Any]]:
    """Give the items of a dict or set by what finds their counterpart, with the step to them."""
    keyed: dict[Any, tuple[str, Any]] = {}
    for step, item in found.items:
        name = item if found.kind == "set" else step
        text = shorten(name) if type(name) is str else written.text(name, WIDTH)
        left, right = "{}" if found.kind == "set" else "[]"
        keyed[_hashable(written, name)] = f"{left}{text}{right}", item
    return keyed


# -- values


def _leaf(value: Any) -> Hashable:
    """Give what is equal for leaves that are the same: of one type, of one value."""
    if not isinstance(value, Mapping):
        return type(value).__name__, repr_of(value)
    return tuple(sorted((k, repr_of(v)) for k, v in value.items() if type(v) in (str, int)))


def _hashable(written: Written, value: Any) -> Hashable:
    """Give what is equal for elements of sets and for keys that are the same."""
    found: list[Hashable] = []
    pending = [value]
    while pending:
        part = pending.pop()
        number = written.reference(part)
        inner = items(part)
        if number is not None:
            found.append((written.type_name(number), written.identifier(number)))
        elif inner is not None:
            found.append((inner.kind, len(inner.items)))
            pending.extend(item for _step, item in inner.items)
        else:
            found.append(_leaf(part))
    return tuple(found)


def _differ(one: Any, other: Any) -> bool:
    return one is not other and _leaf(one) != _leaf(other)


def _surely_same(one: Any, other: Any) -> bool:
    """Tell at once of most equal numbers and texts that they are; zero has a sign."""
    return type(one) is type(other) and type(one) in SCALARS and one == other and one != 0


def _plainly_differs(pair: _Pair) -> bool:
    """Tell whether two items differ, both of them leaves (or not there)."""
    return _differ(*pair.values) and all(items(value) is None for value in pair.values)


def _is_path(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("type") == "path"


def _in_full(value: Any) -> str:
    """Write a value that looks like another one: an enum of another module, a path from elsewhere.

    Containers that differ too far behind to be read through look alike too.
    """
    if isinstance(value, Mapping) and items(value) is None:
        words = [value.get(key) for key in ("module", "enum", "base", "value", "bits")]
        return ":".join(word for word in words if isinstance(word, str))
    return f"(it differs behind the first {READ:,} characters)"


def _cut(left: str | None, right: str | None) -> tuple[str | None, str | None]:
    """Cut two texts to where they begin to differ."""
    if max(len(left or ""), len(right or "")) <= WIDTH:
        return left, right
    begin = 0
    if left is not None and right is not None:
        begin = max(0, len(_common(left, right)) - BEFORE)
    return _window(left, begin), _window(right, begin)


def _common(one: str, other: str) -> str:
    """Give what two texts begin with alike."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return one[:low]


def _window(text: str | None, begin: int) -> str | None:
    if text is None:
        return None
    end = begin + WIDTH
    return f"{'…' if begin else ''}{text[begin:end]}{'…' if len(text) > end else ''}"
