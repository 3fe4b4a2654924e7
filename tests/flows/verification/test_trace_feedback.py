"""What a model is told of a cell: the truth, within the budget, and the same text for the same result."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.sandboxes.models import CellError, CellResult, Submission
from flows.verification.feedback import cell_feedback, clean, cut, shares
from tests.support.attempts import cell

ANSWER = Submission(value={"t": "int", "v": 1})
ERROR = CellError(name="KeyError", message="'x'", traceback="Cell 1, line 1\nKeyError: 'x'")


def told(result: CellResult, budget: int = 1_000) -> str:
    return cell_feedback(result, turn=3, budget=budget)


def test_output_and_value_are_told_apart() -> None:
    assert told(cell(stdout="4\n", value="5")) == "[run 3: ok]\nOutput:\n4\nValue of the last line:\n5"


def test_silence_is_said() -> None:
    assert "Nothing was printed" in told(cell())
    assert "Nothing was printed" not in told(cell(submission=ANSWER))
    assert "Nothing was printed" not in told(cell("error", error=ERROR))


def test_an_error_comes_with_its_traceback_and_what_was_printed_before() -> None:
    text = told(cell("error", error=ERROR, stdout="before"))
    assert text.startswith("[run 3: failed with KeyError]")
    assert "Cell 1, line 1" in text
    assert "before" in text


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (cell("timeout", namespace_kept=True), "ran longer than the time limit"),
        (cell("memory", namespace_kept=False), "used more memory than allowed"),
        (cell("killed", namespace_kept=False, reason="segmentation fault"), "ended by force: segmentation fault"),
    ],
)
def test_a_cell_that_was_stopped_says_why_and_whether_variables_survived(result: CellResult, words: str) -> None:
    text = told(result)
    assert words in text
    assert ("All variables of earlier runs are lost" in text) is not result.namespace_kept


def test_a_submission_is_acknowledged_only_where_it_counts() -> None:
    assert "The answer was received" in told(cell(submission=ANSWER))
    failed = told(cell("error", error=ERROR, submission=ANSWER))
    assert "does not count" in failed
    assert "received" not in failed


def test_figures_and_dropped_values_are_counted() -> None:
    text = told(cell(figures=(b"a", b"b"), events_dropped=1))
    assert "2 figures drawn" in text
    assert "1 of the values given to submit, note or figures could not be taken" in text
    assert "1 figure drawn" in told(cell(figures=(b"a",)))


def test_time_memory_and_addresses_leave_no_trace() -> None:
    first = cell(stdout="<function f at 0x7f1122334455>", wall_s=1.0, cpu_s=2.0, peak_bytes=3)
    second = cell(stdout="<function f at 0x7faabbccddee>", wall_s=9.0, cpu_s=8.0, peak_bytes=7)
    assert told(first) == told(second)


def test_hexadecimal_data_is_not_taken_for_an_address() -> None:
    assert "0xdeadbeef" in told(cell(stdout="colour 0xdeadbeef"))


def test_long_output_keeps_head_and_tail_and_says_what_is_missing() -> None:
    text = told(cell(stdout="A" * 5_000 + "Z" * 5_000), budget=1_000)
    assert "AAAA" in text
    assert text.endswith("ZZZZ")
    assert "[9,000 characters left out]" in text


def test_a_short_error_is_never_crowded_out_by_long_output() -> None:
    text = told(cell("error", error=ERROR, stdout="x" * 100_000), budget=400)
    assert "KeyError: 'x'" in text
    assert "Cell 1, line 1" in text


@given(st.text(max_size=400), st.text(max_size=400), st.text(max_size=400), st.integers(200, 600))
def test_the_budget_holds_whatever_is_printed(stdout: str, stderr: str, value: str, budget: int) -> None:
    text = told(cell(stdout=stdout, stderr=stderr, value=value), budget=budget)
    marks = 3 * len("\n… [1,000 characters left out] …\n") + 120
    assert len(text) <= budget + marks
    text.encode("utf-8")
    assert "\x00" not in text


@given(st.text())
def test_clean_text_can_be_sent_and_cleaning_twice_changes_nothing(text: str) -> None:
    once = clean(text)
    once.encode("utf-8")
    assert clean(once) == once


@given(st.lists(st.integers(0, 500), max_size=6), st.integers(0, 800))
def test_shares_use_the_budget_and_prefer_whole_texts(lengths: list[int], budget: int) -> None:
    given_out = shares(lengths, budget)
    assert all(0 <= share <= length for share, length in zip(given_out, lengths, strict=True))
    assert sum(given_out) <= budget
    if sum(lengths) <= budget:
        assert given_out == lengths
    elif lengths:
        assert sum(given_out) > budget - len(lengths)
        cut_ones = [s for s, length in zip(given_out, lengths, strict=True) if s < length]
        assert max(given_out) <= max(cut_ones) + 1


@given(st.text(max_size=200), st.integers(0, 250))
def test_a_cut_keeps_exactly_the_room_it_is_given(text: str, room: int) -> None:
    short = cut(text, room)
    if len(text) <= room:
        assert short == text
    else:
        head, _, tail = short.partition("\n… [")
        kept = tail.partition("left out] …\n")[2]
        assert len(head) + len(kept) == room
        assert text.startswith(head)
        assert text.endswith(kept)
