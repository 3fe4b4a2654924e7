"""Downloads in the terminal: bars with bytes, one line per outcome, and the closing words."""

from __future__ import annotations

import io
import threading
from pathlib import Path

from rich.console import Console

from flows.display.transfers import Transfers, artifact_rows, common_folder, print_downloads
from flows.runs.downloads import DownloadReport, DownloadRow

NASTY = "https://x.org/[red]a[/red].csv"
ACCEPTED = DownloadRow(reference=NASTY, state="accepted", dataset="a", rows=1_200, columns=3, bytes=4_096, seconds=1.25)
REFUSED = DownloadRow(reference="b.csv", state="refused", detail="20 rows, fewer than 50")
EARLIER = DownloadRow(reference="c.csv", state="already there", dataset="c", rows=60, columns=2, bytes=900)


def screen(*, terminal: bool) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=terminal, width=160, color_system=None, legacy_windows=False), out


def test_bytes_may_come_from_any_thread_and_are_drawn() -> None:
    console, out = screen(terminal=True)
    view = Transfers(console)
    with view.live():
        view.phase(NASTY, "fetching")
        threads = [threading.Thread(target=view.bytes, args=(f"t{n}", 2_048, 4_096)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        view.bytes(NASTY, 1_024, None)
    drawn = out.getvalue()
    assert "[red]a[/red].csv" in drawn, "a stranger's address is no markup"
    assert "2.0/4.0 KiB" in drawn
    assert view.rate().startswith("17.4 kB, ")
    assert view.knows(NASTY)
    assert not view.knows("other")


def test_elsewhere_there_is_one_line_for_each_outcome_but_those_of_earlier_runs() -> None:
    console, out = screen(terminal=False)
    view = Transfers(console)
    with view.live():
        view.bytes(NASTY, 1, 2)
        for row in (ACCEPTED, REFUSED, EARLIER):
            assert view.finished(row) == row
    lines = out.getvalue().splitlines()
    assert [line.split()[1] for line in lines if line] == ["accepted", "refused"]
    assert "1,200 × 3, 4.1 kB" in lines[0]


def test_the_closing_words_tell_every_reason_and_what_to_do_next(tmp_path: Path) -> None:
    failed = DownloadRow(reference="d.csv", state="failed", detail="It broke off.")
    console, out = screen(terminal=False)
    print_downloads(DownloadReport(run="r", rows=(ACCEPTED, REFUSED, EARLIER, failed)), home=tmp_path, console=console)
    said = out.getvalue()
    for words in (
        NASTY, "! b.csv: 20 rows, fewer than 50", "! d.csv: It broke off.", "1 already there, 1 refused, 1 failed",
        f"python flows/episode.py {tmp_path / 'datasets' / 'a'}", "Run the same command again",
    ):  # fmt: skip
        assert words in said
    assert [row["why"] for row in artifact_rows((ACCEPTED, failed))] == ["", "It broke off."]


def test_sources_of_one_folder_are_told_by_what_tells_them_apart() -> None:
    """At 80 columns the folder's address would leave no room for the names."""
    folder = "file:///a/long/way/down/to/where/the/tables/are/"
    rows = [DownloadRow(reference=folder + name, state="refused", detail="20 rows") for name in ("b.csv", "bb.csv")]
    out = io.StringIO()
    console = Console(file=out, width=80, color_system=None)
    print_downloads(DownloadReport(run="r", rows=tuple(rows)), console=console, home=Path("/home"))
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert ["b.csv", "○", "refused"] in [line[:3] for line in lines]
    assert f"Sources in {folder}" in out.getvalue()
    assert common_folder(["kaggle:o/a", "kaggle:o/b"]) == common_folder(["https://x.org/a", "https://y.org/a"]) == ""
    assert common_folder([folder + "b.csv"]) == ""


def test_what_was_noticed_in_a_table_that_was_refused_stands_below_its_reason() -> None:
    row = DownloadRow(reference="b.csv", state="refused", detail="1 column", notes=("Lines 1 to 2 were left out.",))
    console, out = screen(terminal=False)
    print_downloads(DownloadReport(run="r", rows=(row,)), console=console, home=Path("/home"))
    lines = [line.strip() for line in out.getvalue().splitlines()]
    assert lines[lines.index("! b.csv: 1 column") + 1] == "as it was read: Lines 1 to 2 were left out."
    assert "1 dataset: 1 refused; 0.0 MiB transferred." in lines
