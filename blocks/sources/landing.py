"""A transfer's file while it grows: what is there, which version of the original it is a part of, and the cap."""

from __future__ import annotations

import json
from pathlib import Path

from blocks.sources.models import FetchLimits, too_large


class PartFile:
    """The `.part` of one transfer and, beside it, what is needed to go on with it later.

    Args:
        path: The part's file; the note lies beside it.
        what: The dataset, for refusals.
        limits: The cap.
    """

    def __init__(self, path: Path, what: str, limits: FetchLimits) -> None:
        self.path = path
        self._what = what
        self._limits = limits
        self._note = path.with_name(path.name + ".json")

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    def validator(self, what: str) -> str:
        """What the server called the version these bytes are of; empty: they cannot be gone on with."""
        if not self._note.exists() or self.size == 0:
            return ""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
        except ValueError:  # The process died while it wrote the note: the part is started anew.
            return ""
        return str(note.get("validator", "")) if note.get("of") == what else ""

    def begin(self, what: str, validator: str) -> None:
        """Start from nothing, for the version of that name."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._note.unlink(missing_ok=True)
        self.path.write_bytes(b"")
        if validator:
            self._note.write_text(json.dumps({"of": what, "validator": validator}), encoding="utf-8")

    def append(self, data: bytes) -> int:
        """Add bytes; return how many there are now.

        Raises:
            SourceRefused: They are more than the cap.
        """
        size = self.size + len(data)
        if size > self._limits.max_bytes:
            self.discard()
            raise too_large(self._what, None, self._limits)
        with self.path.open("ab") as out:
            out.write(data)
        return size

    def discard(self) -> None:
        """Forget the transfer."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self, target: Path) -> Path:
        """Give the whole file its name, in one step."""
        self.path.replace(target)
        self._note.unlink(missing_ok=True)
        return target
