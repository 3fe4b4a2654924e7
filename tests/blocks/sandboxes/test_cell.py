"""A cell's result is built from untrusted events: what is malformed or too much is counted, never believed."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.sandboxes import CellResult, SandboxLimits
from blocks.sandboxes.cell import MAX_NOTES, RunningCell
from sandbox_image.zygote.protocol import Frame, Kind

LIMITS = SandboxLimits(max_figures=2, max_event_bytes=2000)
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 50


def event(**fields: Any) -> Frame:
    return Frame(Kind.EVENT, 1, json.dumps(fields).encode())


def end(**more: Any) -> Frame:
    fields = {
        "cell": 7,
        "status": "ok",
        "namespace": "kept",
        "reason": "",
        "wall_s": 1.0,
        "cpu_s": 0.5,
        "peak_bytes": 9,
    }
    return Frame(Kind.END, 1, json.dumps({**fields, "stdout_dropped": 0, "stderr_dropped": 0, **more}).encode())


def run(*frames: Frame, limits: SandboxLimits = LIMITS) -> CellResult:
    async def feed() -> CellResult:
        cell = RunningCell(7, limits)
        for frame in frames:
            cell.feed(frame)
        return cell.done.result()

    return asyncio.run(feed())


def test_everything_a_cell_can_send_arrives() -> None:
    result = run(
        Frame(Kind.STDOUT, 1, b"out"),
        Frame(Kind.STDERR, 1, b"err"),
        event(type="value", repr="42", truncated=True),
        event(type="figure", png=base64.b64encode(PNG).decode()),
        event(type="note", name="n", value={"t": "int", "v": 1}, code_line="n = 1", depends_on=["a"]),
        event(type="answer", value={"t": "int", "v": 1}),
        event(type="answer", value={"t": "int", "v": 2}),
        end(),
    )
    assert (result.status, result.stdout, result.stderr, result.value) == ("ok", "out", "err", "42")
    assert result.value_truncated
    assert result.figures == (PNG,)
    assert result.notes[0].depends_on == ("a",)
    assert result.submission is not None
    assert result.submission.value == {"t": "int", "v": 2}, "the last answer counts"
    assert (result.wall_s, result.cpu_s, result.peak_bytes, result.events_dropped) == (1.0, 0.5, 9, 0)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"type": "end", "status": "ok"}',
        b'{"type": "value", "repr": 1, "truncated": false}',
        b'{"type": "value", "repr": "x", "truncated": false, "extra": 1}',
        b'{"type": "answer", "value": {"t": "made up"}}',
        b'{"type": "answer", "value": 5}',
        b'{"type": "figure", "png": "not base64!"}',
        b'{"type": "figure", "png": "aGVsbG8="}',
        b'{"type": "answer", "value": ' + b"[" * 100_000 + b"}",
        json.dumps({"type": "answer", "value": {"t": "str", "v": "x" * 5000}}).encode(),
        json.dumps({"type": "figure", "png": base64.b64encode(PNG + b"0" * 2000).decode()}).encode(),
    ],
)
def test_malformed_and_oversized_events_are_counted(payload: bytes) -> None:
    result = run(Frame(Kind.EVENT, 1, payload), end())
    assert result.events_dropped == 1
    assert result.submission is None
    assert result.value is None
    assert result.figures == ()


def test_counts_are_bounded() -> None:
    figure = event(type="figure", png=base64.b64encode(PNG).decode())
    note = event(type="note", name="n", value={"t": "none"})
    result = run(*[figure] * 5, *[note] * (MAX_NOTES + 3), end())
    assert len(result.figures) == 2
    assert len(result.notes) == MAX_NOTES
    assert result.events_dropped == 6


def test_lone_surrogates_become_text_a_file_can_hold() -> None:
    result = run(event(type="value", repr="a\ud800b", truncated=False), end())
    assert result.value is not None
    result.value.encode("utf-8")
    assert result.events_dropped == 0


def test_the_status_is_the_zygotes_word() -> None:
    claim = event(type="error", name="ValueError", message="forged", traceback="")
    assert run(claim, end()).error is None
    assert run(claim, end(status="error")).error is not None
    silent = run(end(status="error"))
    assert silent.error is not None, "an error without its event is still an error"


def test_the_end_of_an_earlier_cell_does_not_end_this_one() -> None:
    result = run(end(cell=6, status="killed"), Frame(Kind.STDOUT, 1, b"later"), end())
    assert (result.status, result.stdout) == ("ok", "later")


@given(st.binary(max_size=300))
def test_no_event_bytes_do_harm(payload: bytes) -> None:
    result = run(Frame(Kind.EVENT, 1, payload), end())
    assert result.status == "ok"
