"""Self-corrections and grounded notes, out of real attempts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.sandboxes.models import CellStatus, Note
from flows.verification.attempts import CellRecord, Trace, TraceConfig, Turn
from flows.verification.corrections import unified
from flows.verification.grounding import ground_notes
from flows.verification.trace_loop import run_trace
from tests.support.attempts import LocalSession, ScriptedModel, block, cell, task_on

CONFIG = TraceConfig(model="m", max_turns=10, max_rejected=5)


async def attempt(*codes: str) -> Trace:
    script = [block(code) if code != "-" else "No code this time." for code in codes]
    return await run_trace(ScriptedModel(*script), LocalSession(), task_on(), CONFIG)


async def test_each_new_try_after_a_failure_is_a_correction_until_code_runs_well() -> None:
    trace = await attempt("a = 1\nb = df['no']", "-", "a = 1\nb = df['nope']", "a = 1\nb = df['city']", "submit(a)")
    found = [turn.correction for turn in trace.turns]
    assert [item is None for item in found] == [True, True, False, False, True]
    first, second = found[2], found[3]
    assert first is not None
    assert second is not None
    assert (first.corrects_turn, first.attempts_since_error, first.resolved) == (1, 1, False)
    assert (second.corrects_turn, second.attempts_since_error, second.resolved) == (3, 2, True)
    assert (first.error_kind, first.message) == ("KeyError", "'no'")
    assert "-b = df['no']" in first.diff
    assert "+b = df['nope']" in first.diff
    assert "\n a = 1\n" in first.diff


async def test_counting_starts_again_after_code_that_ran_well() -> None:
    trace = await attempt("1/0", "x = 1", "1/0", "submit(1)")
    counts = [turn.correction and turn.correction.attempts_since_error for turn in trace.turns]
    assert counts == [None, 1, None, 1]


async def test_a_cell_that_was_stopped_is_corrected_by_its_status() -> None:
    stopped = cell("timeout", reason="over 60 s", namespace_kept=True)
    session = LocalSession(override=lambda number: stopped if number == 1 else None)
    trace = await run_trace(ScriptedModel(block("while True: pass"), block("submit(1)")), session, task_on(), CONFIG)
    correction = trace.turns[1].correction
    assert correction is not None
    assert (correction.error_kind, correction.message) == ("timeout", "over 60 s")


programs = st.lists(st.sampled_from(["a = 1", "b = 2", "", "print('\x0c')", "# ü"]), max_size=6).map("\n".join)


@settings(max_examples=25, deadline=None)
@given(before=programs, after=programs)
def test_the_diff_turns_the_old_code_into_the_new(
    tmp_path_factory: pytest.TempPathFactory, before: str, after: str
) -> None:
    diff = unified(before, after, "a", "b")
    assert (diff == "") == (before == after)
    if diff:
        assert apply(tmp_path_factory.mktemp("diff"), before, diff) == after


def apply(folder: Path, before: str, diff: str) -> str:
    """The old text with the diff applied by git, which knows unified diffs better than any test."""
    (folder / "code").write_bytes(before.encode())
    headed = diff.replace("--- a", "--- a/code", 1).replace("+++ b", "+++ b/code", 1)
    done = subprocess.run(
        ["git", "apply", "--unidiff-zero", "--whitespace=nowarn", "-"],
        input=headed.encode(), cwd=folder, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stderr, headed)
    return (folder / "code").read_bytes().decode() if (folder / "code").exists() else ""


GROUNDED = [
    ("n = len(df)", "n=len( df )"),
    ("n = len(df)", "len(df)"),
    ("m = df['size'].mean()", 'm = df["size"].mean()'),
    ("n = len(df)  # rows", "n = len(df)"),
    ("a = 1\nb = a + 1", "a = 1\nb = a + 1"),
    ("if True:\n    k = 5", "k = 5"),
    ("for c in df.columns:\n    print(c)", "for c in df.columns:"),
    ("def f():\n    return len(df)\nn = f()", "return len(df)"),
    ("print(df['size'].sum())", "df['size'].sum()"),
]
UNGROUNDED = [
    ("n = 5", "n = len(df)", "in no code that ran"),
    ("m = df['size'].mean()", "m = df['size'].median()", "in no code that ran"),
    ("x = 15", "x = 1.5", "in no code that ran"),
    ("n = len(df)", "", "no code line"),
    ("n = len(df)", "# n = len(df)", "no code line"),
    ("n = 5", "5", "no code line"),
    ("a = 1\nb = a + 1", "a = 1\nb = a + 2", "in no code that ran"),
    ("s = 'n = len(df)'", "n = len(df)", "in no code that ran"),
]


def noted(code: str, line: str, status: CellStatus = "ok", turns: tuple[Turn, ...] = ()) -> tuple[bool, str]:
    result = cell(status, notes=(Note(name="v", value={"t": "none"}, code_line=line),))
    (note,) = ground_notes(turns, code, CellRecord.of(result))
    return note.grounded, note.reason


@pytest.mark.parametrize(("code", "line"), GROUNDED)
def test_a_note_is_grounded_in_the_code_that_ran(code: str, line: str) -> None:
    assert noted(code, line) == (True, "")


@pytest.mark.parametrize(("code", "line", "reason"), UNGROUNDED)
def test_a_note_about_code_that_did_not_run_is_marked(code: str, line: str, reason: str) -> None:
    grounded, why = noted(code, line)
    assert not grounded
    assert reason in why


def test_code_of_a_failed_cell_grounds_nothing_and_code_of_an_earlier_good_one_does() -> None:
    good = Turn(index=1, code="n = len(df)", cell=CellRecord.of(cell()))
    bad = Turn(index=1, code="n = len(df)", cell=CellRecord.of(cell("error")))
    assert noted("n = len(df)", "n = len(df)", "error") == (False, "its cell failed")
    assert noted("x = 1", "n = len(df)", turns=(good,)) == (True, "")
    assert not noted("x = 1", "n = len(df)", turns=(bad,))[0]


async def test_notes_are_kept_in_order_with_dependencies_checked() -> None:
    trace = await attempt(
        "n = len(df)\nnote('n', n, code_line='n = len(df)')",
        "m = n * 2\nnote('m', m, 'm = n * 3', ['n', 'ghost'])\nnote('k', m, 'm = n * 2', ['m'])\nsubmit(m)",
    )
    facts = [(note.name, note.grounded, note.unknown_dependencies) for note in trace.notes]
    assert facts == [("n", True, ()), ("m", False, ("ghost",)), ("k", True, ())]
    assert trace.notes[1].value == {"t": "int", "v": 8}
