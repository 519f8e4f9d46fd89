"""What the callbacks of a job say: filled by their thread, read by the loop."""

from __future__ import annotations

import threading

from xpm_nb.core.views import Said
from xpm_nb.store import files

SAID_ITEMS = 200  # how much of what its callbacks say is kept of one job, the latest
SAID_CHARS = 64 * 1024
ITEM_CHARS = 8 * 1024
IMAGE_CHARS = 256 * 1024  # of all images together


class Voice:
    """What callbacks of one job say: filled by their thread, read by the loop."""

    def __init__(self) -> None:
        self._items: list[Said] = []
        self._open = False  # what comes next may be the rest of the last item
        self._told = False  # the loop knows that there is something new
        self._guard = threading.Lock()

    def begin(self) -> None:
        """Take note that another callback begins."""
        self._open = False

    def say(self, said: Said) -> bool:
        """Add something; True if the loop is to be told. The kind "clear" forgets all before."""
        with self._guard:
            if said.kind == "clear":
                self._items.clear()
            else:
                self._add(said)
                self._shorten()
            told, self._told = self._told, True
            return not told

    @property
    def waits(self) -> bool:
        """Whether something was said that the loop has not heard."""
        return self._told

    def heard(self) -> tuple[Said, ...]:
        """Give what was said, for the loop."""
        with self._guard:
            self._told = False
            return tuple(self._items)

    def forget(self) -> None:
        """Forget what was said of an earlier attempt."""
        with self._guard:
            self._items.clear()

    def _add(self, said: Said) -> None:
        text = files.printable(said.text)
        streams = said.kind in ("out", "err")
        if self._items and self._open and streams and self._items[-1].kind == said.kind:
            text = self._items.pop().text + text
        if not streams:  # of a traceback, the end tells most
            text = text[-ITEM_CHARS:] if said.kind == "error" else text[:ITEM_CHARS]
        if len(said.image) > IMAGE_CHARS:
            said, text = said._replace(image=""), f"{text} (too large to be shown here)".strip()
        text = text[-SAID_CHARS:]
        for start in range(0, len(text) or 1, ITEM_CHARS):
            self._items.append(Said(said.kind, text[start : start + ITEM_CHARS], said.image))
        self._open = streams

    def _shorten(self) -> None:
        """Drop what was said first, if it is too much."""
        texts = images = 0
        for count, said in enumerate(reversed(self._items)):
            texts, images = texts + len(said.text), images + len(said.image)
            if count == SAID_ITEMS or texts > SAID_CHARS or images > IMAGE_CHARS:
                del self._items[: len(self._items) - count]
                return
