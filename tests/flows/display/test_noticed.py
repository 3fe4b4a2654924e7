"""What model traffic notices reaches the view of the run, whichever is open."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from blocks.chat.errors import MalformedReply, RateLimited
from blocks.chat.retry import RetryPolicy
from flows.display.board import current_board
from flows.display.noticed import noticed
from flows.display.tally import current_tally
from tests.support.chat import MODEL, ask, opened
from tests.support.model_answers import Answer, Ask, error
from tests.support.model_server import ModelServer

WORDS = "Rate limit reached for requests"
CALLS = 3


class Busy:
    """Turns calls away together, for minutes."""

    def __init__(self) -> None:
        self._all = asyncio.Event()

    async def __call__(self, it: Ask) -> Answer:
        if it.in_flight == CALLS:
            self._all.set()
        await self._all.wait()
        return error(429, {"error": {"message": WORDS}}, headers={"Retry-After": "200"})


async def turned_away(file: Path) -> None:
    """A few calls at once, each tried once."""
    with ModelServer(Busy()) as server:
        async with opened(server, file, retry=RetryPolicy(max_attempts=1)) as client:
            ends = await asyncio.gather(
                *(client.complete(ask(f"about {n}")) for n in range(CALLS)), return_exceptions=True
            )
    assert [type(end) for end in ends] == [RateLimited] * CALLS


async def test_a_wait_of_minutes_is_told_once_for_all_that_are_turned_away(tmp_path: Path) -> None:
    told: list[str] = []
    with noticed(told.append):
        await turned_away(tmp_path / "store.db")
    await turned_away(tmp_path / "another.db")
    (line,) = told
    assert line.startswith(f"{MODEL} at ")
    assert " has asked to send nothing for 200 s (3 min 20 s), until " in line
    assert line.endswith(f"({WORDS}).")


async def test_the_view_opened_last_is_told_and_then_the_one_around_it(tmp_path: Path) -> None:
    outer: list[str] = []
    inner: list[str] = []
    with noticed(outer.append):
        with noticed(inner.append):
            await turned_away(tmp_path / "1.db")
        assert not outer
        await turned_away(tmp_path / "2.db")
    assert (len(inner), len(outer)) == (1, 1)


@pytest.mark.parametrize("view", [current_board, current_tally])
async def test_a_run_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str], view: object) -> None:
    opens: AbstractContextManager[object] = current_board() if view is current_board else current_tally()
    with opens:
        await turned_away(tmp_path / "store.db")
    shown = " ".join(capsys.readouterr().err.split())
    assert f"! {MODEL} at " in shown
    assert "has asked to send nothing for 200 s" in shown


async def test_what_fails_again_and_again_is_told_once_for_all_calls(tmp_path: Path) -> None:
    told: list[str] = []
    page = Answer(body=b"<html><body>Please log in</body></html>")
    with ModelServer(lambda _: page) as server, noticed(told.append):
        async with opened(server, tmp_path / "store.db", retry=RetryPolicy(max_attempts=4)) as client:
            calls = (client.complete(ask(f"about {n}")) for n in range(CALLS))
            ends = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(end) for end in ends] == [MalformedReply] * CALLS
    (line,) = [each for each in told if "attempt" in each]
    assert "Please log in" in line
    assert " That was attempt 3; the next is in " in line
