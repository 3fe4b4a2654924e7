"""Every kind of file that real use brings: read right and told how, or refused with the reason and the remedy."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sandbox_image.zygote.reading.loader import Facts, LoadError, load
from sandbox_image.zygote.reading.rules import Rules

ROWS = [("East", 78, 358.37), ("North", 38, 740.04), ("West", 201, 12.5), ("South", 5, 99.0)] * 6
NAMES = ("region", "units", "price")


def written(
    delimiter: str = ",", *, names: tuple[str, ...] = NAMES, rows: list[Any] = ROWS, end: str = "\n", quote: str = ""
) -> str:
    """The table as text."""
    lines = [delimiter.join(f"{quote}{cell}{quote}" for cell in line) for line in [names, *rows]]
    return end.join(lines) + end


def column(*values: str, delimiter: str = ";", times: int = 4) -> str:
    """A table of a label and a column of these values."""
    return f"k{delimiter}v\n" + "".join(f"x{at}{delimiter}{value}\n" for at, value in enumerate(values * times))


PLAIN = written()


def read(data: str | bytes, written_as: str = "utf-8", **rules: Any) -> tuple[pd.DataFrame, Facts]:
    raw = data.encode(written_as) if isinstance(data, str) else data
    return load(io.BytesIO(raw), rules=Rules.parse(rules))


def refused(data: str | bytes, written_as: str = "utf-8", **rules: Any) -> LoadError:
    with pytest.raises(LoadError) as caught:
        read(data, written_as, **rules)
    assert "\n" not in caught.value.message
    return caught.value


def values(data: str | bytes, name: str = "v", **rules: Any) -> tuple[list[Any], str, Facts]:
    """A column's first values, its type, and the facts."""
    frame, facts = read(data, **rules)
    found = [None if pd.isna(each) else each for each in frame[name].head(4)]
    return found, str(frame[name].dtype), facts


@dataclass(frozen=True)
class Layout:
    """A file that holds the table of `ROWS`, and words of what is said of it."""

    data: str | bytes
    note: str = ""
    encoding: str = "utf-8"
    rules: dict[str, Any] = field(default_factory=dict)


SAME = {
    **{f"delimiter {sign!r}": Layout(written(sign)) for sign in ",;\t|:^~"},
    "delimiter 1": Layout(written("\x01")),
    "blanks": Layout(written(" "), "separated by blanks"),
    "aligned": Layout("\n".join(f"{a:<9}{b:>8}{c:>9}" for a, b, c in [NAMES, *ROWS]), "separated by blanks"),
    "two colons": Layout(written("::"), "'::'"),
    "two bars": Layout(written("||"), "'||'"),
    "comma and blank": Layout(written(", ")),
    "preamble": Layout("Report of 2024-01-31\nSource: office\n\n" + PLAIN, "Lines 1 to 2 before the table"),
    "preamble with delimiters": Layout("Report, of 2024\nSource, office, Bonn\n\n" + PLAIN, "Lines 1 to 2"),
    "preamble as a spreadsheet writes it": Layout("Report,,\n,,\n" + PLAIN, "Line 1 before the table"),
    "preamble of nine lines": Layout("".join(f"line {at}\n" for at in range(9)) + PLAIN, "Lines 1 to 9"),
    "comments": Layout("# station\n# units: mm\n" + PLAIN, "2 comment lines"),
    "comments within": Layout("# a\n" + PLAIN.replace("West", "# b\nWest", 1), "1 comment line"),
    "slashes": Layout("// a\n// b\n" + PLAIN, "2 comment lines"),
    "per cent": Layout("% a\n" + PLAIN, "1 comment line"),
    "names in a comment": Layout("#" + PLAIN, "in a comment, line 1"),
    "sep line": Layout("sep=;\n" + written(";"), "'sep=;'"),
    "sep line quoted": Layout('"sep=|"\n' + written("|"), "sep=|"),
    "quoted": Layout(written(quote='"')),
    "quoted with an apostrophe": Layout(written(quote="'"), "enclosed in '"),
    "psql": Layout(
        " region | units | price\n--------+-------+-------\n"
        + "".join(f" {a:<6} | {b:>5} | {c:>6}\n" for a, b, c in ROWS) + "(24 rows)\n\n", "(24 rows)",
    ),
    "trailing delimiters": Layout(PLAIN.replace("\n", ",\n"), "last column"),
    "trailing delimiter in the names": Layout("region,units,price,\n" + PLAIN.split("\n", 1)[1]),
    "total": Layout(PLAIN + "Total,1932,7259.46\n", "1 row of totals"),
    "remarks": Layout(PLAIN + "\nNote: a, b, c\nSource: office\n", "2 lines after the table"),
    "total and remark": Layout(PLAIN + "Total,1932,7259.46\n\nSource: office\n", "1 line after the table"),
    "remark as a spreadsheet writes it": Layout(PLAIN + "Source: office,,\n", "1 line after the table"),
    "empty rows": Layout(PLAIN + ",,\n,,\n", "2 rows without any value"),
    "names again": Layout(written(rows=ROWS[:9]) + written(rows=ROWS[9:]), "repeated once, first in line 11"),
    "end-of-file sign": Layout(PLAIN + "\x1a", "Ctrl-Z"),
    "NUL padding": Layout(PLAIN + "\0" * 600, "600 NUL bytes"),
    "CR": Layout(written(end="\r")),
    "CRLF": Layout(written(end="\r\n")),
    "mixed line ends": Layout(PLAIN.replace("\n", "\r\n", 5)),
    "CRCRLF": Layout(written(end="\r\r\n"), "empty lines"),
    "blank lines": Layout(PLAIN.replace("\n", "\n\n"), "24 empty lines"),
    "lines of blanks": Layout(PLAIN.replace("\n", "\n   \n", 3), "2 empty lines"),
    "no last line end": Layout(PLAIN[:-1]),
    "mark and quotes": Layout('\ufeff"region","units","price"\n' + PLAIN.split("\n", 1)[1]),
    "UTF-16": Layout(PLAIN, encoding="utf-16"),
    "UTF-16 without a mark": Layout(PLAIN, "no byte order mark", "utf-16-le"),
    "UTF-16 without a mark, the other way": Layout(PLAIN, "no byte order mark", "utf-16-be"),
    "UTF-32": Layout(PLAIN, encoding="utf-32"),
    "header line given": Layout("a,b\nc,d\n" + PLAIN, "Lines 1 to 2", rules={"header_line": 3}),
    "lines to skip given": Layout("a,b,c,d,e\n" + PLAIN.replace("West", "x,y\nWest", 1), rules={"skip_lines": [1, 5]}),
    "footer given": Layout(PLAIN + "a,b,c\nd,e,f\n\n", rules={"footer_lines": 2}),
    "comment given": Layout("!! a\n" + PLAIN, rules={"comment": "!!"}),
    "quote given": Layout(written(quote="*"), rules={"quote": "*"}),
    "delimiter given": Layout(written("§"), rules={"delimiter": "§"}),
    "encoding given": Layout(PLAIN, rules={"encoding": "cp1251"}),
}  # fmt: skip


@pytest.mark.parametrize("case", SAME.values(), ids=SAME)
def test_the_same_table_comes_out_of_every_layout(case: Layout) -> None:
    frame, facts = read(case.data, case.encoding, **case.rules)
    assert list(frame.columns) == list(NAMES)
    assert frame.to_numpy().tolist() == [list(row) for row in ROWS]
    assert [str(each) for each in frame.dtypes] == ["str", "int64", "float64"]
    assert case.note in " ".join(facts.warnings)
    assert isinstance(frame.index, pd.RangeIndex)


def test_a_plain_file_has_no_notes() -> None:
    assert read(PLAIN)[1].warnings == []


REFUSED = {
    "extra comma in the first row": ("a,b,c\n1,2,3,\n4,5,6\n7,8,9\n", "Line 2 has 4 fields where 3"),
    "comma in the first row": ("id,name,score\n1,Lee, Ann,9\n2,N2,2\n3,N3,3\n", "Line 2 has 4 fields where 3"),
    "comma in a late row": (PLAIN + "Lee, Ann,9,3\n", "Line 26 has 4 fields where 3"),
    "first 210 rows longer": ("a,b\n" + "x,1,2\n" * 210 + "y,2\n" * 90, "fields where"),
    "first 600 rows longer": ("a,b\n" + "x,1,2\n" * 600 + "y,2\n" * 90, "Line 2 has 3 fields where 2"),
    "row 700 longer": ("a,b\n" + "1,2\n" * 699 + "1,2,3\n" + "1,2\n", "Line 701 has 3 fields where 2"),
    "two more fields in all rows": ("a,b\n" + "x,y,z,w\n" * 9, "Line 2 has 4 fields where 2"),
    "fewer fields in all rows": ("a,b,c\n" + "1,2\n" * 9, "fewer fields"),
    "fewer fields in many rows": ("a,b,c\n" + "1,2,3\n1,2\n" * 20, "fewer fields"),
    "a delimiter lost": (PLAIN.replace("West,201,12.5\n", "201,12.5\n", 1), "Line 4 has 2 fields where 3"),
    "cut off": (PLAIN + "Sou", "Line 26 has 1 field where 3"),
    "two tables": (PLAIN + "\ncity,pop\nBonn,3\nKoln,4\n", "Line 27 has 2 fields where 3"),
    "quote swallows rows": (
        'item,region,units\ncable,East,7\n"cable 3m,West,2\ncable,South,5\n"cable 3m",West,1\ncable,South,1\n',
        "quotation mark that opens a field in line 3",
    ),
    "quote swallows rows and closes well": (
        "item,region,units\n" + "cable,East,7\n" * 3 + '"cable 3m,West,2\ncable,South,5\ncable 3m",West,1\nx,y,1\n',
        "opens in line 5 closes 2 lines further down",
    ),
    "quote never closed": (PLAIN + '"East,1,2\n', "line 26"),
    "numbers 1 to 3 as names": ("1,2,3\n" + "".join(f"{at},{at},{at}\n" for at in range(4, 9)), "--header-line 0"),
    "no names, a word among numbers": ("East,unknown,3.5\n" + PLAIN.split("\n", 1)[1], "--header-line 0"),
    "one column of decimal commas": ("x\n1,5\n2,5\n3,5\n", "--header-line"),
    "comment that looks like a row": ("# a\n" + PLAIN.replace("West", "#West", 1), "--comment"),
    "JSON lines": ('{"a":"East","b":78}\n{"a":"North","b":38}\n', "JSON lines, not CSV"),
    "JSON in one line": ('[{"a":"East","b":78},{"a":"North","b":38}]', "JSON, not CSV"),
    "JSON over lines": ('{\n "a": [1, 2],\n "b": 3\n}\n', "JSON, not CSV"),
    "GeoJSON": ('{"type":"FeatureCollection","features":[]}', "GeoJSON"),
    "notebook": ('{"cells": [], "nbformat": 4}', "notebook"),
    "Python": ("{'a': 1, 'b': 2}\n{'a': 3, 'b': 4}\n", "Python dictionaries"),
    "Markdown": ("| a | b |\n|---|:-:|\n| 1 | 2 |\n", "Markdown"),
    "Markdown, bare": ("a | b\n--- | ---\n1 | 2\n", "Markdown"),
    "grid": ("+---+---+\n| a | b |\n+---+---+\n| 1 | 2 |\n+---+---+\n", "drawn with lines"),
    "LFS": ("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
    "annex": ("../.git/annex/objects/xx/SHA256E-s123--abc.csv", "git annex get"),
    "HTML": ("<!DOCTYPE html>\n<html><body>a,b</body></html>", "HTML"),
    "HTML table": ("<table>\n<tr><td>1</td></tr></table>", "HTML"),
    "XML": ('<?xml version="1.0"?>\n<a><b>1</b></a>', "XML"),
    "XML, bare": ("<rows><row><a>1</a></row>\n</rows>", "XML"),
    "SQL": ("-- MySQL dump 10\nCREATE TABLE x (a int);\nINSERT INTO x VALUES (1),(2);\n", "SQL"),
    "YAML": ("- name: a\n  x: 1\n- name: b\n  x: 2\n", "YAML"),
    "ARFF": ("@relation x\n@attribute a numeric\n@data\n1\n", "ARFF"),
    "LaTeX": ("\\begin{tabular}{ll}\na & b \\\\\n\\end{tabular}", "LaTeX"),
    "vCard": ("BEGIN:VCARD\nVERSION:3.0\nEND:VCARD\n", "vCard"),
    "gzip": (b"\x1f\x8b\x08\0a,b\n", "gzip"),
    "ZIP": (b"PK\x03\x04a,b\n", "ZIP archive or an office document"),
    "old spreadsheet": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1abc", "office document"),
    "zstd": (b"\x28\xb5\x2f\xfdabc", "Zstandard"),
    "bzip2": (b"BZh91AY", "bzip2"),
    "XZ": (b"\xfd7zXZ\x00abc", "XZ"),
    "TAR": (b"a.csv" + b"\0" * 252 + b"ustar\0" + b"\0" * 300, "TAR"),
    "Parquet": (b"PAR1abc\0", "Parquet"),
    "Arrow": (b"ARROW1\0\0", "Feather"),
    "SQLite": (b"SQLite format 3\x00abc", "SQLite"),
    "HDF5": (b"\x89HDF\r\n\x1a\nabc", "HDF5"),
    "PDF": (b"%PDF-1.4\n1,2\n", "PDF"),
    "JPEG": (b"\xff\xd8\xff\xe0\0\x10JFIF", "JPEG"),
    "pickle": (b"\x80\x04\x95abc", "pickle"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_table_or_in_doubt_is_refused(data: str | bytes, words: str) -> None:
    assert words in refused(data).message


@pytest.mark.parametrize(
    "names",
    [
        ("PAR1", "PAR2", "PAR3"), ("FEA1", "b", "c"), ("ARROW1_x", "b", "c"), ("BZh91", "b", "c"), ("RDX2", "b", "c"),
        ("GIF87a rate", "b", "c"), ("$FL2", "b", "c"), ("ORC", "b", "c"),
    ],
)  # fmt: skip
def test_a_column_may_be_named_as_files_of_another_format_begin(names: tuple[str, str, str]) -> None:
    table, _ = read(written(names=names))
    assert tuple(table.columns) == names
    assert len(table) == len(ROWS)


WRONG_RULES: dict[str, tuple[str, dict[str, Any], str]] = {
    "delimiter": (PLAIN, {"delimiter": ";"}, "';' (--delimiter) stands nowhere"),
    "header line": (PLAIN, {"header_line": 99}, "Line 99 cannot name the columns (--header-line)"),
    "type": (PLAIN, {"types": {"region": "number"}}, "'region' cannot be read as number (--types): 'East' (line 2)"),
    "type far down": (PLAIN + "West,many,5\n", {"types": {"units": "integer"}}, "'many' (line 26)"),
    "type after comments": ("# a\n" + PLAIN + "West,x y,5\n", {"types": {"units": "integer"}}, "'x y' (line 27)"),
    "whole numbers": (PLAIN, {"types": {"price": "integer"}}, "'358.37' (line 2)"),
    "truth values": (PLAIN, {"types": {"units": "boolean"}}, "'78' (line 2)"),
    "column": (PLAIN, {"types": {"colour": "text"}}, "Column 'colour' of --types is not in the table"),
    "date order": (column("01/02/2017", "03/04/2017"), {"types": {"v": "date"}}, "say dmy or mdy"),
    "encoding": ("é,b\n1,2\n", {"encoding": "ascii"}, "another with --encoding"),
    "no encoding of text": (PLAIN, {"encoding": "rot13"}, "no encoding of text"),
}


@pytest.mark.parametrize(("data", "rules", "words"), WRONG_RULES.values(), ids=WRONG_RULES)
def test_a_rule_that_does_not_fit_is_refused(data: str, rules: dict[str, Any], words: str) -> None:
    assert words in refused(data, **rules).message


ENCODINGS = [
    ("cp1251", ["Москва", "Казань", "Тула"]), ("koi8-r", ["Москва", "Казань", "Тула"]),
    ("cp866", ["Москва", "Казань", "Тула"]), ("cp932", ["東京", "大阪ポ", "カメラ"]),
    ("euc_jp", ["東京", "大阪", "カメラ"]),
    ("iso2022_jp", ["東京", "大阪", "カメラ"]), ("gb18030", ["北京", "上海", "广州深圳"]),
    ("big5", ["臺北", "高雄", "價格地區"]), ("cp949", ["서울", "부산광역시", "대구"]),
    ("cp1250", ["Plzeň", "Ústí nad Labem", "Děčín"]), ("cp1252", ["Málaga", "España", "Besançon"]),
    ("cp1252", ["it’s", "“so”", "5 €"]), ("mac_roman", ["Málaga", "España", "Besançon"]),
    ("cp1253", ["Αθήνα", "Πάτρα", "Κρήτη"]), ("cp1254", ["İzmir", "Muğla", "Iğdır"]),
    ("cp1255", ["ירושלים", "חיפה", "עיר"]), ("cp1256", ["القاهرة", "بغداد", "مدينة"]),
    ("utf-16-le", ["Москва", "Казань", "Тула"]), ("utf-16-be", ["北京", "上海", "广州深圳"]),
]  # fmt: skip


@pytest.mark.parametrize(("encoding", "words"), ENCODINGS, ids=[f"{each[0]} {each[1][0]}" for each in ENCODINGS])
def test_legacy_encodings_are_found_out_and_told(encoding: str, words: list[str]) -> None:
    rows = [(word, at, at / 4) for at, word in enumerate(words * 5)]
    frame, facts = read(written(names=(words[1], "units", "price"), rows=rows), encoding)
    assert frame.columns[0] == words[1]
    assert frame.iloc[:, 0].tolist() == words * 5
    assert len(facts.warnings) == 1
    assert "was read as" in facts.warnings[0]


def test_an_encoding_in_doubt_is_refused_by_its_option() -> None:
    data = written(rows=[("¤", 1, 2.5)]).encode("utf-8").replace("¤".encode(), b"\x81\xe9")
    assert "--encoding" in refused(data).message
    assert read(data, encoding="cp866")[0]["region"][0] == "Бщ"


WORDS = ["NA", "None", "none", "null", "NULL", "nan", "n/a", "N/A"]


@pytest.mark.parametrize("word", WORDS)
def test_words_stay_words_among_words_and_are_missing_among_numbers(word: str) -> None:
    found, _, facts = values(column(word, "ZA", "BW", "AO"))
    assert found == [word, "ZA", "BW", "AO"]
    assert f"{word!r} among words, 4 times; it was kept as a value; --missing {word}" in facts.warnings[0]
    found, _, facts = values(column(word, "ZA", "BW", "AO"), missing=[word])
    assert found == [None, "ZA", "BW", "AO"]
    found, kind, _ = values(column(word, "7", "9", "4"))
    assert (found, kind) == ([None, 7.0, 9.0, 4.0], "float64")
    found, kind, _ = values(column(word, "2024-01-05", "2024-01-06", "2024-01-07"))
    assert found[:2] == [None, "2024-01-05"]
    found, _, _ = values(column(word, "True", "False", "True"))
    assert found == [None, True, False, True]


@pytest.mark.parametrize("word", ["Not Available", "-", "..", "*", "(D)", ":", "unknown", "n.d.", "suppressed"])
def test_words_of_offices_are_missing_among_numbers_and_told(word: str) -> None:
    found, kind, facts = values(column(word, "7", "9", "4"))
    assert (found, kind) == ([None, 7.0, 9.0, 4.0], "float64")
    assert f"{word!r} among numbers or dates, 4 times; it was read as missing; --types v=text" in facts.warnings[0]
    assert facts.column_notes["v"] == f"{word!r} read as missing"
    assert values(column(word, "7", "9", "4"), types={"v": "text"})[0] == [word, "7", "9", "4"]


@pytest.mark.parametrize("mark", ["?", "#N/A", "<NA>", "", "\\N", "#DIV/0!"])
def test_marks_are_missing_everywhere(mark: str) -> None:
    assert values(column(mark, "ZA", "BW", "AO"))[0] == [None, "ZA", "BW", "AO"]
    found, _, facts = values(column(mark, "7", "9", "4"))
    assert found == [None, 7.0, 9.0, 4.0]
    assert facts.warnings == ([f"{mark!r} was read as missing, 4 times."] if mark in ("?", "#DIV/0!") else [])


def test_a_rare_word_among_numbers_is_missing_and_told_but_a_frequent_one_is_not() -> None:
    numbers = [str(at * 7) for at in range(1, 40)]
    found, _, facts = values(column("many", *numbers, "many", times=1))
    assert found[:2] == [None, 7.0]
    assert "'many' among numbers or dates, 2 times; it was read as missing" in facts.warnings[0]
    found, _, facts = values(column("many", "7", "many", "8", "9", "many", "5"))
    assert found[0] == "many"
    assert "stayed text; --missing many" in facts.warnings[0]
    assert values(column("many", "7", "many", "8"), missing=["many"])[0] == [None, 7.0, None, 8.0]
    found, _, facts = values(column("10+", *numbers, "10+", times=1))
    assert found[0] == "10+"
    assert "--missing 10+" in facts.warnings[0]


@pytest.mark.parametrize("number", ["-999", "-9999", "9999", "-99"])
def test_numbers_that_stand_for_missing_are_told(number: str) -> None:
    found, kind, facts = values(column(number, "7", "9", "4"))
    assert (found[0], kind) == (int(number), "int64")
    assert f"holds {number} 4 times, far from all other values" in facts.warnings[0]
    assert values(column(number, "7", "9", "4"), missing=[number])[0] == [None, 7.0, 9.0, 4.0]


IDENTIFIERS = {
    "leading zeros": ("01067", "04109", "10115"),
    "leading zeros, quoted": ('"01067"', '"04109"', '"10115"'),
    "exponents": ("70E1", "71E2", "72E3"),
    "exponents beside digits": ("7001", "70E1", "8123"),
    "exponents that overflow": ("40E300", "41E305", "42E310"),
    "telephones": ("+49301234567", "+49301234568", "+49309999999"),
    "telephones with blanks": ("030 123 456", "040 222 333", "050 111 222"),
    "beyond 64 bits": ("92233720368547758070", "92233720368547758071", "92233720368547758072"),
    "classes": ("01.10", "01.20", "02.30"),
    "card numbers": ("4111 1111 1111 1111", "4222 2222 2222 2222", "4333 3333 3333 3333"),
}


@pytest.mark.parametrize("texts", IDENTIFIERS.values(), ids=IDENTIFIERS)
def test_identifiers_stay_text(texts: tuple[str, ...]) -> None:
    bare = [each.strip('"') for each in texts]
    assert values(column(*texts))[0][:3] == bare
    assert values(column(*texts, "NA"))[0] == [*bare, None]
    found, kind, _ = values(column(*texts), types={"v": "text"})
    assert (found[:3], kind) == (bare, "str")


def test_versions_stay_text_and_prices_do_not() -> None:
    found, _, facts = values(column(*[f"1.{at}" for at in range(1, 20)], times=1))
    assert found == ["1.1", "1.2", "1.3", "1.4"]
    assert "may be versions" in facts.warnings[0]
    assert values(column("12.5", "12.50", "3.25", "7.10"))[0] == [12.5, 12.5, 3.25, 7.1]


def test_leading_zeros_far_down_count() -> None:
    data = "a,b\n" + "".join(f"{at},{at + 10_000}\n" for at in range(3_000)) + "7,00123\n"
    frame, _ = read(data)
    assert frame["b"].iloc[-1] == "00123"
    assert frame["b"].iloc[0] == "10000"


def test_whole_numbers_stay_exact() -> None:
    large = [str(2**53 + 1 + 2 * at) for at in range(3)]
    found, kind, _ = values(column(*large))
    assert (found[:3], kind) == ([int(each) for each in large], "int64")
    found, kind, _ = values(column(*large, ""))
    assert (found, kind) == ([*[int(each) for each in large], None], "Int64")
    found, kind, _ = values(column("1", "2", ""))
    assert kind == "float64"


@pytest.mark.parametrize(
    "texts", [("1.5e-07", "3e-07", "2e-08"), ("1.5", "1e5", "0.25"), ("1.5E+05", "2.5E+06", "1E+07")]
)
def test_floats_with_exponents_are_numbers(texts: tuple[str, ...]) -> None:
    assert values(column(*texts))[0][:3] == [float(each) for each in texts]


NUMBERS: dict[str, tuple[tuple[str, ...], list[float], str, str]] = {
    "thousands": (("78,000", "1,234,567", "999"), [78000, 1234567, 999], "a comma between thousands", ""),
    "thousands and decimals": (("1,234.5", "12.25", "7"), [1234.5, 12.25, 7], "a comma between thousands", ""),
    "German": (("1.234,5", "12,25", "7"), [1234.5, 12.25, 7], "a decimal comma", ""),
    "decimal comma": (("358,37", "12,5", "7"), [358.37, 12.5, 7], "a decimal comma", ""),
    "blanks": (("1 234", "12 345,5", "7"), [1234, 12345.5, 7], "a blank between thousands", ""),
    "narrow blanks": (("1\u202f234", "12\u202f345", "7"), [1234, 12345, 7], "a blank between thousands", ""),
    "no-break blanks": (("1\u00a0234", "12\u00a0345", "7"), [1234, 12345, 7], "a blank between thousands", ""),
    "Swiss": (("1'234.50", "12'345.00", "7"), [1234.5, 12345, 7], "an apostrophe between thousands", ""),
    "Indian": (("1,00,000", "12,34,567", "7"), [100000, 1234567, 7], "a comma between thousands", ""),
    "per cent": (("3.5%", "4.5 %", "10%"), [3.5, 4.5, 10], "a per cent sign", "unit: %"),
    "dollars": (("$358.37", "$1,740.04", "-$5.00"), [358.37, 1740.04, -5], "the unit $", "unit: $"),
    "euros": (("358,37 €", "1.740,04 €", "-5,00 €"), [358.37, 1740.04, -5], "the unit €", "unit: €"),
    "codes": (("EUR 10.50", "EUR 11.50", "EUR 7"), [10.5, 11.5, 7], "the unit EUR", "unit: EUR"),
    "units": (("12 kg", "5 kg", "7.5 kg"), [12, 5, 7.5], "the unit kg", "unit: kg"),
    "degrees": (("12°C", "5.5°C", "-7°C"), [12, 5.5, -7], "the unit °C", "unit: °C"),
    "brackets": (("(5.50)", "7.25", "(1,000.00)"), [-5.5, 7.25, -1000], "brackets for minus", ""),
    "minus behind": (("5.50-", "7.25", "1.00-"), [-5.5, 7.25, -1], "the minus behind", ""),
    "typographic minus": (("−5", "7", "−2.5"), [-5, 7, -2.5], "", ""),
}


@pytest.mark.parametrize(("texts", "numbers", "how", "unit"), NUMBERS.values(), ids=NUMBERS)
def test_numbers_as_people_write_them(texts: tuple[str, ...], numbers: list[float], how: str, unit: str) -> None:
    found, _, facts = values(column(*texts))
    assert found[:3] == numbers
    assert how in " ".join(facts.warnings)
    assert facts.column_notes.get("v", "") == unit
    assert values(column(*texts, "Not Available"))[0][3] is None
    assert values(column(*texts), types={"v": "text"})[0][:3] == list(texts)
    assert values(column(*texts), types={"v": "number"})[0][:3] == numbers


@pytest.mark.parametrize("texts", [("5%", "7", "3%"), ("$5", "€6", "$7"), ("5k", "7k", "8k"), ("5 kg", "6 lb", "7 kg")])
def test_columns_that_do_not_agree_stay_text(texts: tuple[str, ...]) -> None:
    assert values(column(*texts))[0][:3] == list(texts)


def test_a_mark_in_doubt_is_settled_by_the_file_or_by_an_option() -> None:
    doubt = column("1,100", "1,101", "2,102")
    found, _, facts = values(doubt)
    assert found[0] == "1,100"
    assert "--thousands ',' or --decimal ','" in facts.warnings[0]
    assert values(doubt, thousands=",")[0][0] == 1100
    assert values(doubt, decimal=",")[0][0] == 1.1
    german = "k;v;w\n" + "".join(f"{at};1.{at + 100};{at},5\n" for at in range(9))
    assert values(german)[0][0] == 1100
    assert values(german.replace(",5", ".5"))[0][0] == 1.1
    american = "k;v;w\n" + "".join(f"{at};1,{at + 100};{at}.5\n" for at in range(9))
    assert values(american)[0][0] == 1100
    assert values("k;v\n" + "".join(f"{at};1.{at + 100}\n" for at in range(9)), decimal=",")[0][0] == 1100


DATES = {
    "day first": ([f"{day:02}/05/2017" for day in range(12, 20)], "2017-05-12", "dd/mm/yyyy"),
    "month first": ([f"05/{day:02}/2017" for day in range(12, 20)], "2017-05-12", "mm/dd/yyyy"),
    "hyphens": ([f"{day:02}-05-2017" for day in range(12, 20)], "2017-05-12", "dd-mm-yyyy"),
    "points": ([f"{day:02}.05.2017" for day in range(1, 9)], "2017-05-01", "dd.mm.yyyy"),
    "short month": ([f"{day}-May-2017" for day in range(12, 20)], "2017-05-12", "day, month name, year"),
    "SAS": ([f"{day}MAY2017" for day in range(12, 20)], "2017-05-12", "day, month name, year"),
    "month, day": ([f'"Sep {day}, 2017"' for day in range(12, 20)], "2017-09-12", "month name, day, year"),
    "long month": ([f'"September {day}, 2017"' for day in range(12, 20)], "2017-09-12", "month name, day, year"),
    "weekday": ([f'"Tue, {day} Sep 2017"' for day in range(12, 20)], "2017-09-12", "day, month name, year"),
    "year first": ([f"2017/05/{day:02}" for day in range(1, 9)], "2017-05-01", "yyyy/mm/dd"),
    "times": ([f"{day}/05/2017 13:45" for day in range(12, 20)], "2017-05-12 13:45", "dd/mm/yyyy with the time"),
    "AM": ([f"5/{day}/2017 01:45 PM" for day in range(12, 20)], "2017-05-12 13:45", "AM or PM"),
    "short years": ([f"{day}/05/98" for day in range(12, 20)], "1998-05-12", "dd/mm/yy"),
}


@pytest.mark.parametrize(("texts", "first", "form"), DATES.values(), ids=DATES)
def test_dates_as_people_write_them(texts: list[str], first: str, form: str) -> None:
    found, kind, facts = values(column(*texts, "NA"))
    assert kind.startswith("datetime64")
    assert found[0] == pd.Timestamp(first)
    assert form in facts.warnings[0]
    assert form in facts.column_notes["v"]
    assert values(column(*texts), types={"v": "text"})[0][0] == texts[0].strip('"')


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (("01/02/2017", "03/04/2017", "05/06/2017"), "nothing proves which part is the day; --types v=dmy or v=mdy"),
        (("13/05/2017", "05/13/2017", "05/06/2017"), "different rows prove different orders"),
        (("31/02/2017", "13/05/2017", "05/06/2017"), "'31/02/2017' is no date; --missing 31/02/2017"),
        (("01/02/17", "13/04/17", "05/06/17"), "nothing proves"),
        (("01-May-45", "13-May-45", "05-Jun-45"), "century"),
    ],
)
def test_dates_in_doubt_stay_text_and_are_told(texts: tuple[str, ...], why: str) -> None:
    found, kind, facts = values(column(*texts))
    assert (found[:3], kind) == (list(texts), "str")
    assert why in facts.warnings[0]


def test_another_column_or_the_user_proves_the_order_of_dates() -> None:
    both = "v;w\n" + "".join(f"01/0{at}/2017;{at + 12}/05/2017\n" for at in range(1, 9))
    assert values(both)[0][1] == pd.Timestamp("2017-02-01")
    doubt = column("01/02/2017", "03/04/2017")
    assert values(doubt, types={"v": "dmy"})[0][0] == pd.Timestamp("2017-02-01")
    assert values(doubt, types={"v": "mdy"})[0][0] == pd.Timestamp("2017-01-02")


@pytest.mark.parametrize("texts", [("2017-05-01", "2017-05-02"), ("2024-01-16T23:30:00-05:00", "2024-01-18T23:30:00Z")])
def test_iso_dates_stay_as_they_are_written(texts: tuple[str, ...]) -> None:
    found, _, facts = values(column(*texts))
    assert found[:2] == list(texts)
    assert facts.warnings == []
    assert values(column("20170501", "20170502"))[0][0] == 20170501


def test_types_that_the_user_gives() -> None:
    data = "a;b;c;d\n01;yes;20170503;5\n02;no;20170504;\n"
    types = {"a": "integer", "b": "boolean", "c": "date", "d": "integer"}
    frame, _ = read(data, types=types)
    assert frame["a"].tolist() == [1, 2]
    assert frame["b"].tolist() == [True, False]
    assert frame["c"].tolist() == [pd.Timestamp("2017-05-03"), pd.Timestamp("2017-05-04")]
    assert str(frame["d"].dtype) == "Int64"


def test_units_under_the_names_are_kept_with_the_columns() -> None:
    days = "".join(f"2024-01-{at:02},{at}.5,{at}\n" for at in range(1, 9))
    for units in ("-,°C,mm", ",[°C],[mm]", "yyyy-mm-dd,(°C),(mm)"):
        frame, facts = read(f"date,temp,rain\n{units}\n{days}")
        assert frame["temp"].tolist() == [at + 0.5 for at in range(1, 9)]
        assert frame["rain"].dtype == np.int64
        assert facts.column_notes["temp"] == "unit: °C"
        assert facts.column_notes["rain"] == "unit: mm"
        assert "Line 2 holds units" in facts.warnings[0]


def test_a_second_line_of_names() -> None:
    rows = "".join(f"R{at % 3},{at},{at}.5,{at},{at}.25\n" for at in range(9))
    frame, facts = read(f"region,2019,,2020,\n,units,price,units,price\n{rows}")
    assert list(frame.columns) == ["region", "2019 units", "2019 price", "2020 units", "2020 price"]
    assert frame["2020 price"].dtype == np.float64
    assert "two lines" in " ".join(facts.warnings)
    asked = "id,Q1,Q2\nResponse,How old are you?,How tall are you?\n" + "".join(
        f"R_{at},{at},{at}\n" for at in range(9)
    )
    frame, facts = read(asked)
    assert list(frame.columns) == ["id", "Q1", "Q2"]
    assert frame["Q1"].tolist() == list(range(9))
    assert facts.column_notes["Q1"] == "How old are you?"


@pytest.mark.parametrize(
    "text", ["".join(f"{a},{b},{c}\n" for a, b, c in ROWS), "East,red\nWest,blue\nEast,blue\nWest,red\n" * 4]
)
def test_without_names_columns_are_numbered(text: str) -> None:
    frame, facts = read(text)
    assert frame.columns[0] == "column_1"
    assert len(frame) == text.count("\n")
    assert "--header-line 1" in facts.warnings[0]
    named, _ = read(text, header_line=1)
    assert named.columns[0] == "East"


@pytest.mark.parametrize("names", ["country,2019,2020", "x,y,z", "0,1,2", "k,2020-01-01,2020-02-01", ",a,b"])
def test_names_that_look_like_values_are_names(names: str) -> None:
    frame, _ = read(names + "\n" + "".join(f"{at + 5},{at * 3},{at}\n" for at in range(9)))
    assert len(frame) == 9
    assert list(frame.columns)[1:] == names.split(",")[1:]


def test_quotation_marks_and_escapes() -> None:
    escaped = written(rows=[('"say \\"hi\\", ok"', 1, 2.5), ('"b"', 2, 3.5)] * 5)
    frame, facts = read(escaped)
    assert frame["region"][0] == 'say "hi", ok'
    assert "A \\ takes the meaning" in facts.warnings[0]
    assert read(written(rows=[("a\\,b", 1, 2.5), ("c", 2, 3.5)] * 5))[0]["region"][0] == "a,b"
    assert read(written(rows=[('"C:\\x\\"', 1, 2.5), ('"D:\\y"', 2, 3.5)] * 5))[0]["region"][0] == "C:\\x\\"
    assert read(written(rows=[('5" pipe', 1, 2.5), ('6" pipe', 2, 3.5)] * 5))[0]["region"][0] == '5" pipe'
    assert read(written(rows=[("'tis", 1, 2.5), ("O'Brien", 2, 3.5)] * 5))[0]["region"][0] == "'tis"
    assert read(written(rows=[('"Foo" bar', 1, 2.5)] * 5), quote="")[0]["region"][0] == '"Foo" bar'
    frame, facts = read(written(rows=[('"a text,\nwith a break"', 1, 2.5), ("b", 2, 3.5)] * 5))
    assert frame["region"][0] == "a text,\nwith a break"
    assert "5 records span several lines, the first from line 2" in facts.warnings[0]


def test_a_few_short_rows_are_told() -> None:
    frame, facts = read(PLAIN + "East,9\n")
    assert frame.iloc[-1].isna().tolist() == [False, False, True]
    assert "1 row has fewer fields than there are columns, the first in line 26" in facts.warnings[0]


def test_rows_of_totals_that_are_values_stay() -> None:
    assert len(read("sex,n\n" + "Male,5\nFemale,6\nTotal,11\n" * 5)[0]) == 14 + 1
    assert len(read(PLAIN + "Total,5,5.5\n", footer_lines=0)[0]) == len(ROWS) + 1


def test_one_column_is_told() -> None:
    frame, facts = read("name\nAnn\nBob\n")
    assert frame["name"].tolist() == ["Ann", "Bob"]
    assert "No delimiter was found" in facts.warnings[0]
    assert read("name\nAnn\nBob\n", delimiter="")[1].warnings == []


def test_a_first_cell_of_any_length() -> None:
    frame, _ = read("a,b\n" + "x" * 140_000 + ",1\n" + "y,2\n" * 700)
    assert len(frame["a"][0]) == 140_000
    assert len(frame) == 701
    assert len(read("x" * 140_000 + ",b\n" + "y,2\n" * 700)[0]) == 700


def test_names_with_blanks_and_line_breaks() -> None:
    frame, facts = read('" a ","b\nc",d\n1,2,3\n')
    assert list(frame.columns) == ["a", "b c", "d"]
    assert "names of 2 columns" in facts.warnings[0]
