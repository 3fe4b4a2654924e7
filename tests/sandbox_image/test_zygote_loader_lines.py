"""A line that a message names is the file's line, whatever was left out above it; comments never hide rows."""

from __future__ import annotations

import io
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_image.zygote.reading.loader import Facts, LoadError, load
from sandbox_image.zygote.reading.records import Body
from sandbox_image.zygote.reading.rules import Rules
from tests.support.properties import PATIENT

PIECES = ("1,2,x", "3,4,y", ",,", "", '5,6,"a\nb"', "# a comment", '# of 12" or so', "skipped", '7,8,"# no comment"',
          '9,1,"first\n# second"')  # fmt: skip


def read(data: str, **options: object) -> tuple[pd.DataFrame, Facts]:
    return load(io.BytesIO(data.encode()), rules=Rules.parse(options))


def line_named(data: str, **options: object) -> int:
    with pytest.raises(LoadError) as caught:
        read(data, **options)
    found = re.search(r"[Ll]ine (\d+)", caught.value.message)
    assert found is not None, caught.value.message
    return int(found[1])


@PATIENT
@given(
    pieces=st.lists(st.sampled_from(PIECES), max_size=12),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    escape=st.sampled_from([None, "\\"]),
)
def test_the_line_of_a_wrong_value_is_the_files(pieces: list[str], end: str, escape: str | None) -> None:
    pieces = ["1,2,x", *pieces]
    lines = "\n".join(["a,b,c", *pieces, "wrong,2,z", "1,2,z"]).split("\n")
    skipped = [at for at, line in enumerate(lines, start=1) if line == "skipped"]
    options: dict[str, object] = {"types": {"a": "integer"}, "comment": "#", "skip_lines": skipped}
    if escape:
        # Such a table is read record by record.
        options["escape"] = escape
    assert line_named(end.join(lines) + end, **options) == lines.index("wrong,2,z") + 1


def test_the_line_of_a_wrong_value_counts_repeated_header_lines() -> None:
    assert line_named("a,b\nyes,y\na,b\nno,y\na,b\nwrong,y\nu,y\n", types={"a": "boolean"}) == 6


def test_a_wrong_value_far_below_is_found() -> None:
    data = "a,b\n" + "".join(f"{at},x\n" for at in range(150_000)) + "wrong,x\n7,x\n"
    assert line_named(data, types={"a": "number"}) == 150_002


def test_the_line_of_a_row_label_that_occurs_twice_is_the_files() -> None:
    head = "a,b\n" + "".join(f"r{at},{at},{at}\n" for at in range(300))
    assert line_named(head + "# one\n# two\n,,\n# three\nr7,1,2\n", comment="#") == 306


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_line_of_bytes_that_are_no_letters_is_the_files(end: str) -> None:
    data = end.join(["a,b", "1,x", "2,y", "3,z"]).encode() + end.encode() + b"4,\x81\x8d" + end.encode()
    with pytest.raises(LoadError, match="line 5 holds bytes"):
        load(io.BytesIO(data), rules=Rules(encoding="ascii"))


@given(st.sets(st.integers(5, 40), max_size=30), st.integers(1, 5), st.integers(0, 40))
def test_lines_that_were_taken_out_are_counted(removed: set[int], first: int, at: int) -> None:
    body = Body(memoryview(b"x\n" * 60), first, tuple(sorted(removed)))
    kept = [number for number in range(first, 200) if number not in removed]
    assert body.line(at) == kept[at]
    assert body.line_at(2 * at) == kept[at]


def test_marks_in_comments_and_lines_left_out_enclose_nothing() -> None:
    rows = "".join(f"{at},{at}\n" for at in range(200))
    for data in (
        f'# head\na,b\n{rows}# 12" long\n7,7\n# another\n8,8\n',
        f'# head\na,b\n{rows}# 12" long\n# 13" long\n# 14" long\n8,8\n# end\n9,9\n',
    ):
        frame, _ = read(data)
        assert frame.shape == (202, 2)
        assert [str(each) for each in frame.dtypes] == ["int64", "int64"]
    frame, _ = read(f'# head\na,b\n{rows}5"\n# comment\n8,8\n', skip_lines=[203])
    assert frame.shape == (201, 2)


def test_a_line_within_a_field_is_no_comment_after_a_comment_with_a_mark() -> None:
    rows = "".join(f"{at},y\n" for at in range(200))
    frame, _ = read(f'# head\na,b\n{rows}# 12" long\n7,"first\n# second"\n# end\n8,z\n', comment="#")
    assert list(frame["b"].tail(2)) == ["first\n# second", "z"]


@pytest.mark.parametrize(
    ("data", "count"),
    [
        ("a,b\n?,1\n2,?\n3,?\n", 3),
        ("a,b\n?,1\n2,what?\n3,?x\n4,5\n", 1),
        ('a,b\n"?",1\n2,"?"\n3,4\n', 2),
        ("a;b\r\n?;1\r\n2;?\r\n3;?", 3),
        ("a\tb\r?\t1\r2\t3\r", 1),
        ("a,b\n1,2\n3,4\n", 0),
    ],
)
def test_question_marks_that_are_whole_fields_are_counted(data: str, count: int) -> None:
    _, facts = read(data)
    said = [note for note in facts.warnings if note.startswith("'?' was read as missing")]
    times = {0: [], 1: ["once"]}.get(count, [f"{count} times"])
    assert [note.removeprefix("'?' was read as missing, ").rstrip(".") for note in said] == times


def test_question_marks_far_below_are_counted() -> None:
    _, facts = read("a,b\n" + "1,22222222222\n" * 5_000_000 + "?,1\n")
    assert "'?' was read as missing, once." in facts.warnings


@pytest.mark.parametrize(
    "word", ["Total", "Summe", "Totaal", "Toplam", "Suma", "Итого", "合計", "总计", "總計", "合计"]
)
def test_a_word_for_totals_is_one_at_the_end_and_among_rows(word: str) -> None:
    rows = [f"r{at},{at},{2 * at}" for at in range(9)]
    frame, facts = read("\n".join(["a,b,c", *rows, f"{word},36,72"]))
    assert len(frame) == 9
    assert any(f"1 row of totals at the end left out ({f'{word},36,72'!r})" in note for note in facts.warnings)
    frame, facts = read("\n".join(["a,b,c", *rows, f"{word},36,72", "s,1,2", "t,3,4"]))
    assert len(frame) == 12
    assert any(f"holds {word!r}, once: rows of totals" in note for note in facts.warnings)
