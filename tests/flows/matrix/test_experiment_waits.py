"""A model whose server asks to wait for hours: its rows fail with that sentence, the others are answered."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.experiments import Bench
from tests.support.model_answers import Answer, Ask, error
from tests.support.model_server import ModelServer
from tests.support.waiting import SECONDS

FREE, PAID = 20, 6


@pytest.mark.parametrize("refused", [True, False])
@pytest.mark.parametrize("sequential", [False, True])
async def test_rows_of_a_model_that_is_told_to_wait(tmp_path: Path, refused: bool, sequential: bool) -> None:
    """By a refusal, or with an answer that uses up the day's limit; the next run asks those rows, and only those."""
    bench = Bench(tmp_path)
    rows = [f"compatible,free,t{n}" for n in range(FREE)] + [f"compatible,paid,t{n}" for n in range(PAID)]
    bench.experiments("provider,model,topic", *rows)
    told = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "10h0m0s"}
    again = False

    def behave(it: Ask) -> Answer:
        if it.body["model"] == "paid" or again:
            return Answer(content=f"about {it.last}")
        return (
            error(429, {"error": {"message": "free-models-per-day"}}, headers=told) if refused else Answer(headers=told)
        )

    with ModelServer(behave) as server:
        options: dict[str, Any] = {"base_url": server.base_url, "check_context": False, "sequential": sequential}
        report = await asyncio.wait_for(bench.run(**options), SECONDS)
        assert report.exit_code == 1
        assert report.ok >= PAID + (not refused)
        failed = [row for row in bench.rows() if row["status"] == "error"]
        assert {row["model"] for row in failed} == {"free"}
        assert len(failed) == report.error == FREE + PAID - report.ok
        for row in failed:
            assert "free" in row["error_message"]
            assert "to send nothing for 3" in row["error_message"]
            assert ("10 h" in row["error_message"]) or ("9 h 59 min" in row["error_message"])
            assert "until " in row["error_message"]
            assert "Run again then" in row["error_message"]
        (away,) = [each for each in bench.warnings if "put aside" in each]
        assert "free" in away
        asked, again = len(server.asks), True
        assert (await asyncio.wait_for(bench.run(**options), SECONDS)).exit_code == 0
        assert len(server.asks) - asked == len(failed)
