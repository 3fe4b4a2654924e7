"""Whole numbers of any length: exact, or text, or told; and no error but the loader's own sentence."""

from __future__ import annotations

import io
import subprocess
import sys

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_image.zygote.reading.loader import Facts, LoadError, load
from sandbox_image.zygote.reading.numerals import number_of
from sandbox_image.zygote.reading.rules import COLUMN_TYPES, Rules
from tests.support.properties import PATIENT

LENGTHS = (20, 310, 450, 5_000)
"""More digits than an integer has, than a float reaches, than a long field had, than Python converts."""
FORMS = ("{}", "-{}", "{}.5", "{} kg", '"1,234,{}"', " {}", "{} ", '" {}"', "+{}", "0{}", "{}e0", "- {}", "({})", "${}")


def read(data: str, **options: object) -> tuple[pd.DataFrame, Facts]:
    return load(io.BytesIO(data.encode()), rules=Rules.parse(options))


def table(value: str, others: str = "{}") -> str:
    return "a,b\n" + "".join(f"{others.format(at)},x{at}\n" for at in range(8)) + f"{value},y\n"


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("form", FORMS)
def test_a_long_number_is_text_or_a_number_whatever_stands_around_it(form: str, length: int) -> None:
    for others in ("{}", "{}.5", "{} kg", "NA"):
        frame, _ = read(table(form.format("9" * length), others))
        assert frame.shape == (9, 2)
        assert pd.api.types.is_float_dtype(frame["a"]) or isinstance(frame["a"].dtype, pd.StringDtype)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("type_", COLUMN_TYPES)
def test_a_long_number_is_of_a_given_type_or_refused(type_: str, length: int) -> None:
    for data in (table("9" * length), table("9" * length, "{}.5"), table("9" * length + " kg", "{} kg")):
        assert of_the_type(data, type_) in ((9, 2), "rules")


def of_the_type(data: str, type_: str) -> object:
    """The table's size, or why it is none."""
    try:
        return read(data, types={"a": type_})[0].shape
    except LoadError as error:
        return error.reason


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("form", ["{}", "-{}", " {}", "{} ", '" {}"', '"{} "'])
def test_whole_numbers_of_too_many_digits_stay_text(form: str, length: int) -> None:
    frame, facts = read(table(form.format("9" * length)))
    assert frame["a"].iloc[-1].strip().lstrip("-") == "9" * length
    assert facts.warnings[0].startswith("Column 'a' holds whole numbers of more digits than a number keeps")


@pytest.mark.parametrize("blanks", [" ", "\t", "  ", " " * 200])
def test_blanks_around_numbers_hide_nothing(blanks: str) -> None:
    frame, facts = read(f"a,b,c\n1,1,1\n2,2,2\n{blanks}007,{blanks}9007199254740993,3\n4,,3{blanks}\n5,5,5\n6,6,6\n")
    assert frame["a"].iloc[2] == f"{blanks}007"
    assert "kept leading zeros" in facts.warnings[0]
    assert (str(frame["b"].dtype), frame["b"].iloc[2]) == ("Int64", 9007199254740993)
    assert list(frame["c"]) == [1, 2, 3, 3, 5, 6]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["9007199254740993", "1", "2"], "int64"),
        (["9007199254740993", "", "2"], "Int64"),
        (["9007199254740993", "NA", "-9007199254740995"], "Int64"),
        (["1", "", "2"], "float64"),
        (["9007199254740993", "", "2.5"], "float64"),
        (["9223372036854775808", "", "2"], "float64"),
    ],
)
def test_a_column_given_as_number_keeps_all_digits_that_a_number_can(values: list[str], dtype: str) -> None:
    frame, _ = read("a,b\n" + "".join(f"{each},x\n" for each in values), types={"a": "number"})
    assert str(frame["a"].dtype) == dtype
    if dtype != "float64":
        assert [int(each) for each in frame["a"].dropna()] == [int(each) for each in values if each not in ("", "NA")]


def test_a_gap_beside_long_whole_numbers_is_a_gap() -> None:
    frame, _ = read("a,b\n9007199254740993,0.5\n,1.5\n3,2.5\n4,3.5\n5,\n")
    assert [str(each) for each in frame.dtypes] == ["Int64", "float64"]
    assert list(frame.isna().sum()) == [1, 1]


@PATIENT
@given(st.integers(), st.sampled_from(["", "+"]), st.integers(0, 30))
def test_a_whole_number_is_exact_as_far_as_a_column_holds_it(value: int, sign: str, zeros: int) -> None:
    text = f"{sign}{'0' * zeros}{value}" if value >= 0 else f"-{'0' * zeros}{-value}"
    found = number_of(f" {text} ")
    if abs(value) < 2**63:
        assert (found, type(found)) == (value, int)
    else:
        assert float(found) == float(value)


@PATIENT
@given(st.floats(allow_nan=False))
def test_a_fraction_is_the_nearest_float(value: float) -> None:
    assert number_of(repr(value)) == value


def test_a_long_cell_before_a_wrong_value_is_no_error_of_its_own() -> None:
    data = "a,b,c\n1," + "x" * 200_000 + ",1\n2,y,1\nthree,z,1\n"
    with pytest.raises(LoadError, match=r"'three' \(line 4\) is no such value"):
        read(data, types={"a": "integer"})


def test_what_nobody_foresaw_is_a_sentence() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise KeyError("a table of an unknown kind\nwith a second line")

    with pytest.raises(LoadError, match="cannot be read as a table, for a reason nobody foresaw") as caught:
        load(Broken(b"a,b\n1,2\n"))
    assert caught.value.reason == "other"
    assert "\n" not in caught.value.message


def test_a_lack_of_memory_is_a_sentence() -> None:
    code = (
        "import io, resource, sys\n"
        "from sandbox_image.zygote.reading.loader import LoadError, load\n"
        "import pandas\n"
        "data = b'a,b\\n' + b'caf\\xe9,2\\n' * 20_000_000\n"
        "resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), resource.getrlimit(resource.RLIMIT_AS)[1]))\n"
        "try:\n"
        "    load(io.BytesIO(data))\n"
        "except LoadError as error:\n"
        "    print(error.reason)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(1_400 * 1024**2)], capture_output=True, text=True, timeout=600, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("memory", 0), done.stderr
