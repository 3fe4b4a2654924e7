"""Models that are out of order while an experiment runs: the others go on, and their rows come when they are back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from blocks.chat import breaker
from tests.support.experiments import Bench
from tests.support.model_answers import Answer, Ask, error
from tests.support.model_server import ModelServer

DOWN, UP = 24, 6


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    rows = [f"compatible,down,t{n}" for n in range(DOWN)] + [f"compatible,up,t{n}" for n in range(UP)]
    bench.experiments("provider,model,topic", *rows)
    return bench


class Shaky:
    """A server of two models, one of which fails until the other has answered all its rows.

    Args:
        comes_back: False: it fails for ever.
    """

    def __init__(self, *, comes_back: bool) -> None:
        self.comes_back = comes_back
        self.asked: Counter[str] = Counter()

    def __call__(self, ask: Ask) -> Answer:
        model = str(ask.body["model"])
        self.asked[model] += 1
        back = self.comes_back and self.asked["up"] >= UP
        return Answer(content=f"about {ask.last}") if model == "up" or back else error(500)


@pytest.mark.parametrize("sequential", [False, True])
async def test_rows_of_a_model_that_is_away_come_when_it_is_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, sequential: bool
) -> None:
    # Few requests find it out: those of four calls at once, or of one.
    monkeypatch.setattr(breaker, "CALLS", 1 if sequential else 4)
    monkeypatch.setattr(breaker, "DENSITY_REQUESTS", 2 if sequential else 8)
    monkeypatch.setattr(breaker, "FIRST_PROBE_S", 3.0)
    shaky = Shaky(comes_back=True)
    with ModelServer(shaky) as server:
        report = await bench.run(base_url=server.base_url, check_context=False, sequential=sequential)
    assert (report.ok, report.exit_code) == (DOWN + UP, 0)
    assert [row["row"] for row in bench.rows()] == [str(n + 1) for n in range(DOWN + UP)]
    finished = [line["model"] for line in bench.lines()]
    assert finished == ["up"] * UP + ["down"] * DOWN
    away, back = bench.warnings
    assert "down at " in away
    assert "requests failed; the next try is in" in away
    assert away.endswith("Its rows are put aside, the others go on.")
    assert back == "compatible/down is asked again."


async def test_rows_of_a_model_that_stays_away_fail_when_all_others_are_done(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "CALLS", 4)
    monkeypatch.setattr(breaker, "DENSITY_REQUESTS", 8)
    monkeypatch.setattr(breaker, "FIRST_PROBE_S", 1000.0)  # More than a call has patience for.
    shaky = Shaky(comes_back=False)
    with ModelServer(shaky) as server:
        report = await bench.run(base_url=server.base_url, check_context=False)
        assert (report.ok, report.error, report.exit_code) == (UP, DOWN, 1)
        assert [line["model"] for line in bench.lines()] == ["up"] * UP + ["down"] * DOWN
        words = {row["error_message"] for row in bench.rows() if row["status"] == "error"}
        assert all("down at" in each and "is not asked for now" in each for each in words)
        asked = shaky.asked["down"]
        assert asked < 2 * DOWN, "far fewer than each row's eight tries"
        await bench.run(base_url=server.base_url, check_context=False)
        assert shaky.asked["down"] == asked, "the next run knows"
