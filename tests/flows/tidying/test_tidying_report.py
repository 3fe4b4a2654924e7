"""What upkeep tells: what it would do, what it has done, what it could not do."""

from __future__ import annotations

import io

from rich.console import Console

from flows.tidying.report import Row, UpkeepReport, print_upkeep

CRASH = Row(what="crash run", which="episode/fox", why="silent")
FILE = Row(what="remove file", which="a.jsonl", why="old", bytes=3 * 2**20)


def told(report: UpkeepReport) -> str:
    out = io.StringIO()
    print_upkeep(report, console=Console(file=out, width=120))
    return out.getvalue()


def test_a_dry_run_says_what_it_would_do_and_how_to_have_it_done() -> None:
    report = UpkeepReport(run="r", applied=False, rows=(CRASH, FILE))
    text = told(report)
    assert "2 things to do, 3.0 MiB, nothing done." in text
    assert text.count("would be done") == 2
    assert "--apply does it" in text
    assert report.exit_code == 0
    assert told(UpkeepReport(run="r", applied=False)) == "nothing to do.\n"


def test_what_could_not_be_done_is_told_and_counts() -> None:
    done, failed = FILE.model_copy(update={"done": True}), CRASH.model_copy(update={"problem": "No engine."})
    report = UpkeepReport(run="r", applied=True, rows=(done, failed))
    assert report.sentence() == "1 of 2 things done, 3.0 MiB, 1 failed"
    assert "! crash run episode/fox: No engine." in told(report)
    assert "--apply" not in told(report)
    assert [report.exit_code, UpkeepReport(run="r", applied=True, rows=(failed,)).exit_code] == [1, 2]
    assert [row["done"] for row in report.table()] == ["done", "failed"]


def test_what_was_left_because_it_came_alive_is_no_failure() -> None:
    report = UpkeepReport(run="r", applied=True, rows=(CRASH,))
    assert report.exit_code == 0
    assert report.table()[0]["done"] == "left"
