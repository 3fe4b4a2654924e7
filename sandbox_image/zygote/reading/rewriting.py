"""Reads a table record by record, where it is written in an unusual way, and writes it anew in the usual one."""

from __future__ import annotations

import csv
import io
import re
from array import array
from collections.abc import Iterator
from typing import Final

from sandbox_image.zygote.reading.cells import kind
from sandbox_image.zygote.reading.dialect import Dialect, large_fields
from sandbox_image.zygote.reading.layout import Layout
from sandbox_image.zygote.reading.naming import several
from sandbox_image.zygote.reading.records import Body, Structure, look_like_rows, ragged, swallowed
from sandbox_image.zygote.reading.refusals import LoadError

_MOST_SHORT: Final = 0.2


class Rewriting:
    """Reads a table record by record, and writes it in the usual way."""

    def __init__(self, body: Body, dialect: Dialect, layout: Layout, width: int) -> None:
        self.body = body
        self.dialect = dialect
        self.layout = layout
        self.width = width
        self.lines = array("q")
        self.short: list[int] = []
        self.broken = 0
        self.empty = 0
        self.loose_quotes = False

    def run(self) -> Structure:
        """Read all records.

        Raises:
            LoadError: One does not fit, or a quotation mark is not closed.
        """
        text = bytes(self.body.data).decode("utf-8", "replace")
        with large_fields():
            try:
                out = self._write(text, strict=True)
            except csv.Error as error:
                out = self._again(text, str(error))
        structure = Structure(
            memoryview(out.encode("utf-8")), ",", '"', self.width, rows=len(self.lines), lines=self.lines
        )
        structure.as_text = set(range(self.width))
        if self.broken:
            structure.notes.append(
                f"{several(self.broken, 'record')} {'spans' if self.broken == 1 else 'span'} several lines: a field in "
                "quotation marks holds line breaks."
            )
        if self.loose_quotes:
            structure.notes.append("Some quotation marks stand within fields; they were kept as they could be read.")
        if self.empty and self.width > 1:
            structure.notes.append(f"{several(self.empty, 'empty line')} left out.")
        if self.short:
            self._judge_short(structure)
        return structure

    def _again(self, text: str, why: str) -> str:
        """Once more, less strictly: harmless only while no record spans lines."""
        line = self.body.line(self.reached)
        if "unexpected end" in why:
            raise LoadError(
                "quote",
                f"The quotation mark that opens in line {self.body.line(self.began)} is never closed: mend it, or say "
                "--quote '' where quotation marks enclose nothing.",
                helps=True,
            )
        self.lines, self.short, self.broken, self.empty = array("q"), [], 0, 0
        out = self._write(text, strict=False)
        if self.broken:
            raise LoadError(
                "quote",
                f"A quotation mark in line {line} closes within a field, and others swallow line ends: mend it, or say "
                "--quote '' where quotation marks enclose nothing.",
                helps=True,
            )
        self.loose_quotes = True
        return out

    def _write(self, text: str, *, strict: bool) -> str:
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\n")
        self.reached = self.began = 0
        before = 0
        for fields, done in self._records(text, strict=strict):
            self.began, spanned = before, done - before
            begin, before = before, done
            if not fields or (len(fields) == 1 and not fields[0].strip()):
                self.empty += 1
                continue
            if spanned > 1:
                self._check_span(fields, begin, spanned)
                self.broken += 1
            if self.dialect.skip_blanks:
                fields = [field.strip(" ") for field in fields]
            if len(fields) != self.width:
                fields = self._odd(fields, begin)
            self.lines.append(self.body.line(begin))
            writer.writerow(fields)
        return out.getvalue()

    def _records(self, text: str, *, strict: bool) -> Iterator[tuple[list[str], int]]:
        self._texts = re.split(r"\r\n|\n|\r", text)
        if self._texts and self._texts[-1] == "":
            self._texts.pop()
        reader = csv.reader((line + "\n" for line in self._texts), strict=strict, **self.dialect.options())
        while True:
            try:
                fields = next(reader)
            except StopIteration:
                return
            finally:
                self.reached = max(reader.line_num - 1, 0)
            yield fields, reader.line_num
            self.began = reader.line_num

    def _check_span(self, fields: list[str], begin: int, spanned: int) -> None:
        sign = self.dialect.delimiter
        lines = self._texts[begin : begin + spanned]
        kinds = [*self.layout.kinds, *(["word"] * self.layout.trailing)]
        if sign and look_like_rows(lines, sign, kinds):
            raise swallowed(self.body.line(begin), spanned)

    def _odd(self, fields: list[str], begin: int) -> list[str]:
        """A record with another number of fields than there are columns."""
        spare = len(fields) - self.width
        if spare > 0:
            raise ragged(self.body.line(begin), len(fields), self.width)
        if self.layout.trailing or self.layout.whole:
            raise ragged(self.body.line(begin), len(fields), self.width)
        text = self._texts[begin].lstrip()
        if len(fields) == 1 and text.startswith("#"):
            raise LoadError(
                "ragged",
                f"Line {self.body.line(begin)} begins with # and is no row: say --comment '#' to leave such lines out.",
                helps=True,
            )
        if not self._agrees(fields) or len(fields) == 1:
            raise ragged(self.body.line(begin), len(fields), self.width)
        self.short.append(self.body.line(begin))
        return fields + [""] * -spare

    def _agrees(self, fields: list[str]) -> bool:
        """Whether the fields that are there are of their columns' kinds, so that only the last ones are missing."""
        kinds = self.layout.kinds[: len(fields)]
        found = [kind(cell) for cell in fields]
        return not any(found[at] == "number" for at in self.layout.wordy if at < len(found)) and all(
            each == "word" or what in (each, "empty", "missing") for each, what in zip(kinds, found, strict=False)
        )

    def _judge_short(self, structure: Structure) -> None:
        count = len(self.short)
        if count > max(1, _MOST_SHORT * len(self.lines)):
            raise LoadError(
                "ragged",
                f"{several(count, 'row')} of {len(self.lines):,} have fewer fields than the {self.width} columns, the "
                f"first in line {self.short[0]}: write the missing fields as empty ones.",
            )
        structure.notes.append(
            f"{several(count, 'row')} {'has' if count == 1 else 'have'} fewer fields than there are columns, the first "
            f"in line {self.short[0]}; the fields that lack at the end were read as missing."
        )
