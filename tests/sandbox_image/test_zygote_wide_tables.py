"""What is told of a table fits into one message, however many columns have something to tell."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_image.zygote.protocol import Kind
from sandbox_image.zygote.reading.loader import load
from sandbox_image.zygote.reading.remarks import bounded
from tests.sandbox_image.driver import QUICKLY, Zygote
from tests.support.properties import PATIENT

WIDTH = 5_000


def word(number: int) -> str:
    """A word of its own, without digits."""
    return "лет" + "".join(chr(ord("а") + int(digit)) for digit in str(number))


def wide() -> bytes:
    """Each column has numbers with a word among them that is read as missing, in each another one."""
    rows = [[str(row + at) for at in range(WIDTH)] for row in range(10)]
    for row in (3, 7):
        rows[row] = [word(at) for at in range(WIDTH)]
    lines = [",".join(f"measured_{at}" for at in range(WIDTH)), *(",".join(row) for row in rows)]
    return "\n".join(lines).encode()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Zygote]:
    zygote = Zygote(tmp_path, *QUICKLY)
    yield zygote
    zygote.close()


def test_a_table_of_five_thousand_columns_with_notes_is_loaded(fresh: Zygote) -> None:
    fresh.receive(Kind.HELLO)
    loaded = fresh.load(wide())
    assert loaded.kind == Kind.LOADED
    facts = loaded.json()
    assert (facts["rows"], facts["columns"]) == (10, WIDTH)
    assert len(facts["warnings"]) <= 102
    assert any(word(0) in each for each in facts["warnings"])
    assert "more notes left out." in facts["warnings"][-1]
    assert facts["column_notes"]["measured_0"] == f"{word(0)!r} read as missing"
    lost = WIDTH - len(facts["column_notes"])
    assert f"The descriptions of {lost:,} columns were left out, since there are too many." in facts["warnings"]
    assert fresh.open(1).kind == Kind.OPENED


def test_rules_that_no_message_carries_are_refused_with_a_sentence(fresh: Zygote) -> None:
    fresh.receive(Kind.HELLO)
    failed = fresh.load(rules={"types": {f"a column of a long name, the {at}th": "text" for at in range(WIDTH)}})
    assert (failed.kind, failed.json()["reason"]) == (Kind.LOAD_FAILED, "rules")
    assert "reading rules take more than 128 KiB" in failed.json()["message"]
    assert fresh.load().kind == Kind.LOADED


def test_a_long_note_is_cut() -> None:
    frame, facts = load(io.BytesIO(b"a,b\n1,2\n1,3\n1,4\n1,5\n1," + b"x" * 100_000 + b"\n"))
    assert frame.shape == (5, 2)
    assert [len(each) for each in facts.warnings] == [600]


@PATIENT
@given(st.lists(st.text(max_size=2_000), max_size=300), st.dictionaries(st.text(), st.text(max_size=2_000)))
def test_what_is_kept_is_bounded_and_counted(notes: list[str], columns: dict[str, str]) -> None:
    kept, described = bounded(notes, columns)
    assert len(str(kept).encode()) + len(str(described).encode()) < 100 * 1024
    cut = {name: (each if len(each) <= 600 else each[:599] + "…") for name, each in columns.items()}
    assert described.items() <= cut.items()
    if len(notes) <= 100 and all(len(each) <= 50 for each in notes) and len(described) == len(columns):
        assert kept == notes
    assert kept or not notes
