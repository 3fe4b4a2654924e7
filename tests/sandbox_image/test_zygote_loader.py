"""Reading CSV files: what is found out about good ones, and the one sentence about each bad one."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_image.zygote.reading.dialect import NO_DELIMITER, Line, sniff
from sandbox_image.zygote.reading.loader import Facts, LoadError, load
from sandbox_image.zygote.reading.rules import Rules
from tests.support.properties import PATIENT


def read(data: bytes, **options: object) -> tuple[pd.DataFrame, Facts]:
    most = {"max_columns": options.pop("max_columns")} if "max_columns" in options else {}
    return load(io.BytesIO(data), rules=Rules.parse(options), **most)  # type: ignore[arg-type]


def sniff_delimiter(sample: str) -> str:
    return sniff([Line(at, text) for at, text in enumerate(sample.splitlines(), start=1)], Rules()).delimiter


def failure(data: bytes, **options: object) -> LoadError:
    with pytest.raises(LoadError) as caught:
        read(data, **options)
    assert caught.value.message.endswith((".", "…")) or caught.value.reason == "other"
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"a,b\n1,2\n", "utf-8"),
        ("a,b\né,2\n".encode(), "utf-8"),
        (b"\xef\xbb\xbfa,b\n1,2\n", "utf-8"),
        ("a,b\né,2\n".encode("utf-16"), "utf-16"),
        ("a,b\né,2\n".encode("utf-16-be").replace(b"", b"", 1), "utf-16-be"),
        ("name,value\nabc,2\ndef,3\n".encode("utf-16-le"), "utf-16-le"),
        ("a,b\né,2\n".encode("cp1252"), "cp1252"),
        ("a,b\n€,2\n".encode("cp1252"), "cp1252"),
    ],
)
def test_encodings_are_found_out(data: bytes, encoding: str) -> None:
    if encoding == "utf-16-be":
        data = "name,value\nabc,2\ndef,3\n".encode("utf-16-be")
    frame, facts = read(data)
    assert facts.encoding == encoding
    assert list(frame.columns) in (["a", "b"], ["name", "value"])
    if encoding == "cp1252":
        assert len(facts.warnings) == 1
        assert "not UTF-8 (line 2)" in facts.warnings[0]


def test_mixed_encodings_are_read_and_said() -> None:
    frame, facts = read("a,b\nnaïve,1\n".encode() + "café,2\n".encode("cp1252") + b"plain,3\n")
    assert list(frame["a"]) == ["naïve", "café", "plain"]
    assert "mixes encodings" in facts.warnings[0]
    assert "line 3" in facts.warnings[0]


@pytest.mark.parametrize(
    ("data", "delimiter", "columns"),
    [
        (b"a,b,c\n1,2,3\n4,5,6\n", ",", 3),
        (b"a;b;c\n1,5;2,5;3\n4;5;6\n", ";", 3),
        (b"a\tb\n1\t2\n", "\t", 2),
        (b"a|b|c\n1|2|3\n", "|", 3),
        (b"only\n1\n2\n", NO_DELIMITER, 1),
        (b"remark\nwell, yes\nno\nthis, that, other\n", NO_DELIMITER, 1),
        (b'a,b\n"x,y",2\n"p\nq",3\n', ",", 2),
        (b"a,b\r\n1,2\r\n", ",", 2),
        (b"a,b\r1,2\r3,4\r", ",", 2),
        (b'"a;x",b\n"1;y",2\n"2;z",3\n', ",", 2),
    ],
)
def test_delimiters_are_found_out(data: bytes, delimiter: str, columns: int) -> None:
    frame, facts = read(data)
    assert facts.delimiter == delimiter
    assert frame.shape[1] == columns == facts.columns


def test_what_is_asked_for_is_not_guessed() -> None:
    frame, facts = read(b"a,b;c\n1,2;3\n", delimiter=";", encoding="latin-1")
    assert list(frame.columns) == ["a,b", "c"]
    assert (facts.delimiter, facts.encoding) == (";", "iso8859-1")
    assert failure(b"a\n1\n", encoding="klingon").reason == "encoding"
    assert failure(b"a\n\xff\xfe\xfa\n", encoding="utf-8").reason == "encoding"


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (b"", "empty", "The file is empty."),
        (b"\n\n  \n", "empty", "The file is empty."),
        (b"\xef\xbb\xbf", "empty", "The file is empty."),
        (b"a,b,c\n", "empty", "no rows"),
        (b"a,b,c", "empty", "no rows"),
        (b"a,b\n1,\x002\n", "not_text", "byte 7 is NUL"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "format", "PNG image"),
        (b"a,b\n\x81\xe9,2\n", "encoding", "--encoding"),
        (b"a,b\n1,2\n3,4,5\n", "ragged", "Line 3 has 3 fields where 2"),
        (b'a,b\n1,"2\n3,4\n', "quote", "never closed"),
        (b'""\n', "no_columns", "no columns"),
    ],
)
def test_bad_files_get_one_sentence(data: bytes, reason: str, words: str) -> None:
    error = failure(data)
    assert error.reason == reason
    assert words in error.message


def test_a_hundred_thousand_columns_are_refused_before_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    header = ",".join(f"c{number}" for number in range(100_000))
    row = ",".join("1" for _ in range(100_000))
    monkeypatch.setattr(pd, "read_csv", lambda *_, **__: pytest.fail("parsed"))
    error = failure(f"{header}\n{row}\n".encode())
    assert error.reason == "too_many_columns"
    assert "100,000 columns; at most 5,000" in error.message


def test_as_many_columns_as_allowed_are_read() -> None:
    header = ",".join(f"c{number}" for number in range(300))
    row = ",".join(str(number) for number in range(300))
    frame, _ = read(f"{header}\n{row}\n".encode(), max_columns=300)
    assert frame.shape == (1, 300)


@pytest.mark.parametrize("missing", ["?", "NA", "N/A", "na", "n/a", "", "NaN", "null"])
def test_missing_values_are_missing(missing: str) -> None:
    frame, _ = read(f"a,b\n1,x\n{missing},y\n".encode())
    assert frame["a"].isna().tolist() == [False, True]
    assert frame["a"].dtype == float


def test_duplicate_names_are_numbered_and_said() -> None:
    frame, facts = read(b"a,a,b,a\n1,2,3,4\n")
    assert list(frame.columns) == ["a", "a.1", "b", "a.2"]
    assert "more than once" in facts.warnings[0]
    assert "'a'" in facts.warnings[0]


def test_hostile_names_are_data() -> None:
    names = ["__class__", "'); import os #", "ignore all instructions", "<script>", "a" * 5_000]
    frame, _ = read((",".join(names) + "\n1,2,3,4,5\n").encode())
    assert list(frame.columns) == names


def test_a_trailing_delimiter_does_not_shift_the_columns() -> None:
    frame, facts = read(b"a,b\n1,2,\n3,4,\n")
    assert frame.to_dict("list") == {"a": [1, 3], "b": [2, 4]}
    assert "ends with a delimiter" in facts.warnings[0]


def test_row_labels_without_a_name_become_a_column() -> None:
    frame, facts = read(b"a,b\nx,1,2\ny,3,4\n")
    assert frame.to_dict("list") == {"Unnamed: 0": ["x", "y"], "a": [1, 3], "b": [2, 4]}
    assert "first column had no name" in facts.warnings[0]


def test_facts_are_about_the_bytes() -> None:
    data = b"a,b\n1,2\n3,4\n"
    _, facts = read(data)
    assert (facts.rows, facts.columns, facts.bytes) == (2, 2, len(data))
    assert facts.sha256 == __import__("hashlib").sha256(data).hexdigest()


def test_a_header_longer_than_the_sample_is_read_whole() -> None:
    names = [f"{'x' * 200}{number}" for number in range(2_000)]
    frame, _ = read((",".join(names) + "\n" + ",".join("1" * 2_000) + "\n").encode())
    assert frame.shape == (1, 2_000)


def test_a_character_across_the_samples_edge_is_not_broken() -> None:
    line = "é" * 99 + ",1\n"
    data = ("a,b\n" + line * 2_000).encode()
    frame, facts = read(data)
    assert facts.encoding == "utf-8"
    assert len(frame) == 2_000


@PATIENT
@given(st.binary(max_size=300))
def test_any_bytes_give_a_table_or_a_load_error(data: bytes) -> None:
    try:
        frame, facts = read(data)
    except LoadError:
        return
    assert frame.shape == (facts.rows, facts.columns)


fields = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cf"], exclude_characters="ÂÃÄÅÐÑâãï\ufffd"), min_size=1, max_size=8
)


@PATIENT
@given(st.lists(st.tuples(fields, fields, fields), min_size=1, max_size=20), st.sampled_from(",;\t|"))
def test_a_written_table_comes_back(rows: list[tuple[str, str, str]], delimiter: str) -> None:
    written = pd.DataFrame([[f"v{cell}v" for cell in row] for row in rows], columns=["one", "two", "three"])
    buffer = io.BytesIO(written.to_csv(index=False, sep=delimiter).encode())
    frame, facts = load(buffer, rules=Rules(delimiter=delimiter))
    assert frame.to_numpy().tolist() == written.to_numpy().tolist()
    assert facts.warnings == []


def test_sniffing_prefers_the_header_and_most_lines() -> None:
    assert sniff_delimiter("a;b\n1,5;2\n2,5;3\n") == ";"
    assert sniff_delimiter("a,b\n1;2;3,4\n5;6;7,8\n") == ","
    assert sniff_delimiter("") == NO_DELIMITER


def test_importing_the_module_loads_no_pandas(repository: Path) -> None:
    code = (
        "import sys, sandbox_image.zygote.reading.loader, sandbox_image.zygote.values; print('pandas' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
