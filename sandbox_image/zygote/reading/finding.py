"""Finds the table in a text: its dialect, its first line, its last one, and the lines between that are none of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sandbox_image.zygote.reading.dialect import BLANKS, Dialect, Line, read_rows, sniff
from sandbox_image.zygote.reading.encodings import Text
from sandbox_image.zygote.reading.footer import TAIL_LINES, find_footer
from sandbox_image.zygote.reading.layout import Layout, comment_prefix, lay_out, separator_line
from sandbox_image.zygote.reading.records import LINE_END, Body
from sandbox_image.zygote.reading.refusals import LoadError, check_text
from sandbox_image.zygote.reading.rules import Rules

_SAMPLE_BYTES: Final = 256 * 1024
_MOST_BYTES: Final = 16 * 1024**2
"""Of a file with long lines, so much is looked at to find out how it is written."""
_FEWEST_LINES: Final = 4
_DOUBLED: Final = ("::", "||", "~~", "^^", "@@", "##", "$$", "%%", "&&")
_UNIT: Final = "\x1f"


@dataclass
class Found:
    """A table within a text, and what was said on the way."""

    dialect: Dialect
    delimiter: str
    """As it is told: the dialect's, but for one of several signs."""
    layout: Layout
    body: Body
    notes: list[str] = field(default_factory=list)
    footer_notes: tuple[str, ...] = ()


def find(text: Text, rules: Rules, max_columns: int) -> Found:
    """Find the table.

    Raises:
        LoadError: There is none, or it has too many columns, or a rule does not fit.
    """
    lines, complete = _first_lines(text)
    if rules.delimiter is None and rules.header_line is None:
        check_text("\n".join(line.text for line in lines) or _beginning(text))
    if not lines and not complete:
        most = _MOST_BYTES // 1024**2
        raise LoadError("other", f"The file's first line is longer than {most} MB, so it holds no names of columns.")
    notes: list[str] = []
    text, lines, doubled = _single(text, lines, rules)
    if doubled:
        notes.append(f"Fields are separated by {doubled!r}.")
    rules, lines = _without_separator(rules, lines, notes)
    lines = [line for line in lines if line.number not in rules.skip_lines]
    prefix = comment_prefix(lines, rules)
    comments = _comments(lines, prefix, rules)
    numbers = {line.number for line in comments}
    kept = [line for line in lines if line.number not in numbers] if comments else lines
    if not any(line.text.strip() for line in kept):
        raise LoadError("empty", "The file holds nothing but comments and lines that are left out.")
    if rules.delimiter and not _stands_in(rules.delimiter, kept):
        raise LoadError(
            "rules", f"The delimiter {rules.delimiter!r} (--delimiter) stands nowhere in the file's first lines."
        )
    dialect = _given(sniff(_from_header(kept, rules), rules), rules)
    _check_width(kept, dialect, rules, max_columns)
    leading = _leading(comments, kept)
    layout = lay_out(_whole(kept, complete), leading, dialect, rules, complete=complete)
    if len(layout.names) > max_columns:
        raise _too_many(len(layout.names), max_columns)
    if len(layout.names) == 1 and rules.delimiter is None:
        notes.append("No delimiter was found, so the file was read as one column; --delimiter names one.")
    if rules.quote is None:
        _check_quotes(kept, dialect, notes)
    if dialect.delimiter == BLANKS:
        notes.append("Columns are separated by blanks.")
    elif dialect.skip_blanks:
        notes.append("Blanks between delimiters and values were left out.")
    start = _place_of(text, layout.first_line)
    end, footer_notes = _end(text, start, layout, dialect, rules, kept)
    body = _body(text, start, end, layout, dialect, rules, prefix)
    told = doubled or dialect.delimiter
    return Found(dialect, told, layout, body, notes, footer_notes)


def _stands_in(delimiter: str, lines: Sequence[Line]) -> bool:
    if delimiter == BLANKS:
        return any(re.search(r"\S[ \t]+\S", line.text) for line in lines)
    return any(delimiter in line.text for line in lines)


def _beginning(text: Text) -> str:
    """Of a first line that does not end, as much as tells the format."""
    return bytes(text.data[text.start : min(text.end, text.start + _SAMPLE_BYTES)]).decode("utf-8", "replace")


def _first_lines(text: Text) -> tuple[list[Line], bool]:
    """The first lines, and whether they are all; none where the first one does not end within what is looked at."""
    size = _SAMPLE_BYTES
    while True:
        end = min(text.end, text.start + size)
        raw = text.data[text.start : end]
        complete = end >= text.end
        ends = [each.end() for each in LINE_END.finditer(raw)]
        if complete or len(ends) >= _FEWEST_LINES or size >= _MOST_BYTES:
            break
        size *= 4
    if not complete:
        # A line end at the edge may be half of one.
        raw = raw[: ends[max(0, len(ends) - 2)] if ends else 0]
    parts = re.split(r"\r\n|\n|\r", raw.decode("utf-8", "replace"))
    if parts and parts[-1] == "":
        parts.pop()
    return [Line(at, part) for at, part in enumerate(parts, start=1)], complete


def _whole(lines: Sequence[Line], complete: bool) -> Sequence[Line]:
    return lines if complete or len(lines) < 8 else lines[:-1]


def _single(text: Text, lines: list[Line], rules: Rules) -> tuple[Text, list[Line], str]:
    """Where two signs separate fields, one takes their place."""
    if rules.delimiter is not None:
        return text, lines, ""
    filled = [line.text for line in lines if line.text.strip()][:50]
    for mark in _DOUBLED:
        counts = {each.count(mark) for each in filled}
        if len(filled) > 1 and len(counts) == 1 and counts != {0} and all(
            each.replace(mark, "").count(mark[0]) == 0 for each in filled
        ):  # fmt: skip
            data = bytes(text.data[text.start : text.end])
            if _UNIT.encode() in data:
                return text, lines, ""
            data = data.replace(mark.encode(), _UNIT.encode())
            lines = [Line(number, each.replace(mark, _UNIT)) for number, each in lines]
            return replace(text, data=data, start=0, end=len(data)), lines, mark
    return text, lines, ""


def _without_separator(rules: Rules, lines: list[Line], notes: list[str]) -> tuple[Rules, list[Line]]:
    named = separator_line(lines)
    if named is None:
        return rules, lines
    notes.append(f"The first line names the delimiter ({lines[0].text.strip()!r}) and was left out.")
    return (replace(rules, delimiter=named) if rules.delimiter is None else rules), lines[1:]


def _comments(lines: Sequence[Line], prefix: str, rules: Rules) -> list[Line]:
    """Lines that are comments; one within a field in quotation marks is none."""
    found: list[Line] = []
    within = False
    quote = '"' if rules.quote is None else rules.quote
    for line in lines if prefix else ():
        if not within and line.text.startswith(prefix):
            found.append(line)
        elif quote and line.text.count(quote) % 2:
            within = not within
    return found


def _from_header(lines: Sequence[Line], rules: Rules) -> Sequence[Line]:
    if not rules.header_line:
        return lines
    return [line for line in lines if line.number >= rules.header_line] or lines


def _given(dialect: Dialect, rules: Rules) -> Dialect:
    delimiter = dialect.delimiter if rules.delimiter is None else rules.delimiter
    return replace(dialect, delimiter=delimiter, skip_blanks=dialect.skip_blanks or delimiter == BLANKS)


def _check_quotes(lines: Sequence[Line], dialect: Dialect, notes: list[str]) -> None:
    """Marks that stand around some fields cannot mean nothing for the others."""
    if dialect.quote == "":
        whole = [
            line for line in lines if re.fullmatch(r'"[^"]*"', line.text.strip()) and dialect.delimiter in line.text
        ]
        if dialect.delimiter and whole:
            raise LoadError(
                "quote",
                f"Quotation marks enclose whole lines, the first of them line {whole[0].number}, in place of single "
                "fields: take them away.",
            )
        for row in read_rows(lines, dialect):
            if any(cell.startswith('"') for cell in row.fields):
                raise LoadError(
                    "quote",
                    f"The quotation mark that opens a field in line {row.line} is never closed, or closes before the "
                    "field ends: mend it, or say --quote '' where quotation marks enclose nothing.",
                    helps=True,
                )
    elif dialect.quote != '"':
        notes.append(f"Fields are enclosed in {dialect.quote} signs; --quote names another.")
    if dialect.escape:
        notes.append(f"A {dialect.escape} takes the meaning from the sign after it; --escape '' keeps it.")


def _check_width(lines: Sequence[Line], dialect: Dialect, rules: Rules, max_columns: int) -> None:
    rows = read_rows(_from_header(lines, rules)[:50], dialect)
    widest = max((len(row.fields) for row in rows[:2]), default=0)
    if widest > max_columns:
        raise _too_many(widest, max_columns)


def _too_many(count: int, most: int) -> LoadError:
    return LoadError("too_many_columns", f"The file has {count:,} columns; at most {most:,} are allowed.")


def _leading(comments: Sequence[Line], kept: Sequence[Line]) -> list[Line]:
    first = next((line.number for line in kept if line.text.strip()), 0)
    return [line for line in comments if line.number < first]


def _place_of(text: Text, number: int) -> int:
    """Where a line begins."""
    at = text.start
    for line, each in enumerate(LINE_END.finditer(text.data, text.start, text.end), start=2):
        if line > number:
            break
        at = each.end()
    return text.start if number <= 1 else at


def _end(
    text: Text, start: int, layout: Layout, dialect: Dialect, rules: Rules, head: Sequence[Line]
) -> tuple[int, tuple[str, ...]]:
    """Where the table ends, without the lines after it."""
    floor = max(start, text.end - 64 * 1024)
    raw = text.data[floor : text.end]
    places = [0, *(each.end() for each in LINE_END.finditer(raw))]
    if places[-1] >= len(raw) > 0:
        places.pop()
    if floor > start:
        places = places[1:]
    if not places:
        # The last line is longer than any remark.
        return text.end, ()
    places = places[-max(TAIL_LINES, (rules.footer_lines or 0) + TAIL_LINES) :]
    stops = [*places[1:], len(raw)]
    tail = [
        Line(at, raw[begin:stop].decode("utf-8", "replace").rstrip("\r\n"))
        for at, (begin, stop) in enumerate(zip(places, stops, strict=True))
    ]
    rows = read_rows([line for line in head if line.number >= layout.first_line], dialect)
    footer = find_footer(tail, layout, dialect, rules, rows)
    if not footer.lines:
        return text.end, footer.notes
    return floor + places[len(tail) - footer.lines], footer.notes


def _body(text: Text, start: int, end: int, layout: Layout, dialect: Dialect, rules: Rules, prefix: str) -> Body:
    body = _without_lines(Body(memoryview(text.data)[start:end], layout.first_line), rules)
    if prefix:
        body = _without_comments(body, layout, dialect, rules, prefix)
    if dialect.delimiter == BLANKS:
        bare = re.sub(rb"(?m)^[ \t]+|(?<![ \t])[ \t]+(?=\r?$)", b"", bytes(body.data)).replace(b"\t", b" ")
        body = replace(body, data=memoryview(bare))
    if not bytes(body.data[:4096]).strip() and not bytes(body.data).strip():
        raise LoadError("empty", "The file has a header line but no rows.")
    return body


def _without_lines(body: Body, rules: Rules) -> Body:
    """The rows without the lines that the user named."""
    named = sorted({number for number in rules.skip_lines if number >= body.first_line})
    if not named:
        return body
    return Body(_cut(body.data, {number - body.first_line for number in named}), body.first_line, tuple(named))


def _without_comments(body: Body, layout: Layout, dialect: Dialect, rules: Rules, prefix: str) -> Body:
    """The rows without comments; marks in comments enclose nothing, and what stands within a field is no comment."""
    sign, mark = re.escape(prefix.encode()), dialect.quote.encode()
    # The sign comes first, since it is rare.
    wanted = re.compile(sign + rb"(?:(?<=\A" + sign + rb")|(?<=[\r\n]" + sign + rb"))[^\r\n]*")
    found: set[int] = set()
    at, before, marks = 0, 0, 0
    for each in wanted.finditer(body.data):
        passed = body.data[before : each.start()]
        at += sum(1 for _ in LINE_END.finditer(passed))
        marks += bytes(passed).count(mark) if mark else 0
        before = each.start()
        if marks % 2:
            continue
        before = each.end()
        rows = read_rows([Line(body.line(at), each[0].decode("utf-8", "replace"))], dialect)
        if rules.comment is None and len(layout.names) > 1 and rows and len(rows[0].fields) == len(layout.names):
            raise LoadError(
                "rules",
                f"Line {body.line(at)} begins with {prefix!r} as the comments do, but looks like a row: say --comment "
                f"'{prefix}' to leave such lines out, or --comment '' to keep them.",
                helps=True,
            )
        found.add(at)
    if not found:
        return body
    removed = sorted({*body.removed, *map(body.line, found)})
    return Body(_cut(body.data, found), body.first_line, tuple(removed))


def _cut(view: memoryview, gone: Collection[int]) -> memoryview:
    """The text without some of its lines, counted from 0."""
    begins = [0, *(each.end() for each in LINE_END.finditer(view))]
    stops = [*begins[1:], len(view)]
    return memoryview(
        b"".join(bytes(view[a:b]) for at, (a, b) in enumerate(zip(begins, stops, strict=True)) if at not in gone)
    )
