"""Trimming the journal: old calls go, the ledger stays exact, what is left still answers, the file shrinks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from blocks.chat.backends import Place
from blocks.chat.journal import Journal
from blocks.chat.ledger import ModelTotals, totals
from blocks.chat.trimming import compact, survey, trim
from tests.support.chat import record_of
from tests.support.postgres_server import PostgresServer
from tests.support.stores import look

DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def _filled(journal: Journal, days: int, *, size: int = 10) -> list[str]:
    """One call a day, the first question of each the same, one of unknown cost."""
    keys = []
    for number in range(days):
        record = record_of(
            f"question {number}", at=DAY + timedelta(days=number), reply="x" * size, cost_usd=0.5 if number else None
        )
        await journal.store(record)
        keys.append(record.key)
    return keys


async def _all(journal: Journal) -> ModelTotals:
    (found,) = await totals(journal)
    return found


async def test_what_is_gone_stays_in_the_ledger(place: Place) -> None:
    with Journal(place) as journal:
        keys = await _filled(journal, 6)
        before, since = await _all(journal), DAY + timedelta(days=3)
        recent = await totals(journal, since=since.replace(hour=0))
        assert (await survey(journal, since)).calls == 3
        assert await trim(journal, since) == 3
        assert await _all(journal) == before
        assert await totals(journal, since=since.replace(hour=0)) == recent
        assert await trim(journal, DAY + timedelta(days=5)) == 2
        assert await _all(journal) == before
        assert [await journal.find(key) is None for key in keys] == [True] * 5 + [False]
        await journal.store(record_of("question 0", at=DAY, reply="again", cost_usd=0.25))
        assert (await _all(journal)).cost_usd == before.cost_usd + 0.25
        assert await trim(journal, DAY + timedelta(days=1)) == 1
        assert (await _all(journal)).calls == before.calls + 1


async def test_messages_that_others_share_stay(place: Place) -> None:
    with Journal(place) as journal:
        await _filled(journal, 4)
        shared = {record.key: record.request.messages async for record in journal.records()}
        await trim(journal, DAY + timedelta(days=2))
        left = [record async for record in journal.records()]
        assert [record.request.messages for record in left] == [shared[record.key] for record in left]
    assert look(place, "SELECT count(*) FROM journal_messages") == [(3,)], (
        "the system message once, and the two questions that are left"
    )


async def test_the_file_shrinks_while_another_has_it_open(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Journal(path) as journal, Journal(path) as other:
        keys = await _filled(journal, 20, size=100_000)
        await compact(journal)
        full = path.stat().st_size
        assert (await survey(journal, DAY + timedelta(days=19))).bytes >= 19 * 100_000
        await trim(journal, DAY + timedelta(days=19))
        await compact(journal)
        assert path.stat().st_size < full / 4
        assert await other.find(keys[-1]) is not None
        await other.store(record_of("after", at=DAY, reply="y", cost_usd=None))
    with Journal(path) as again:
        assert len([record async for record in again.records()]) == 2


@pytest.mark.postgres
async def test_in_postgresql_the_space_serves_the_calls_to_come(postgres: PostgresServer) -> None:
    place = postgres.new_database()
    size = "SELECT pg_total_relation_size('journal_calls') + pg_total_relation_size('journal_messages')"
    with Journal(place) as journal:
        await _filled(journal, 60, size=5_000)
        ((full,),) = look(place, size)
        await trim(journal, DAY + timedelta(days=61))
        await compact(journal)
        await _filled(journal, 60, size=5_000)
    ((again,),) = look(place, size)
    assert again < full * 1.2


async def test_nothing_old_is_nothing_done(place: Place) -> None:
    with Journal(place) as journal:
        assert await survey(journal, DAY) == (0, 0)
        assert await trim(journal, DAY) == 0
        assert await totals(journal) == ()
