"""Records of a newer Trigpoint: told apart from damaged ones, so that they are reported and left as they are."""

from __future__ import annotations

import re
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

FIELD = "schema_version"


def known_version(kind: type[BaseModel]) -> int:
    """The newest schema version of a kind of record that this code reads."""
    return max(get_args(kind.model_fields[FIELD].annotation), default=1)


def newer_version(data: Any, known: int) -> int | None:
    """The schema version of plain JSON data, where it is newer than the one known; None otherwise."""
    version = data.get(FIELD) if isinstance(data, dict) else None
    return version if isinstance(version, int) and version > known else None


def newer_in(error: ValidationError) -> int | None:
    """The schema version that a record was refused for, its own or that of a record in it; None: for something else."""
    for each in error.errors():
        if each["loc"][-1:] == (FIELD,):
            known = max(map(int, re.findall(r"\d+", each.get("ctx", {}).get("expected", ""))), default=1)
            if (version := newer_version({FIELD: each["input"]}, known)) is not None:
                return version
    return None


def newer_words(version: int) -> str:
    """How such a record is spoken of, after the words that name it."""
    return f"was written by a newer Trigpoint (schema version {version})"
