"""The rules a user gives for reading a CSV file: what is not given, the sandbox finds out."""

from __future__ import annotations

import codecs
import hashlib
import re
from typing import Annotated, Any, Final, Literal, Self, get_args

from cyclopts import Parameter
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from blocks.errors import UserError
from blocks.frozen import Frozen

ColumnType = Literal["text", "integer", "number", "date", "boolean", "dmy", "mdy"]
_NAMED: Final = {
    "tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";", "colon": ":", "pipe": "|", "none": "",
}  # fmt: skip
"""Marks that are hard to type, by name."""
_SHOWN: Final = {"\t": "tab", " ": "space", "": "none"}
_PAIR = re.compile(rf"\s*(.+?)\s*=\s*({'|'.join(get_args(ColumnType))})\s*(?:,|$)", re.S)


def _fault(sentence: str) -> PydanticCustomError:
    return PydanticCustomError("reading_rule", "{sentence}", {"sentence": sentence})


def _named(value: Any) -> Any:
    found = _NAMED.get(value.lower(), value) if isinstance(value, str) else value
    if isinstance(found, str) and any(sign in found for sign in "\r\n\0"):
        raise _fault("a mark cannot be an end of line")
    return found


def _mark(value: Any) -> Any:
    found = _named(value)
    if isinstance(found, str) and len(found) > 1:
        raise _fault("a mark is one character, or one of the names tab, space, comma, semicolon, colon, pipe, none")
    return found


def _some(value: Any) -> Any:
    if value == "":
        raise _fault("there is always a decimal mark; leave the rule out where it is the point")
    return value


def _encoding(value: str | None) -> str | None:
    """The encoding by the name Python has for it: two spellings are one rule."""
    if value is None:
        return None
    try:
        found = codecs.lookup(value)
        # A codec that is no text encoding (base64, zip) refuses to decode to text.
        if not isinstance("".encode(value), bytes):
            raise LookupError
    except (LookupError, ValueError, TypeError):
        raise _fault("Python knows no text encoding of this name; such as utf-8, cp1252, cp1251, shift_jis") from None
    return found.name


def _numbers(value: Any) -> Any:
    """`2,15` and a list of both say the same."""
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        return value
    return [number for part in parts for number in (part.split(",") if isinstance(part, str) else [part]) if number]


def _pairs(value: Any) -> Any:
    """`plz=text,id=text`, as the command line gives it."""
    if not isinstance(value, str):
        return value
    at, pairs = 0, {}
    while at < len(value):
        found = _PAIR.match(value, at)
        if found is None:
            raise _fault(f"write NAME=TYPE, with commas between several; a type is {' | '.join(get_args(ColumnType))}")
        pairs[found[1]] = found[2]
        at = found.end()
    return pairs


def _words(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


# A hyphen may be a mark or a word that means a missing value.
_HYPHEN = Parameter(allow_leading_hyphen=True)
_Mark = Annotated[Annotated[str, Field(max_length=1)] | None, BeforeValidator(_mark), _HYPHEN]


MISSING_ANYWAY: Final = frozenset({
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL",
    "NaN", "None", "n/a", "nan", "null",
})  # fmt: skip
"""What pandas' `read_csv` reads as missing in every column."""


class ReadingRules(Frozen):
    """How a file is to be read; a rule that is not given is found out. In the sandbox: `zygote.reading.rules.Rules`."""

    encoding: Annotated[
        str | None, AfterValidator(_encoding), Field(description="encoding of the text, as utf-8 or cp1251")
    ] = None
    delimiter: Annotated[_Mark, Field(description="between fields, as ; or tab; none: there is one column")] = None
    quote: Annotated[_Mark, Field(description="around fields; none: quotation marks mean nothing")] = None
    escape: Annotated[_Mark, Field(description="takes the meaning from the next character; none: none does")] = None
    decimal: Annotated[_Mark, AfterValidator(_some), Field(description="decimal mark of numbers")] = None
    thousands: Annotated[_Mark, Field(description="mark between groups of three digits; none: there is none")] = None
    header_line: Annotated[
        int | None, Field(ge=0, description="number of the line with the column names, from 1; 0: there is none")
    ] = None
    skip_lines: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...],
        BeforeValidator(_numbers),
        AfterValidator(lambda value: tuple(sorted(set(value)))),
        Field(description="numbers of lines that are left out, from 1; commas may part them"),
        Parameter(negative=""),
    ] = ()
    footer_lines: Annotated[int | None, Field(ge=0, description="how many lines at the end are left out")] = None
    comment: Annotated[
        Annotated[str, Field(max_length=8)] | None,
        BeforeValidator(_named),
        Field(description="what a line begins with that is left out; none: no line is"),
        _HYPHEN,
    ] = None
    missing: Annotated[
        tuple[str, ...],
        BeforeValidator(_words),
        AfterValidator(lambda value: tuple(sorted(set(value)))),
        Field(description="further words that mean a missing value, as NA; commas may part them"),
        Parameter(negative="", allow_leading_hyphen=True),
    ] = ()
    types: Annotated[
        dict[str, ColumnType],
        BeforeValidator(_pairs),
        AfterValidator(lambda value: dict(sorted(value.items()))),
        Field(description="types of columns, as plz=text,id=text; text, integer, number, date or boolean"),
        Parameter(accepts_keys=False),
    ] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        for one, other in (("delimiter", "quote"), ("delimiter", "escape"), ("decimal", "thousands")):
            mark = getattr(self, one)
            if mark and mark == getattr(self, other):
                raise _fault(f"{one} and {other} cannot both be {_shown(mark)}")
        return self

    @property
    def given(self) -> bool:
        """Whether any rule is given."""
        return self != NO_RULES

    def over(self, others: ReadingRules) -> ReadingRules:
        """These rules and, where one of them is not given, that of the others.

        Raises:
            UserError: Together they make no sense.
        """
        try:
            return ReadingRules.model_validate({**others.given_rules(), **self.given_rules()})
        except ValidationError as error:
            raise UserError(f"The rules for reading do not fit together: {error.errors()[0]['msg']}.") from error

    def given_rules(self) -> dict[str, Any]:
        """The rules that are given, by name, as plain JSON."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def parts(self) -> list[Any]:
        """What the rules add to a content key: nothing where none is given, so that such keys stay what they are."""
        return [{"reading": self.given_rules()}] if self.given else []

    def content(self, sha256: str) -> str:
        """Identity of the table that a file becomes by these rules: the file's own digest where none is given.

        Args:
            sha256: Of the file.
        """
        if not self.given:
            return sha256
        return hashlib.sha256(f"{sha256}\0{self.model_dump_json(exclude_defaults=True)}".encode()).hexdigest()

    def words(self) -> tuple[str, ...]:
        """Each rule that is given, in plain words."""
        lines = ", ".join(map(str, self.skip_lines))
        told = {
            "encoding": f"encoding {self.encoding}",
            "delimiter": f"delimiter {_shown(self.delimiter)}",
            "quote": f"quotation mark {_shown(self.quote)}",
            "escape": f"escape character {_shown(self.escape)}",
            "decimal": f"decimal mark {_shown(self.decimal)}",
            "thousands": f"thousands mark {_shown(self.thousands)}",
            "header_line": f"column names on line {self.header_line}" if self.header_line else "no column names",
            "skip_lines": f"lines {lines} left out" if len(self.skip_lines) > 1 else f"line {lines} left out",
            "footer_lines": f"last {self.footer_lines} lines left out" if self.footer_lines else "no footer",
            "comment": f"lines that begin with {_shown(self.comment)} left out" if self.comment else "no comment lines",
            "missing": f"read as missing: {', '.join(map(_shown, self.missing))}",
            "types": f"types: {', '.join(f'{_shown(name)} {kind}' for name, kind in self.types.items())}",
        }
        return tuple(told[name] for name in self.given_rules())

    def sentence(self) -> str:
        """The rules that are given in one sentence; empty where none is.

        Words that pandas, unasked, reads as missing are not told: whoever reads the file with it sees the same.
        """
        words = self.model_copy(
            update={"missing": tuple(word for word in self.missing if word not in MISSING_ANYWAY)}
        ).words()
        return f"By the rules given: {'; '.join(words)}." if words else ""


NO_RULES: Final = ReadingRules()
"""Everything about a file is found out."""


def _shown(mark: str | None) -> str:
    return _SHOWN.get(mark, f'"{mark}"') if mark is not None else "none"
