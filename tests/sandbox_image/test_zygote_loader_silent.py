"""Files that were once read another way than they are written, with no word about it."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
import pytest

from sandbox_image.zygote.reading.loader import Facts, LoadError, load
from sandbox_image.zygote.reading.rules import Rules


def read(data: str, **rules: Any) -> tuple[pd.DataFrame, Facts]:
    return load(io.BytesIO(data.encode()), rules=Rules.parse(rules))


def column(name: str, values: list[str], *, delimiter: str = ",") -> str:
    """A table of words and one column."""
    lines = [f"k{at % 3}{delimiter}{value}" for at, value in enumerate(values)]
    return "\n".join([f"key{delimiter}{name}", *lines]) + "\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("d", ["3.1995", "12.2017", "4.2000", "4.2001"]),
        ("d", ["03.1995", "12.2017", "04.2000", "04.2001"]),
        ("d", ["1999.01", "1999.02", "1999.03", "1999.10", "2000.11", "2000.12"]),
        ("d", ["1999.8", "1999.9", "1999.10", "1999.11", "2000.1", "2000.2"]),
        ("Monat", ["12.2017", "12.2018", "12.2019"]),
        ("period", ["2017.10"] * 3),
    ],
)
def test_months_with_a_point_stay_text_and_are_told(delimiter: str, name: str, values: list[str]) -> None:
    data = column(name, values * 5 + [""], delimiter=delimiter)
    frame, facts = read(data)
    assert frame[name].dropna().tolist() == values * 5
    assert any(repr(name) in note and "months" in note for note in facts.warnings)
    assert frame[name].isna().sum() == 1
    assert str(read(data, types={name: "number"})[0][name].dtype) == "float64"


@pytest.mark.parametrize(
    "values",
    [
        ["1.1995", "1.2000", "1.2048"],  # a rate of exchange
        ["3.1995", "12.2017", "4.2000", "13.2000"],
        ["3.1995", "12.2017", "4.2000", "4.21"],
        ["1999.04", "1999.12", "1999.21", "1999.29", "1999.37", "1999.46"],  # fractions of years
        ["1999.1", "1999.2", "1999.3", "1999.4", "2000.1", "2000.2"],
        ["2010.10", "2010.12", "2011.05"],
    ],
)
def test_fractions_that_lie_where_months_do_are_numbers(values: list[str]) -> None:
    frame, facts = read(column("d", values * 5))
    assert frame["d"].tolist() == [float(each) for each in values * 5]
    assert facts.warnings == []


ROWS = [f"x{at},{at + 5},{at * 7}" for at in range(12)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(("above", "rows"), [([",,"], 1), ([",,", "", " , ,"], 2), (["", ",,"], 1)])
def test_a_row_without_values_right_below_the_names_is_kept_and_told(above: list[str], rows: int, end: str) -> None:
    top, told = read(end.join(["a,b,c", *above, *ROWS, ""]))
    middle, expected = read(end.join(["a,b,c", *ROWS[:6], *above, *ROWS[6:], ""]))
    assert len(top) == len(middle) == 12 + rows
    assert top["a"].iloc[rows:].tolist() == [f"x{at}" for at in range(12)]
    assert top["b"].isna().sum() == rows
    notes = [note for note in expected.warnings if "without any value" in note]
    assert notes
    assert notes == [note for note in told.warnings if "without any value" in note]


def test_a_row_without_values_above_the_names_or_a_drawn_line_is_no_row() -> None:
    assert len(read("\n".join([",,", "a,b,c", *ROWS]))[0]) == 12
    frame, facts = read("\n".join(["a,b,c", "[id],[kg],[m]", ",,", *ROWS]))
    assert (len(frame), facts.column_notes["b"]) == (13, "unit: kg")
    assert len(read("\n".join(["a,b,c", ",,", "---,---,---", *ROWS]))[0]) == 12


@pytest.mark.parametrize("blank", ["", "\n"])
def test_a_first_row_that_adds_up_all_others_is_told_with_its_line(blank: str) -> None:
    total = f"World,{sum(range(5, 17))},{sum(range(0, 84, 7))}"
    data = "\n".join([f"a,b,c{blank}", total, *ROWS])
    frame, facts = read(data)
    line = 3 if blank else 2
    assert len(frame) == 13
    assert [note for note in facts.warnings if "sums" in note] == [
        f"The first row holds the sums of the rows below it; --skip-lines {line} leaves it out."
    ]
    again, left = read(data, skip_lines=[line])
    assert len(again) == 12
    assert not any("sums" in note for note in left.warnings)


def test_a_first_row_that_adds_up_most_columns_only_is_not_told() -> None:
    assert read("\n".join(["a,b,c", f"x,{sum(range(5, 17))},3", *ROWS]))[1].warnings == []


@pytest.mark.parametrize(
    "word",
    ["Count", "COUNT:", "count", "Row count", "Number of records", "Anzahl", "Nombre", "Median", "Maximum", "件数"],
)
@pytest.mark.parametrize("last", ["{},12,12", "{},,12", "{},12.5,"])
def test_a_last_row_that_counts_or_measures_the_others_is_left_out_and_told(word: str, last: str) -> None:
    line = last.format(word)
    frame, facts = read("\n".join(["a,b,c", *ROWS, line]))
    assert len(frame) == 12
    assert [note for note in facts.warnings if "totals" in note] == [
        f"1 row of totals at the end left out ({line!r}); --footer-lines 0 keeps everything."
    ]
    assert len(read("\n".join(["a,b,c", *ROWS, line]), footer_lines=0)[0]) == 13


def test_several_rows_that_measure_the_others_are_left_out() -> None:
    frame, facts = read("\n".join(["a,b,c", *ROWS, "Total,1,2", "Average,5,6", "Median,5,6", "Count,12,12"]))
    assert len(frame) == 12
    assert any("4 rows of totals" in note for note in facts.warnings)


@pytest.mark.parametrize(
    "rows",
    [
        [*ROWS, "Count,high,12"],  # no number
        [*ROWS, "Count Dracula,12,12"],
        ["Count,5,6", *ROWS, "Count,12,12"],
        ["Count,5,6", *ROWS * 40, "Count,12,12"],
        [*ROWS, "Max,12,12"],  # the name of a man
        [f"{each},1,2" for each in ("mean", "std", "min", "25%", "50%", "75%", "max", "mad", "sem", "sum", "count")],
    ],
)
def test_a_last_row_with_such_a_word_as_a_value_stays(rows: list[str]) -> None:
    assert len(read("\n".join(["a,b,c", *rows]))[0]) == len(rows)


@pytest.mark.parametrize(
    ("gain", "loss", "unit", "decimal"),
    [
        ("$45,887.93", "$(66,799.92)", "$", "."),
        ("$45,887.93", "$ (66,799.92)", "$", "."),
        ("$45,887.93", "($66,799.92)", "$", "."),
        ("€12.50", "€(12.50)", "€", "."),
        ("USD 12.50", "USD (12.50)", "USD", "."),
        ("45.887,93 €", "(66.799,92) €", "€", ","),
        ("45.887,93 €", "(66.799,92 €)", "€", ","),
        ("12.5%", "(3.5)%", "%", "."),
        ("45,887.93", "(66,799.92)", "", "."),
    ],
)
def test_brackets_for_minus_may_stand_within_or_around_the_currency(
    gain: str, loss: str, unit: str, decimal: str
) -> None:
    data = "key\tv\n" + "".join(f"a\t{gain}\nb\t{loss}\n" for _ in range(20))
    frame, facts = read(data)
    plain = ["".join(sign for sign in each if sign.isdigit() or sign == decimal) for each in (gain, loss)]
    values = [float(each.replace(",", ".")) for each in plain]
    assert frame["v"].tolist() == [values[0], -values[1]] * 20
    assert any("brackets for minus" in note for note in facts.warnings)
    assert facts.column_notes.get("v", "") == (f"unit: {unit}" if unit else "")


@pytest.mark.parametrize("value", ["$((5.50)", "($(5.50)", "$(5.50", "$5.50)", "(5.50$)$", "(5.50) $ EUR"])
def test_brackets_that_do_not_fit_make_no_number(value: str) -> None:
    frame, _ = read("key\tv\n" + "".join(f"a\t$4.50\nb\t{value}\n" for _ in range(20)))
    assert frame["v"].iloc[1] == value


@pytest.mark.parametrize("wrap", ['="{}"', '"=""{}"""', "'{}"])
def test_what_keeps_a_value_as_text_is_taken_off(wrap: str) -> None:
    ids = [f"{at:04}" for at in range(30)]
    numbers = [str(100 + 7 * at) for at in range(30)]
    lines = [f"{wrap.format(a)},{wrap.format(b)}" for a, b in zip(ids, numbers, strict=True)]
    frame, facts = read("\n".join(["code,v", *lines, ",", ","]), footer_lines=0)
    assert frame["code"].dropna().tolist() == ids
    assert frame["v"].dropna().tolist() == [float(each) for each in numbers]
    assert any("was taken off" in note or "were taken off" in note for note in facts.warnings)
    kept, _ = read("\n".join(["code,v", *lines]), types={"code": "text"})
    assert kept["code"].iloc[3] == ("'0003" if wrap.startswith("'") else '="0003"')


def test_wrapped_beside_plain_values_and_empty_ones() -> None:
    values = ['="5"', "6", '=""', '="7.5"'] * 8
    frame, facts = read(column("v", values))
    assert frame["v"].tolist()[:2] == [5.0, 6.0]
    assert frame["v"].isna().sum() == 8
    assert frame["v"].iloc[3] == 7.5
    assert any("taken off" in note for note in facts.warnings)


def test_wrapped_values_beside_words_are_kept_and_told() -> None:
    values = ['="0012"', "a b", '="0013"', "c d"] * 8
    frame, facts = read(column("v", values))
    assert frame["v"].tolist() == values
    assert any("kept as written" in note for note in facts.warnings)


@pytest.mark.parametrize("values", [["'98", "'99", "'00"], ["'n'", "'t"], ["'tis", "it's"]])
def test_an_apostrophe_of_a_word_or_a_year_is_kept(values: list[str]) -> None:
    frame, facts = read(column("v", values * 8))
    assert frame["v"].tolist() == values * 8
    assert not any("taken off" in note for note in facts.warnings)


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        ("New York", "New\u00a0York", "blanks only"),
        ("New York", "New  York", "blanks only"),
        ("New York", "New\u2009York", "blanks only"),
        ("New York", "New York\u00a0", "blanks only"),
        ("Zo\u00e9", "Zoe\u0301", "NFC and NFD"),
        ("Oslo", "\u041eslo", "U+041E"),
        ("Alpha", "\u0391lpha", "U+0391"),
    ],
)
def test_words_that_look_the_same_are_kept_apart_and_told(one: str, other: str, why: str) -> None:
    frame, facts = read(column("v", ["Rome", one, other] * 5))
    assert frame["v"].nunique() == 3
    (note,) = facts.warnings
    assert why in note
    assert "kept apart" in note


@pytest.mark.parametrize("sign", ["\u202e", "\u202a", "\u200c", "\u200d", "\u2066", "\u061c", "\u200b", "\u00ad"])
def test_signs_that_nobody_sees_are_told_in_values_and_names(sign: str) -> None:
    _, facts = read(column("v", ["Rome", f"O{sign}slo", "Bern"] * 5))
    assert any(f"(U+{ord(sign):04X}) in some values" in note for note in facts.warnings)
    _, facts = read(column(f"v{sign}w", ["Rome", "Oslo", "Bern"] * 5))
    assert any(f"(U+{ord(sign):04X}) in its name" in note for note in facts.warnings)


@pytest.mark.parametrize(
    "values",
    [
        ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0634\u0647\u0631"],  # a Persian word with its joiner
        ["\U0001f468\u200d\U0001f469", "\U0001f600"],
        ["\u041c\u043e\u0441\u043a\u0432\u0430", "Moscow", "\u0421\u041e\u0427\u0418"],
        ["Zo\u00e9", "Zoe", "M\u00fcnchen", "Munchen"],
    ],
)
def test_letters_of_other_languages_are_no_oddity(values: list[str]) -> None:
    assert read(column("v", values * 6))[1].warnings == []


@pytest.mark.parametrize("error", ["#DIV/0!", "#REF!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!"])
@pytest.mark.parametrize("values", [["5", "6"], ["up town", "down town"]])
def test_errors_of_a_spreadsheet_are_missing_and_told(error: str, values: list[str]) -> None:
    frame, facts = read(column("v", [*values * 8, error, error]))
    assert frame["v"].isna().sum() == 2
    assert facts.warnings == [f"{error!r} was read as missing, 2 times."]
    assert read(column("v", [*values * 8, error]), missing=[error])[1].warnings == []


@pytest.mark.parametrize("sign", ["##", "$$", "%%", "&&", "::"])
def test_two_signs_between_fields_are_found_out(sign: str) -> None:
    frame, facts = read(column("v", ["5", "6"] * 8, delimiter=sign))
    assert (list(frame.columns), frame["v"].tolist()) == (["key", "v"], [5, 6] * 8)
    assert f"Fields are separated by {sign!r}." in facts.warnings


@pytest.mark.parametrize(("head", "shown"), [("a;b;c", "semicolons"), ("a|b|c", "the sign |"), ("a\tb\tc", "tabs")])
def test_names_with_another_sign_between_them_are_refused_by_the_cause(head: str, shown: str) -> None:
    with pytest.raises(LoadError) as caught:
        read("\n".join([head, *ROWS]))
    assert f"Line 1 seems to name the columns with {shown} between the names" in caught.value.message
    with pytest.raises(LoadError, match="Whether line 2 names the columns is in doubt"):
        read("\n".join(["A table of x", *ROWS]))


@pytest.mark.parametrize("first", ["version: 2\n", "", "---\n"])
def test_a_file_of_nested_keys_is_refused_as_yaml(first: str) -> None:
    keys = "".join(f"  s{at}:\n    image: x:{at}\n    ports: [80, 81]\n" for at in range(80))
    with pytest.raises(LoadError, match="YAML"):
        read(f"{first}services:\n{keys}")
