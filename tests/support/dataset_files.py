"""Where a home keeps what belongs to a dataset: the files' names have digits of its key."""

from __future__ import annotations

import re
from pathlib import Path


def file_of(folder: Path, slug: str, ending: str = ".jsonl") -> Path:
    """The file of the one dataset of that name; where there is none yet, what an earlier release would call it."""
    name = re.compile(rf"{re.escape(slug)}-[0-9a-f]{{8}}{re.escape(ending)}")
    found = [path for path in folder.glob("*") if name.fullmatch(path.name)]
    assert len(found) <= 1, found
    return found[0] if found else folder / f"{slug}{ending}"
