"""Old files and calls: listed without --apply, gone with it, told either way; what a run may need stays."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from blocks.chat.journal import Journal
from flows.tidying.keeping import tidy_files, tidy_journal
from flows.tidying.options import UpkeepOptions
from tests.support.chat import record_of

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def aged(path: Path, days: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x" * 10)
    moment = (NOW - timedelta(days=days)).timestamp()
    os.utime(path, (moment, moment))
    os.utime(path.parent, (moment, moment))
    return path


@pytest.mark.parametrize("apply", [False, True])
async def test_old_files_are_listed_and_go_only_when_told_to(tmp_path: Path, apply: bool) -> None:
    log = aged(tmp_path / "logs" / "old" / "a.log", 100)
    result = aged(tmp_path / "results" / "new", 1)
    rows = await tidy_files(tmp_path, UpkeepOptions(apply=apply), now=NOW)
    assert [(row.what, row.which, row.bytes, row.done) for row in rows] == [("remove logs", "logs/old", 10, apply)]
    assert log.exists() is not apply
    assert result.exists()


async def test_what_an_unfinished_run_may_need_stays(tmp_path: Path) -> None:
    aged(tmp_path / "results" / "before", 60)
    kept = aged(tmp_path / "results" / "since", 40)
    since = NOW - timedelta(days=50)
    rows = await tidy_files(tmp_path, UpkeepOptions(apply=True), now=NOW, keep_since=since)
    assert [row.which for row in rows] == ["results/before"]
    assert kept.exists()


@pytest.mark.parametrize("apply", [False, True])
async def test_old_calls_are_listed_and_go_only_when_told_to(tmp_path: Path, apply: bool) -> None:
    store = tmp_path / "store.db"
    old, new = (record_of(f"{days} days", at=NOW - timedelta(days=days)) for days in (400, 3))
    with Journal(store) as journal:
        await journal.store(old)
        await journal.store(new)
    (row,) = await tidy_journal(store, UpkeepOptions(apply=apply), now=NOW)
    assert row.why.startswith("1 call of before 2025-06-01")
    assert (row.done, row.bytes > 0) == (apply, True)
    with Journal(store) as journal:
        assert (await journal.find(old.key) is None) is apply
        assert await journal.find(new.key) is not None
    rows = await tidy_journal(store, UpkeepOptions(apply=apply), now=NOW, keep_since=NOW - timedelta(days=500))
    assert rows == []


async def test_a_home_without_a_journal_gets_none(tmp_path: Path) -> None:
    assert await tidy_journal(tmp_path / "store.db", UpkeepOptions(apply=True), now=NOW) == []
    assert not (tmp_path / "store.db").exists()
