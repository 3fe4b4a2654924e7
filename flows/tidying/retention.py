"""What of a home's files may go: old logs, old results of tasks, files that a killed process left half-written.

Datasets, questions, episodes and exports are the product and never go. Logs and results do, by age and then by size,
the oldest first; but nothing that an unfinished run may need: what was touched since the oldest of them began stays.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from blocks.frozen import Frozen

Kind = Literal["logs", "results", "leftovers"]
DAY_S = 86_400
_LEFTOVER = re.compile(r"^\..+\.[a-z0-9_]{8}$|\.(?:new|part|tmp)$")


class Rule(Frozen):
    """How long and how much of a kind is kept."""

    days: Annotated[float, Field(ge=0, description="kept at least until this old")]
    gib: Annotated[
        float | None, Field(ge=0, description="of what is left, the oldest go above this; empty: no bound")
    ] = None


class Found(NamedTuple):
    """A file or folder that goes, or stays, as a whole.

    Attributes:
        kind: What it is.
        path: Where.
        bytes: How much it takes.
        touched: When it was last written, seconds since the epoch.
    """

    kind: Kind
    path: Path
    bytes: int
    touched: float


class Removal(NamedTuple):
    """What is to go, and why."""

    found: Found
    why: str


def look(home: Path) -> list[Found]:
    """Everything of a home that may ever go."""
    found = [*_children(home / "logs", "logs"), *_children(home / "results", "results")]
    return [*found, *_leftovers(home)]


def plan(
    found: Iterable[Found], rules: dict[Kind, Rule], *, now: float, keep_since: float | None = None
) -> list[Removal]:
    """What goes by the rules, oldest first.

    Args:
        found: What there is.
        rules: By kind; a kind without a rule stays.
        now: Seconds since the epoch.
        keep_since: When the oldest unfinished run began; what was touched since stays, whatever the rules say.
    """
    everything = sorted(found, key=lambda each: (each.touched, str(each.path)))
    removals: list[Removal] = []
    for kind, rule in rules.items():
        removals += _by_rule([each for each in everything if each.kind == kind], rule, now, keep_since)
    return sorted(removals, key=lambda removal: (removal.found.touched, str(removal.found.path)))


def remove(removal: Removal) -> bool:
    """Remove it; False where it is gone already, or was written to since it was found.

    Raises:
        OSError: It cannot be removed.
    """
    path = removal.found.path
    try:
        if measure(path).touched > removal.found.touched:
            return False
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        return False
    return True


def _by_rule(found: Sequence[Found], rule: Rule, now: float, keep_since: float | None) -> Iterator[Removal]:
    free = [each for each in found if keep_since is None or each.touched < keep_since]
    old = [each for each in free if now - each.touched > rule.days * DAY_S]
    for each in old:
        yield Removal(each, f"older than {rule.days:g} days" if each.kind != "leftovers" else "left half-written")
    if rule.gib is None:
        return
    above = sum(each.bytes for each in found) - sum(each.bytes for each in old) - rule.gib * 2**30
    for each in free[len(old) :]:
        if above <= 0:
            return
        above -= each.bytes
        yield Removal(each, f"all {each.kind} together take more than {rule.gib:g} GiB")


def _children(folder: Path, kind: Kind) -> Iterator[Found]:
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return _found(kind, (path for path in paths if not _LEFTOVER.search(path.name)))


def _leftovers(home: Path) -> Iterator[Found]:
    paths = sorted(Path(folder, name) for folder, _, names in os.walk(home) for name in names)
    return _found("leftovers", (path for path in paths if _LEFTOVER.search(path.name) and not path.is_symlink()))


def _found(kind: Kind, paths: Iterable[Path]) -> Iterator[Found]:
    for path in paths:
        with suppress(FileNotFoundError):  # It has gone since it was listed.
            measured = measure(path)
            yield Found(kind, path, measured.bytes, measured.touched)


class Measured(NamedTuple):
    """Of a file, or of a folder with all that is in it.

    Attributes:
        bytes: Of the files.
        touched: When any of it was last written, seconds since the epoch.
    """

    bytes: int
    touched: float


def measure(path: Path) -> Measured:
    """How much there is; what goes away meanwhile counts nothing.

    Raises:
        FileNotFoundError: The file or folder itself is gone.
    """
    own = path.lstat()
    if not stat.S_ISDIR(own.st_mode):
        return Measured(own.st_size, own.st_mtime)
    size, touched = 0, own.st_mtime
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            with suppress(FileNotFoundError):
                facts = Path(folder, name).lstat()
                size += 0 if stat.S_ISDIR(facts.st_mode) else facts.st_size
                touched = max(touched, facts.st_mtime)
    return Measured(size, touched)
