"""Files that invite a wrong reading: refused with the option that settles it, or read with a sentence that says so."""

from __future__ import annotations

import codecs
import io
import re
import shlex
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from sandbox_image.zygote.reading.loader import Facts, LoadError, load
from sandbox_image.zygote.reading.rules import Rules


def read(data: str | bytes, **rules: Any) -> tuple[pd.DataFrame, Facts]:
    raw = data.encode() if isinstance(data, str) else data
    return load(io.BytesIO(raw), rules=Rules.parse(rules))


def refused(data: str | bytes, **rules: Any) -> str:
    with pytest.raises(LoadError) as caught:
        read(data, **rules)
    assert "\n" not in caught.value.message
    return caught.value.message


def said(data: str | bytes, **rules: Any) -> str:
    """All notes as one text."""
    return "\n".join(read(data, **rules)[1].warnings)


def words(*values: str, times: int = 6) -> str:
    """A table of words and numbers."""
    return "city,n\n" + "".join(f"{value},{at}\n" for at, value in enumerate(values * times))


@pytest.mark.parametrize(
    ("encoding", "values"),
    [
        ("cp1254", ("İstanbul", "İzmir", "Iğdır")),
        ("iso8859-2", ("Łódź", "Poznań", "Gdańsk")),
        ("iso8859-2", ("Łódź", "Kraków")),
        ("cp1257", ("Rīga", "Jūrmala", "Liepāja", "Rēzekne")),
        ("cp1257", ("Rīga", "Jūrmala", "Liepāja")),
        ("euc_jp", ("東京", "大阪", "名古屋", "奈良")),
        ("mac_roman", ("Zürich",)),
        ("mac_roman", ("København",)),
        ("cp850", ("Zürich",)),
        ("cp1250", ("Győr",)),
        ("iso8859-15", ("€ x", "€ y")),
    ],
)
def test_letters_are_read_right_or_the_encoding_is_asked_for(encoding: str, values: tuple[str, ...]) -> None:
    data = words(*values).encode(encoding)
    try:
        frame, facts = read(data)
    except LoadError as error:
        named = re.findall(r"--encoding (\w+)", error.message)
        assert named == [] or all(codecs.lookup(each) for each in named)
        assert error.reason == "encoding"  # noqa: PT017
    else:
        assert frame["city"].head(len(values)).tolist() == list(values)
        assert any("it was read as" in note for note in facts.warnings)


@pytest.mark.parametrize(
    "value",
    ["São Paulo", "København", "Genève", "Côte d'Ivoire", "Curaçao", "España", "Zürich", "in °C", "in µg", "m²", "£ x"],
)
def test_one_word_of_western_europe_is_no_doubt(value: str) -> None:
    assert read(words(value).encode("cp1252"))[0]["city"].iloc[0] == value


def test_a_doubt_about_the_encoding_names_every_candidate_as_an_option() -> None:
    message = refused(words("Zürich").encode("cp850"))
    assert "--encoding mac_roman or --encoding cp852 or --encoding cp850" in message
    assert read(words("Zürich").encode("cp850"), encoding="cp850")[0]["city"].iloc[0] == "Zürich"


def rows(make: Callable[[int], str], count: int = 40) -> str:
    return "".join(make(at) + "\n" for at in range(count))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("a,b,c\n" + rows(lambda at: f"Smith {at}, John,{at},{at}"), "Line 2 has 4 fields where 3"),
        ("a,b,c\n" + rows(lambda at: f"{at},{at},{at},") + "1,2,3,x\n", "Line 2 has 4 fields where 3"),
        ("a,b\n" + rows(lambda at: f"x{at % 7},{at},5"), "Line 2 has 3 fields where 2"),
        ("a,b\n" + rows(lambda at: f"x{at},{at},5", 400) + "x0,1,2\n", "Line 402 has 3 fields where 2"),
        (rows(lambda at: f'"{at},x,{at}"'), "enclose whole lines, the first of them line 1"),
        ("a\tb\n2020,5\n| a | b |\n|---+---|\n| 1 | 2 |\n", "Org mode"),
        ("=====  =====\ncol1   col2\n=====  =====\n1      2\n", "reStructuredText"),
        ("city,2020\n" + rows(lambda at: f"c{at},{at}"), "--header-line 1 where it does"),
        ("4;2020;1\na;b;c\n" + rows(lambda at: f"{at};{at / 4};{at / 2}"), "--header-line 2"),
    ],
)
def test_rows_that_would_be_shifted_or_lost_are_refused(data: str, words: str) -> None:
    assert words in refused(data)


def test_a_text_that_is_not_wide_is_not_read_as_such() -> None:
    assert "holds no NUL byte" in refused("a,b\n1,2\n", encoding="utf-16")


def test_row_labels_are_accepted_where_they_number_or_name_rows() -> None:
    for label in ("{}", "row {}"):
        frame, facts = read("a,b\n" + rows(lambda at, label=label: f"{label.format(at)},{at},5"))  # type: ignore[misc]
        assert list(frame.columns) == ["Unnamed: 0", "a", "b"]
        assert "first column had no name" in facts.warnings[0]


@pytest.mark.parametrize(
    ("head", "names"),
    [
        (",2019,2019,2020\nregion,men,women,men\n", ["region", "2019 men", "2019 women", "2020 men"]),
        ("#,name,2019,v\n", ["#", "name", "2019", "v"]),
        ('"#","name","w","v"\n', ["#", "name", "w", "v"]),
        ("country,2018,2019,2020\n", ["country", "2018", "2019", "2020"]),
    ],
)
def test_first_lines_of_names_keep_their_names(head: str, names: list[str]) -> None:
    frame, _ = read(head + rows(lambda at: f"r{at},{at},{at * 3},{at / 2}"))
    assert list(frame.columns) == names
    assert len(frame) == 40


def test_years_above_missing_values_are_names_and_years_above_years_are_none() -> None:
    assert list(read("c,2019,2020\n" + rows(lambda at: f"c{at},..,{at}"))[0].columns) == ["c", "2019", "2020"]
    assert len(read(rows(lambda at: f"{1960 + at},{1970 + at}"))[0]) == 40


@pytest.mark.parametrize(
    ("data", "columns"),
    [
        (rows(lambda at: f"2024-01-01 10:{at:02d}:00 started"), 1),
        ("t\n" + rows(lambda at: f"10:{at:02d}"), 1),
        ("url\n" + rows(lambda at: f"https://host/{at}"), 1),
        ("mac\n" + rows(lambda at: f"00:1a:2b:3c:4d:{at:02x}"), 1),
        ("name:v:w\n" + rows(lambda at: f"n{at}:{at}:{at * 2}"), 3),
        (rows(lambda at: f"u{at}:x:{1000 + at}:/home/u{at}"), 4),
    ],
)
def test_a_colon_within_times_and_addresses_parts_nothing(data: str, columns: int) -> None:
    frame, facts = read(data)
    assert facts.delimiter != ":" or frame.shape[1] == columns > 1
    assert (facts.delimiter == ":") == (columns > 1)
    assert len(frame) >= 39


def test_entities_of_web_pages_part_nothing() -> None:
    frame, facts = read("a&amp;b,c\n" + rows(lambda at: f"caf&eacute; {at},{at}"))
    assert facts.delimiter == ","
    assert frame["c"].tolist() == list(range(40))


@pytest.mark.parametrize(
    ("data", "option"),
    [
        ("a;b\n" + rows(lambda at: f"x;{1000 + at * 97:,}"), "--thousands ',' or --decimal ','"),
        ("a;b\n" + rows(lambda at: f"x;{1000 + at * 97:,}".replace(",", ".")), "--thousands '.' or --decimal '.'"),
    ],
)
def test_three_digits_behind_the_only_mark_are_in_doubt_between_semicolons(data: str, option: str) -> None:
    frame, facts = read(data)
    assert str(frame["b"].dtype) == "str"
    assert option in facts.warnings[0]
    mark = option[-2]
    assert read(data, thousands=mark)[0]["b"].tolist() == [1000 + at * 97 for at in range(40)]
    assert read(data, decimal=mark)[0]["b"].tolist() == [(1000 + at * 97) / 1000 for at in range(40)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("a;b\n" + rows(lambda at: f"x;{at * 97:,}"), [0, 97, 194]),
        ("a;b;c\n" + rows(lambda at: f"x;{1000 + at * 97:,};{at / 2}"), [1000, 1097, 1194]),
        ("a;b;c\n" + rows(lambda at: f"x;1.{at:03d};{at / 2}"), [1.0, 1.001, 1.002]),
        ("a;b\n" + rows(lambda at: f"x;{at * 1.125:.3f}"), [0, 1.125, 2.25]),
        ("a,b\n" + rows(lambda at: f"x,1.{at:03d}"), [1.0, 1.001, 1.002]),
        ('a,b\n' + rows(lambda at: f'x,"{1000 + at * 9700:,}"'), [1000, 10700, 20400]),
    ],
)  # fmt: skip
def test_the_rest_of_the_file_settles_three_digits_behind_a_mark(data: str, expected: list[float]) -> None:
    assert read(data)[0]["b"].head(3).tolist() == expected


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("a,b\n" + rows(lambda at: f"{'inf' if at % 7 else at},{at}"), "holds infinity (inf), 34 times"),
        ("a,b\n" + rows(lambda at: f"{at}{'kM'[at % 2]},{at}"), "holds numbers with 'M', 'k' and so stayed text"),
        ("a,b\n" + rows(lambda at: f"{at} {('kg', 'lb')[at % 2]},{at}"), "holds numbers with 'kg', 'lb'"),
        ("a,b\n" + rows(lambda at: f"Z\ufffdrich,{at}"), "letters that were lost"),
        ("a\ufffd,b\n" + rows(lambda at: f"x,{at}"), "has \ufffd in its name"),
        ("a,b\n" + rows(lambda at: f"ZÃ¼rich,{at}"), "'ZÃ¼rich' for 'Zürich'"),
        ("Ã¼,b\n" + rows(lambda at: f"x,{at}"), "has a name that was encoded twice, for 'ü'"),
        ("a,b\n" + rows(lambda at: f"{('x', 'x ', 'y')[at % 3]},{at}"), "holds 'x ' beside 'x'"),
        ("a,b\n" + rows(lambda at: f"{('x', 'y', 'z', 'Subtotal')[at % 4]},{at}"), "holds 'Subtotal', 10 times"),
        ("a,b\nTotal,99\n" + rows(lambda at: f"x{at},{at}"), "holds 'Total', once"),
        ("a, b, c\n" + rows(lambda at: f"x, y, {at}"), "Blanks between delimiters and values were left out"),
        ("a,b\n" + rows(lambda at: f'{at}, "x, {at}"'), "Blanks between delimiters and values were left out"),
        ("t,n\n" + rows(lambda at: f"2020-02-{at % 30 + 1:02d},{at}"), "holds '2020-02-30', which is no date"),
        ("t,n\n" + rows(lambda at: f"{'0000-00-00' if at % 9 == 0 else '2020-03-04'},{at}"), "holds '0000-00-00'"),
        ("t,n\n" + rows(lambda at: f"{at % 28 + 1} janvier 2020,{at}"), "'janvier' is no English name of a month"),
        ("t,n\n" + rows(lambda at: f"x{chr(0x200B) * (at % 2)},{at}"), "a sign that nobody sees (U+200B)"),
        ("t,n\n" + rows(lambda at: f"{('x', ' ', 'y')[at % 3]},{at}"), "nothing but blanks; they were kept as text"),
    ],
)
def test_what_hints_at_trouble_is_said(data: str, words: str) -> None:
    assert words in said(data)


def test_an_option_that_is_named_does_what_is_said() -> None:
    infinite = "a,b\n" + rows(lambda at: f"{('inf', '-inf', at)[at % 3]},{at}")
    assert "--missing=-inf reads it" in said(infinite)
    assert read(infinite, missing=["inf", "-inf"])[0]["a"].isna().sum() == 27
    impossible = "d,n\n31/02/2020,1\n" + rows(lambda at: f"{at % 28 + 1}/{at % 12 + 1}/2020,{at}")
    assert "'31/02/2020' is no date; --missing 31/02/2020 reads it as missing" in said(impossible)
    assert str(read(impossible, missing=["31/02/2020"])[0]["d"].dtype).startswith("datetime64")


def test_names_and_words_in_a_note_can_be_copied_to_a_shell() -> None:
    data = "Total Sales,it's\n" + rows(lambda at: f"{at * 10}%,{at}" if at % 9 else f'{at}%,"a, {at}"')
    notes = said(data)
    assert shlex.split(notes[notes.index("--types") :])[1] == "Total Sales=text"
    assert shlex.split(notes[notes.index("--missing") :].splitlines()[0])[1] == '"a, 0"'


def test_a_byte_order_mark_proves_no_encoding_and_is_no_part_of_a_name() -> None:
    frame, facts = read(b"\xef\xbb\xbf" + words("Zürich").encode("cp1252"))
    assert (frame.columns[0], frame["city"].iloc[0], facts.encoding) == ("city", "Zürich", "cp1252")
    twice = b"\xef\xbb\xbf" + words("Zürich").encode()
    frame, _ = read(twice * 2)
    assert (list(frame.columns), len(frame), str(frame["n"].dtype)) == (["city", "n"], 12, "int64")


def test_a_last_line_longer_than_the_tail_is_read() -> None:
    frame, _ = read("a,b\n" + rows(lambda at: f"{'word ' * 20_000},{at}", 5))
    assert frame["b"].tolist() == list(range(5))


def test_addresses_of_computers_are_no_dates_or_numbers() -> None:
    assert said("ip,n\n" + rows(lambda at: f"10.0.{at}.{at},{at}")) == ""


def test_a_log_of_equal_lines_is_not_taken_for_repeated_names() -> None:
    assert len(read("started\n" * 20)[0]) == 19


def test_a_line_break_in_quotation_marks_is_no_swallowed_row() -> None:
    frame, _ = read("a;b;c\n" + rows(lambda at: f'"w;;\nw{at}";{at};{at / 2}'))
    assert frame["a"].iloc[3] == "w;;\nw3"
    assert "swallows" in refused("a;b;c\n" + rows(lambda at: f"w;{at};2") + 'w;"3;4\nx;5";6\n')


@pytest.mark.parametrize("last", ["data,x,y", "a) first,x,y", "Note,x,y", "Source: office,x,y", "# 1,x,y"])
def test_a_last_row_of_words_is_no_remark(last: str) -> None:
    frame, facts = read("a,b,c\n" + rows(lambda at: f"w{at},x{at},y") + last + "\n")
    assert len(frame) == 41
    assert facts.warnings == []


def test_what_is_left_out_at_the_end_is_told_by_its_own_text() -> None:
    notes = said("a,b,c\n" + rows(lambda at: f"w{at},{at},{at}") + "-----,---,---\nTotal,780,780\n")
    assert "totals at the end left out ('Total,780,780')" in notes
    assert "left out: '-----,---,---'" in notes


def test_a_comma_that_only_some_large_numbers_have_is_in_doubt() -> None:
    data = "a,b\n" + rows(lambda at: f'"{at * 1234:,}",{at}' if at % 2 else f"{at * 1234},{at}")
    frame, facts = read(data)
    assert str(frame["a"].dtype) == "str"
    assert "whether '1,234' is 1234 or 1.234 is in doubt" in facts.warnings[0]
    assert read(data, thousands=",")[0]["a"].tolist() == [at * 1234 for at in range(40)]


def test_rules_that_the_values_contradict_are_said_or_refused() -> None:
    data = "a;b\n" + rows(lambda at: f"x;1.{at:02d}")
    for rules in ({"decimal": ","}, {"thousands": "."}):
        assert "do not fit the marks given (--decimal, --thousands)" in said(data, **rules)
    assert "stands nowhere" in refused("a,b\n" + rows(lambda at: f"{at},{at}"), delimiter=" ")


def test_a_value_of_blanks_becomes_missing_by_the_option_that_is_named() -> None:
    data = "t,n\n" + rows(lambda at: f"{('x', ' ', 'y')[at % 3]},{at}")
    assert """--missing '" "' reads""" in said(data)
    assert read(data, missing=[" "])[0]["t"].isna().sum() == 13


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("[s]\nk=v\nk2=v2\n", "a configuration file"),
        ('[a]\nb = 1\nc = "x"\n', "a configuration file"),
        ("name: x\nage: 3\ncity: y\n", "a list of settings"),
        (rows(lambda at: f"key{at}=value{at}"), "a list of settings"),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a,b\n+a,c\n", "a difference between two files"),
        ("a,b\n<<<<<<< HEAD\n1,2\n=======\n1,3\n>>>>>>> x\n" + rows(lambda at: f"{at},{at}"), "merge conflict"),
        (">seq1\nACGT\n>seq2\nGGTT\n", "FASTA"),
        ("@article{x,\n  title={A, b},\n}\n", "BibTeX"),
        (rows(lambda at: f"{at % 2} 1:{at / 10} 2:{at / 20}"), "LIBSVM"),
        ("%%MatrixMarket matrix coordinate real general\n3 3 2\n1 1 5.0\n", "Matrix Market"),
        (b"a,b\n1,\x00\n2,3\n", "byte 7 is NUL"),
    ],
)
def test_what_is_no_table_is_refused_by_its_name(data: str | bytes, words: str) -> None:
    assert words in refused(data)


def test_a_column_of_pairs_is_a_column() -> None:
    assert len(read("pair\n" + rows(lambda at: f"key{at % 5}=value{at}"))[0]) == 40


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (",a,b\n" + rows(lambda at: f",{at},{at}"), "1 column without a name and without a value left out"),
        (",a,b,\n" + rows(lambda at: f",{at},{at},"), "2 columns without a name and without a value left out"),
        ("| a | b |\n" + rows(lambda at: f"| {at} | {at} |"), "2 columns without a name"),
    ],
)
def test_columns_without_name_and_value_are_left_out_and_told_once(data: str, words: str) -> None:
    frame, facts = read(data)
    assert list(frame.columns) == ["a", "b"]
    assert words in "\n".join(facts.warnings)
    assert "Unnamed" not in "\n".join(facts.warnings)


@pytest.mark.parametrize(
    ("head", "names"),
    [
        ("r,Sales,,Costs,\n,2019,2020,2019,2020\n", ["r", "Sales 2019", "Sales 2020", "Costs 2019", "Costs 2020"]),
        ("r,S,S,C,C\nr,2019,2020,2019,2020\n", ["r", "S 2019", "S 2020", "C 2019", "C 2020"]),
        (",a,a,b,b\n,mean,std,mean,std\nregion,,,,\n", ["region", "a mean", "a std", "b mean", "b std"]),
    ],
)
def test_names_that_stand_in_two_lines_are_joined(head: str, names: list[str]) -> None:
    frame, _ = read(head + rows(lambda at: f"r{at},{at},{at * 2},{at * 3},{at / 2}"))
    assert list(frame.columns) == names
    assert len(frame) == 40


def test_years_under_repeated_names_are_data_where_the_columns_hold_years() -> None:
    frame, _ = read("born,born\n" + rows(lambda at: f"{1950 + at},{1960 + at}"))
    assert frame.iloc[0].tolist() == [1950, 1960]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            "Station,Berlin\nLat,52.5\nLon,13.4\ndate,temp\n" + rows(lambda at: f"2020-01-{at % 28 + 1:02d},{at}"),
            "Lines 1 and 4 both look like names of columns: say --header-line 4",
        ),
        (
            'Q1,Q2\nAge?,Where?\n"{""ImportId"":""Q1""}","{""ImportId"":""Q2""}"\n' + rows(lambda at: f"{at},x"),
            "--skip-lines 2,3",
        ),
    ],
)
def test_lines_between_names_and_data_are_asked_for(data: str, words: str) -> None:
    assert words in refused(data)


def test_a_word_among_numbers_early_in_a_table_is_no_second_line_of_names() -> None:
    data = "a,b,c\n" + rows(lambda at: f"x{at},{'none yet' if at == 4 else at},{at}")
    assert len(read(data)[0]) == 40


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (",780,1560", "The last row holds the sums of the rows above it; --footer-lines 1"),
        ("All regions,780,1560", "The last row holds the sums"),
        (",,\nx,1,2", "1 row without any value was kept"),
    ],
)
def test_rows_that_hold_sums_or_nothing_are_said(last: str, words: str) -> None:
    data = "a,b,c\n" + rows(lambda at: f"x{at},{at},{at * 2}") + last + "\n"
    assert words in said(data)
    assert "holds the sums" not in said("a,b,c\n" + rows(lambda at: f"x{at},{at},{at * 2}") + "x,781,1561\n")


def test_wide_text_without_latin_letters_or_a_mark_is_read() -> None:
    text = "город,число\n" + rows(lambda at: f"Москва,{at}")
    frame, facts = read(text.encode("utf-16-le"))
    assert (facts.encoding, frame.iloc[3].tolist()) == ("utf-16-le", ["Москва", 3])


def test_marks_that_stand_around_a_part_of_each_field_are_not_taken_away() -> None:
    assert "mend it" in refused("name,v\n" + rows(lambda at: f'"big" pipe,{at}'))


def test_tables_as_r_writes_them_with_blanks() -> None:
    frame, facts = read('"a" "b"\n' + rows(lambda at: f'"row {at}" {at} {at / 2}'))
    assert list(frame.columns) == ["Unnamed: 0", "a", "b"]
    assert frame.iloc[3].tolist() == ["row 3", 3, 1.5]
    assert "first column had no name" in "\n".join(facts.warnings)


def test_names_after_a_preamble_may_end_with_a_delimiter() -> None:
    frame, _ = read(
        "Series: x\nUnit: per cent\n\nid,year,value,\n" + rows(lambda at: f"L{at % 3},{1960 + at},{at / 2}")
    )
    assert list(frame.columns) == ["id", "year", "value"]
    assert len(frame) == 40


def test_a_remark_among_the_rows_is_left_out_by_the_option_that_is_named() -> None:
    data = "a,b\n1,2\n# remark\n" + rows(lambda at: f"{at},{at}")
    assert "say --comment '#'" in refused(data)
    assert len(read(data, comment="#")[0]) == 41
