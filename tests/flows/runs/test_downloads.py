"""What a download run comes to: exit codes, and what becomes of an arrival whose twin or files are elsewhere."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from blocks.errors import UserError
from blocks.held import Busy
from blocks.sources.models import Reference
from flows.runs.downloads import DownloadReport, DownloadRow, DownloadState, failed_row, row_before
from flows.tables.cards import DownloadCard, write_record
from flows.tables.intake import named_sources
from flows.tables.profiling import DatasetProfile
from flows.tables.shelf import Shelf


def report(*states: DownloadState) -> DownloadReport:
    return DownloadReport(run="r", rows=tuple(DownloadRow(reference=f"r{n}", state=s) for n, s in enumerate(states)))


@pytest.mark.parametrize(
    ("states", "code"),
    [
        (["accepted", "refused", "duplicate"], 0),
        (["already there"], 0),
        (["duplicate"], 0),
        (["accepted", "failed"], 1),
        (["refused"], 2),
        (["failed", "refused"], 2),
        ([], 2),
    ],
)
def test_exit_codes(states: list[DownloadState], code: int) -> None:
    assert report(*states).exit_code == code


def test_the_sentence_counts_every_outcome() -> None:
    assert (
        report("accepted", "failed", "accepted").sentence() == "3 datasets: 2 accepted, 1 failed; 0.0 MiB transferred"
    )


def test_an_error_nobody_foresaw_is_told_by_its_kind_and_traced_in_a_log(tmp_path: Path) -> None:
    try:
        raise KeyError("a")
    except KeyError as error:
        detail = failed_row("https://host/x y.csv", error, tmp_path / "r").detail
    (log,) = (tmp_path / "r").glob("*.log")
    assert "KeyError: 'a'" in detail
    assert str(log) in detail
    assert "Traceback" in log.read_text()
    assert failed_row("x", UserError("Wrong.", "Mend it."), tmp_path).detail == "Wrong. Mend it."


def test_a_list_file_has_comments_and_each_source_counts_once(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("# all\n\na.zip#in.csv  # why\n  b.csv\na.csv\n")
    assert named_sources(["a.csv"], str(listed)) == ["a.csv", "a.zip#in.csv", "b.csv"]
    with pytest.raises(UserError, match="No source"):
        named_sources([], None)
    with pytest.raises(UserError, match="cannot be read"):
        named_sources([], str(tmp_path / "none.txt"))


def test_one_download_at_a_time_into_a_home(tmp_path: Path) -> None:
    with Shelf(tmp_path).alone(), pytest.raises(Busy, match="incoming"), Shelf(tmp_path).alone():
        pass
    with Shelf(tmp_path).alone():
        pass


def test_two_versions_never_share_a_working_folder() -> None:
    one, other = (Reference(source="s3://b/x.csv", version=version) for version in ("1", "2"))
    assert one.token != other.token


def put(home: Path, slug: str, source: str, text: bytes, version: str = "") -> Path:
    """A dataset as a download has left it; its card."""
    folder = home / "datasets" / slug
    folder.mkdir(parents=True)
    (folder / "data.csv").write_bytes(text)
    card = DownloadCard(
        source=source, version=version, retrieved_at=datetime(2026, 1, 1, tzinfo=UTC), bytes=len(text),
        sha256=hashlib.sha256(text).hexdigest(), encoding="utf-8", delimiter=",", rows=1, column_count=1,
        profile=DatasetProfile(rows=1, columns=1, facts=()),
    )  # fmt: skip
    write_record(folder / "dataset.json", card)
    return folder / "dataset.json"


def test_what_is_there_already_is_found_by_source_and_version(tmp_path: Path) -> None:
    put(tmp_path, "cities", "kaggle:o/cities", b"a\n1\n", "1")
    put(tmp_path, "cities-2", "kaggle:o/cities", b"a\n2\n", "2")
    put(tmp_path, "torn", "kaggle:o/torn", b"a\n3\n").with_name("data.csv").write_bytes(b"a\n4\n")
    newer = put(tmp_path, "later", "kaggle:o/later", b"a\n5\n")
    newer.write_text(newer.read_text().replace('"schema_version": 1', '"schema_version": 2', 1))
    (tmp_path / "datasets" / "by-hand").mkdir()
    shelf = Shelf(tmp_path)

    def before(source: str, version: str = "") -> tuple[str, str]:
        row = row_before(shelf, Reference(source=source, version=version), False, tmp_path / "logs")
        return (row.state, row.dataset or row.detail) if row is not None else ("", "")

    assert before("kaggle:o/cities") == ("already there", "cities")
    assert before("kaggle:o/cities", "2") == ("already there", "cities-2")
    assert before("kaggle:o/cities", "3") == before("kaggle:o/torn") == before("kaggle:o/none") == ("", "")
    state, why = before("kaggle:o/later")
    assert state == "failed"
    assert "newer Trigpoint" in why
