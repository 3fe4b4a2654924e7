"""The rules a user gives for reading a CSV file: what is not given, the sandbox finds out."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

from pydantic import Field

from blocks.frozen import Frozen

ColumnType = Literal["text", "integer", "number", "date", "boolean", "dmy", "mdy"]
_Mark = Annotated[str, Field(max_length=1)]


class ReadingRules(Frozen):
    """How a file is to be read; a rule that is not given is found out. In the sandbox: `zygote.rules.Rules`."""

    encoding: Annotated[str | None, Field(min_length=1, description="encoding, such as utf-8 or cp1251")] = None
    delimiter: Annotated[_Mark | None, Field(description="between fields; the empty text for a single column")] = None
    quote: Annotated[_Mark | None, Field(description="around fields; the empty text where quotes mean nothing")] = None
    escape: Annotated[_Mark | None, Field(description="takes the meaning from the next character")] = None
    decimal: Annotated[_Mark | None, Field(description="decimal mark of numbers")] = None
    thousands: Annotated[_Mark | None, Field(description="mark between groups of three digits")] = None
    header_line: Annotated[
        int | None, Field(ge=0, description="number of the line with the column names, from 1; 0: there is none")
    ] = None
    skip_lines: Annotated[tuple[int, ...], Field(description="numbers of lines that are left out, from 1")] = ()
    footer_lines: Annotated[int | None, Field(ge=0, description="lines at the end that are left out")] = None
    comment: Annotated[str | None, Field(max_length=8, description="what a line begins with that is left out")] = None
    missing: Annotated[tuple[str, ...], Field(description="further words that mean a missing value")] = ()
    types: dict[str, ColumnType] = Field(default_factory=dict, description="types of columns, by name")

    @property
    def given(self) -> bool:
        """Whether any rule is given."""
        return self != ReadingRules()

    def parts(self) -> list[Any]:
        """What the rules add to a content key: nothing where none is given, so that such keys stay what they are."""
        return [{"reading": self.model_dump(mode="json", exclude_defaults=True)}] if self.given else []

    def content(self, sha256: str) -> str:
        """Identity of the table that a file becomes by these rules: the file's own digest where none is given.

        Args:
            sha256: Of the file.
        """
        if not self.given:
            return sha256
        return hashlib.sha256(f"{sha256}\0{self.model_dump_json(exclude_defaults=True)}".encode()).hexdigest()
