"""Options that hold several names: given once with commas between them, or several times."""

from __future__ import annotations

from typing import Any

from pydantic import BeforeValidator


def _apart(names: Any) -> Any:
    """`--by day,model` and `--by day --by model` say the same; each name counts once."""
    given = [names] if isinstance(names, str) else names
    if not isinstance(given, list | tuple) or not all(isinstance(each, str) for each in given):
        return names
    return tuple(dict.fromkeys(name.strip() for each in given for name in each.split(",") if name.strip()))


COMMAS = BeforeValidator(_apart)
"""For the annotation of a tuple of names."""
