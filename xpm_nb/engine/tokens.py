"""Tokens as users hold them, and what of the kind is in a task: counts of the record of its job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from xpm_nb.core import config as configs
from xpm_nb.errors import ConfigError
from xpm_nb.store import records
from xpm_nb.store.layout import Workspace

T = TypeVar("T")


@dataclass(frozen=True)
class Token:
    """A counted resource of a workspace; made by ``xp.token("gpu", 2)``.

    Jobs that need units of it wait until there are enough, whichever kernel or experiment of the
    workspace they belong to. They have them as long as their process lives.

    Examples
    --------
    >>> gpu = xp.token("gpu", 2)  # doctest: +SKIP
    >>> gpu(1, Learn.C(lr=0.1)).submit()  # doctest: +SKIP
    """

    name: str
    workspace: Workspace
    count: int  # as it was asked for; `total` may have changed since

    def __repr__(self) -> str:
        return f"Token({self.name!r}, {self.total})"

    @property
    def total(self) -> int:
        """How many units there are by now: what was said last, in any kernel, counts."""
        found = records.read_token(self.workspace.token(self.name))
        return self.count if found is None else found.total

    def dependency(self, count: int = 1) -> TokenDependency:
        """Give what a task is to hold while it runs, for ``task.add_dependencies(…)``.

        Raises
        ------
        ConfigError
            The count is no whole number from 1 on.
        """
        return TokenDependency(self, checked_count(self.name, count))

    def __call__(self, count: int, task: T) -> T:
        """Have a task hold so many units while it runs, and give the task.

        Raises
        ------
        ConfigError
            The count is no whole number from 1 on, or the task was submitted already.
        """
        configs.add_dependencies(task, (self.dependency(count),))
        return task


@dataclass(frozen=True)
class TokenDependency:
    """So many units of a token, as something that a task needs; made by `Token.dependency`."""

    __xpm_dependency__: ClassVar[str] = "token"

    token: Token
    count: int = 1


def checked_count(name: str, count: Any) -> int:
    """Give a number of units back if it can be one.

    Raises
    ------
    ConfigError
        It is no whole number from 1 on.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigError(f"token {name!r}: a whole number from 1 on is needed, not {count!r}")
    return count


def counts_of(task: Any, workspace: Workspace) -> dict[str, int]:
    """Give how many units of which token a task was given, by the token's name.

    Raises
    ------
    ConfigError
        A token is one of another workspace.
    """
    found: dict[str, int] = {}
    for needed in configs.added_dependencies(task):
        if isinstance(needed, TokenDependency):
            token = needed.token
            if token.workspace != workspace:
                raise ConfigError(
                    f"token {token.name!r} counts in the workspace {token.workspace.root}, and "
                    f"{_name(task)} goes to {workspace.root}: take xp.token(…) of its experiment"
                )
            found[token.name] = found.get(token.name, 0) + needed.count
    return found


def check_totals(task: Any, workspace: Workspace) -> None:
    """Refuse a task that asks for more than there is.

    Raises
    ------
    ConfigError
        Naming the token, how much is asked for, and how much there is.
    """
    totals = {
        needed.token.name: needed.token.total
        for needed in configs.added_dependencies(task)
        if isinstance(needed, TokenDependency)
    }
    for name, asked in counts_of(task, workspace).items():
        if asked > totals[name]:
            raise ConfigError(
                f"{_name(task)} asks for {asked} of token {name!r}, of which there are "
                f"{totals[name]} in all: ask for less, or say xp.token({name!r}, {asked})"
            )


def added_tasks(task: Any) -> Sequence[Any]:
    """Give the jobs, tasks and outputs that a task was told to wait for."""
    return [d for d in configs.added_dependencies(task) if not isinstance(d, TokenDependency)]


def _name(task: Any) -> str:
    return configs.declared_class(task).__qualname__
