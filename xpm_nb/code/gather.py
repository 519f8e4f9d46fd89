"""Everything that some classes need, in an order in which it can be executed.

From each statement the names it reads lead to live objects, and these to the statements that made
them. A name that leads to something no statement can make again is run-time state: an error.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any

from xpm_nb.code import changes, finding, former, own, pickled, versions
from xpm_nb.code.binding import DEFINITIONS, Meaning, refusal
from xpm_nb.code.cells import Cells, Statement, functions_in
from xpm_nb.code.drift import Refused
from xpm_nb.code.origin import Origins
from xpm_nb.code.pieces import Piece, in_order
from xpm_nb.code.submitting import without_hooks
from xpm_nb.errors import CarrierError

# What every module has of its own.
_MODULE_NAMES = frozenset(
    str.split(
        "__name__ __doc__ __package__ __spec__ __loader__ __file__ __builtins__ __annotations__"
        " __conditional_annotations__ __debug__"
    )
)


class Gathering:
    """Collects the pieces that classes of ``__main__`` need.

    Parameters
    ----------
    cells, origins
        Where statements are found.
    space
        The globals of ``__main__``.
    whole
        Whether classes keep their submit hooks, which no job needs.
    """

    def __init__(
        self, cells: Cells, origins: Origins, space: Mapping[str, Any], *, whole: bool = False
    ) -> None:
        self._whole = whole
        self.cells = cells
        self.origins = origins
        self._space = space
        self._pieces: dict[str, Piece] = {}
        self._open: list[Piece] = []
        self._meanings: dict[str, list[Piece]] = {}  # what each global name has to stand for
        self._spaces: dict[str, Mapping[str, Any]] = {}  # where it was looked up
        self._classes: tuple[type, ...] = ()
        self._pickled: dict[str, Piece] = {}
        self._looked_into: set[type] = set()
        self._looked_at: list[object] = []  # definitions that may have been changed since
        # The live objects that each definition has made, with what has changed them.
        self._objects: dict[Piece, list[tuple[object, changes.Changed]]] = {}
        self._finding = finding.Finding(self)
        self.left: list[own.Left] = []  # what no statement has made as it is
        self._anew: list[own.Left] = []  # those among them that begin anew in a job
        self._given: dict[str, type] = {}  # the classes of configurations, by their names
        self._made: dict[type, Piece] = {}  # the classes that they define
        self._asks_for_subclasses = False
        self.unknown: dict[type, str] = {}  # what is pickled, and why its source is not to be had

    def add(self, classes: Iterable[type]) -> None:
        """Add classes of ``__main__`` with all that they need.

        Raises
        ------
        CarrierError
            Naming cell, variable and the way out, when something cannot be carried.
        """
        self._classes = tuple(classes)
        for cls in self._classes:
            if pickled.asks(cls) and (reason := self._obstacle(cls)):
                self.unknown[cls] = reason
        for cls in self._classes:
            self._add_class(cls)
        self._drain()
        self._settle()
        pieces = self._pieces.values()
        versions.check(pieces, self._meanings, self.cells, self.origins)
        former.check(pieces, self._given, self.origins)

    def _drain(self) -> None:
        """Find what all pieces need, and what these need in turn."""
        while self._open:
            self._expand(self._open.pop())
            if not self._open and self._asks_for_subclasses:
                self._add_subclasses()

    def _add_subclasses(self) -> None:
        """Add the classes of now that are derived from those that are carried."""
        for cls, piece in list(self._made.items()):
            for derived in _derived_from(cls):
                name = derived.__qualname__
                if derived in self._made or piece.space.get(name) is not derived:
                    continue
                self._add_class(derived)
                piece.registered.append(self._made[derived])

    def _obstacle(self, cls: type) -> str:
        """Say why a class cannot be carried by its source, "" if it can."""
        trial = Gathering(self.cells, self.origins, self._space, whole=self._whole)
        try:
            trial._add_class(cls)
            trial._drain()
            trial._settle()
        except CarrierError as error:
            return str(error).partition(": ")[2]
        return ""

    def _add_class(self, cls: type) -> None:
        name = cls.__qualname__
        if cls in self.unknown:
            self._add_pickled(cls)
            return
        try:
            statement = self._class_statement(cls)
        except Refused as refused:
            raise CarrierError(
                f"{name} cannot be carried into a job: it is a class {refused.reason}. "
                f"{refused.way.format(name=name, root=name)}."
            ) from None
        if statement is None:
            where = self.origins.file_of(cls)
            if where == "<stdin>" or where.startswith("<python-input"):
                raise CarrierError(
                    f"{name} cannot be carried into a job: it was typed in, or read from standard "
                    "input, and its source is kept nowhere. Save it in a file or a notebook."
                )
            raise CarrierError(
                f"{name} cannot be carried into a job: its source is in no cell (made by exec(), "
                "type() or a tool of its own?). Write it as a class statement in a cell."
            )
        top = name.partition(".")[0]
        piece = self.piece(statement, self.space_of(cls, statement), name, cls)
        self._given.setdefault(top, cls)
        known = self._meanings.setdefault(top, [piece])
        if piece not in known:
            raise CarrierError(
                f"{name} cannot be carried into a job: two versions of it are used at once, that "
                f"of {known[0].place} and that of {piece.place}. Make the older configurations "
                "again."
            )

    def _add_pickled(self, cls: type) -> Piece:
        """Add a class whose source cannot be found, after those that it refers to by name."""
        # The name under which a job looks it up: see `runner`.
        top = cls.__qualname__.rpartition("<locals>.")[2]
        if "." in top:
            raise CarrierError(
                f"{cls.__qualname__} cannot be carried into a job: {self.unknown[cls]} Of a class "
                "inside another one, only the source can be carried."
            )
        if top not in self._pickled:
            known = {
                id(other): other.__qualname__
                for other in self._classes
                if other not in self.unknown and "<locals>" not in other.__qualname__
            }
            used: set[str] = set()
            text = pickled.lines(cls, top, self.unknown[cls], pickled.dump(cls, known, used))
            piece = Piece(cls.__qualname__, self._space, text=text, header="source unknown")
            piece.used.add(top)
            self._pickled[top] = self._pieces[text] = piece
            self._meanings[top] = [piece]
            by_name = {other.__qualname__: other for other in self._classes}
            for name in sorted(used):
                statement = self.origins.of_class(by_name[name])
                if statement is not None:
                    needed = self.piece(statement, self._space, cls.__qualname__, by_name[name])
                    piece.now[name.partition(".")[0]] = [needed]
        return self._pickled[top]

    def _class_statement(self, cls: type) -> Statement | None:
        """Give the statement that made a class, refused if it does more than define things."""
        statement = self.origins.of_class(cls)
        if statement is not None and not isinstance(statement.node, ast.ClassDef):
            name = cls.__qualname__.partition(".")[0]
            refused = refusal(Meaning(name, cls, self._space), statement, self.origins)
            if refused is not None:
                raise refused
        return statement

    def space_of(self, value: object, statement: Statement) -> Mapping[str, Any]:
        """Give the globals of a statement's functions: ``%run`` gives each script its own."""
        values = vars(value).values() if isinstance(value, type) else [value]
        for part in values:
            for function in functions_in(part):
                if statement.holds(function.__code__):
                    return function.__globals__
        return self._space

    def piece(
        self, statement: Statement, space: Mapping[str, Any], root: str, made: object = None
    ) -> Piece:
        """Give the piece of a statement, a new one or that which is known.

        Parameters
        ----------
        statement, space
            It, and the globals that its names stand for.
        root
            The class that needs it.
        made
            The live object that it has made, to be compared.

        Raises
        ------
        CarrierError
            The object is not what its statement makes, and nothing says why.
        """
        statement = statement if self._whole else without_hooks(statement, space)
        piece = self._pieces.get(statement.key)
        if piece is None:
            piece = self._pieces[statement.key] = Piece(root, space, statement)
            self._open.append(piece)
        self._add_changes(piece, made)
        if isinstance(made, type):
            self._made[made] = piece
            self._add_registered(piece, made)
            for base in _bases(made):
                known = piece.witnesses.setdefault(base.__name__, base)
                if known is not base and not self.origins.alike(known, base):
                    raise CarrierError(
                        f"{root} cannot be carried into a job: two versions of {base.__qualname__} "
                        f"are used at once, as bases of {made.__qualname__}. Make the older "
                        "configurations again."
                    )
        return piece

    def _add_changes(self, piece: Piece, made: object) -> None:
        """Add what other statements have done to a class or function; refuse what cannot be."""
        statement = piece.statement
        if statement is None or not isinstance(statement.node, DEFINITIONS) or made is None:
            return
        if any(made is other for other in self._looked_at):
            return
        self._looked_at.append(made)
        name, changed = statement.node.name, changes.Changed()
        if piece.space.get(name) is made:
            names = changes.names_of(name, made, piece.space)
            some = changes.of_all(self.cells, names, statement)
            alike = self.origins.alike
            try:
                changed = changes.of_definition(names, made, statement, some, piece.space, alike)
            except Refused as refused:
                raise self._needs(piece, name, refused) from None
        self._objects.setdefault(piece, []).append((made, changed))
        for change in (self.piece(s, piece.space, piece.root) for s in changed.statements):
            change.now[name] = [piece]
            piece.registered.append(change)
        differ = (
            self.origins.differences(made)
            if isinstance(made, type)
            else own.attributes_of(made, statement, piece.space)
        )
        for attribute, why in {**changed.unlike, **differ}.items():
            if attribute not in changed.attributes:
                error = self._needs(piece, name, why)
                self.left.append(own.Left(made, name, attribute, why, error))

    def _needs(self, piece: Piece, name: str, refused: Refused) -> CarrierError:
        needs = "it is a class" if name == piece.root else f"it needs `{name}`,"
        return CarrierError(
            f"{piece.root} cannot be carried into a job: {needs} {refused.reason}. "
            f"{refused.way.format(name=name, root=piece.root)}."
        )

    def _settle(self) -> None:
        """Refuse what nothing explains but functions, unless the job has these functions too."""
        for piece, objects in self._objects.items():
            for _, changed in objects if len(objects) > 1 else ():
                if changed.statements:
                    raise CarrierError(
                        f"{piece.root} cannot be carried into a job: two versions of what "
                        f"{piece.place} defines are needed at once, one of which "
                        f"{changed.statements[-1].place} has changed. Run the cells again that use "
                        "it."
                    )
        for left in self.left:
            if not own.begins_anew(left, self._pieces.values(), self._made):
                raise left.error
            self._anew.append(left)

    def _add_registered(self, piece: Piece, cls: type) -> None:
        """Add what other statements have put into containers of a class, to be told apart there.

        Executed again, they do so again: a decorator that registers, an ``__init_subclass__``.
        """
        if cls in self._looked_into:
            return
        self._looked_into.add(cls)
        own = f"{cls.__qualname__}."
        for name, value in vars(cls).items():
            if name.startswith("__") or type(value) not in (dict, list, set):
                continue
            for item in [*value, *(value.values() if isinstance(value, dict) else ())]:
                statement = self._finding.statement_of(item)
                if statement is None or item.__qualname__.startswith(own):
                    continue
                if statement.key != getattr(piece.statement, "key", None):
                    space = self.space_of(item, statement)
                    piece.registered.append(self.piece(statement, space, piece.root, item))

    def _expand(self, piece: Piece) -> None:
        """Find what a piece needs."""
        if piece.statement is None or isinstance(piece.statement.node, ast.Import | ast.ImportFrom):
            return
        reads = piece.statement.reads
        if "__subclasses__" in reads.attributes:
            self._asks_for_subclasses = True
        for name, line in reads.now.items():
            if name in piece.settled:
                continue
            found = self._base(piece, name, line) or self._resolve(piece, name, line)
            if found and name not in piece.settled:  # finding may have settled it
                piece.now[name] = found
        for name, line in reads.later.items():
            piece.later += self._resolve(piece, name, line)
        for name, line in reads.hints.items():
            # Text in an annotation may be just text.
            if name in reads.sure or _is_typelike(piece.space.get(name)):
                piece.later += self._resolve(piece, name, line)

    def _base(self, piece: Piece, name: str, line: int) -> list[Piece]:
        """Give the statement of a base class, whose name may mean something else by now."""
        witness = piece.witnesses.get(name)
        if witness is None:
            return []
        try:
            statement = self._class_statement(witness)
        except Refused as refused:
            raise self.error(piece, name, line, refused) from None
        if statement is None or name not in statement.binds:
            return []
        return [self.piece(statement, self.space_of(witness, statement), piece.root, witness)]

    def _resolve(self, piece: Piece, name: str, line: int) -> list[Piece]:
        """Give the pieces that make a global name mean what it means in the kernel."""
        if name in _MODULE_NAMES:
            return []
        try:
            if name in self._meanings:
                self._check_space(piece, name)
                return self._meanings[name]
            if name not in piece.space:
                finding.check_builtin(name)
                return []  # a name that nothing has yet: the job will say so, as the kernel would
            self._spaces[name] = piece.space
            found = self._finding.find(piece, name, piece.space[name])
        except Refused as refused:
            raise self.error(piece, name, line, refused) from None
        self._meanings[name] = found
        return found

    def _check_space(self, piece: Piece, name: str) -> None:
        """Refuse a name that means one thing here and another in a script that %run executed."""
        space = self._spaces.get(name, piece.space)
        if space is not piece.space and space.get(name) is not piece.space.get(name):
            raise Refused(
                "which means something else in another file that is needed too",
                "Give one of the two another name",
            )

    def error(self, piece: Piece, name: str, line: int, refused: Refused) -> CarrierError:
        """Say why a name that a piece reads cannot be carried."""
        assert piece.statement is not None
        place = piece.statement.cell.place(line)
        return CarrierError(
            f"{piece.root} cannot be carried into a job: {place} uses `{name}`, {refused.reason}. "
            f"{refused.way.format(name=name, root=piece.root)}."
        )

    def import_of(self, user: Piece, text: str) -> Piece:
        """Give the piece of an import that no statement has."""
        return self._pieces.setdefault(text, Piece(user.root, user.space, text=text))

    def pickled(self, value: Any) -> Piece | None:
        """Give the piece of a class that is pickled, None if it is not."""
        known = isinstance(value, type) and value in self.unknown
        return self._add_pickled(value) if known else None

    def doubts(self) -> Iterator[str]:
        """Say in what a job may come to something else than the notebook suggests."""
        yield from former.doubts(self._made, self._pieces.values(), self.origins)
        yield from filter(None, map(own.doubt, self._anew))
        carried = {p.statement.key for p in self._pieces.values() if p.statement is not None}
        others = [s for c in self.cells.all for s in c.statements() if s.key not in carried]
        for cls in self._made:
            yield from own.set_by_call(cls, self.origins.unsure(cls), others)

    def ordered(self) -> list[Piece]:
        """Give the pieces in an order in which they can be executed; raises as `in_order` does."""
        return in_order(self._pieces.values(), self._meanings)


def _derived_from(cls: type) -> list[type]:
    return list(type.__subclasses__(cls))


def _bases(cls: type) -> Iterator[type]:
    """Give what a class was made from: bases and metaclass, also those of classes inside it."""
    for base in (*cls.__bases__, type(cls)):
        if base.__module__ == "__main__":
            yield base
    for inner in vars(cls).values():
        if isinstance(inner, type) and inner.__qualname__.startswith(f"{cls.__qualname__}."):
            yield from _bases(inner)


def _is_typelike(value: Any) -> bool:
    """Tell whether a value may be meant by text in an annotation."""
    kinds = ("typing", "types", "typing_extensions", "xpm_nb.core.fields")
    return isinstance(value, type | ModuleType) or type(value).__module__ in kinds
