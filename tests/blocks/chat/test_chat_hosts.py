"""Several hosts, one journal in PostgreSQL: the same promises, and what a database server can do to them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from blocks.chat.errors import JournalError
from blocks.chat.journal import ABSENT_BEATS, BEATS, Journal
from blocks.errors import UserError
from tests.support.chat import record_of
from tests.support.model_answers import Answer
from tests.support.model_server import ModelServer
from tests.support.postgres_server import PASSWORD, PostgresServer
from tests.support.stores import look, written
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
LEASE_S = 24.0
DAY = datetime(2026, 3, 1, tzinfo=UTC)


def _start(place: SecretStr, url: str, host: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.support.chat_worker", written(place), url, "0", "1", "--host", host]
    return subprocess.Popen([*command, "--lease", str(LEASE_S)], cwd=ROOT, stdout=subprocess.PIPE, text=True)


async def _hold(journal: Journal, key: str, held: asyncio.Event, until: asyncio.Event) -> None:
    async with journal.claim(key):
        held.set()
        await until.wait()


async def _claim(journal: Journal, key: str) -> Any:
    async with journal.claim(key) as answered:
        return answered


@pytest.mark.postgres
async def test_a_call_in_flight_on_one_host_is_not_asked_by_another_until_that_host_dies(
    postgres: PostgresServer,
) -> None:
    """Nothing of the first host can be seen from the second but what the server knows of its connection."""
    place = postgres.new_database()
    with ModelServer(lambda ask: Answer(stall=ask.number == 1)) as server:
        first = _start(place, server.base_url, "host-a")
        await asyncio.to_thread(server.wait_for_asks, 1)
        second = _start(place, server.base_url, "host-b")
        try:
            await asyncio.to_thread(_wait_for_visitors, place, 2)
            # Longer than an absent owner is waited for.
            await asyncio.sleep(1.2 * LEASE_S * ABSENT_BEATS / BEATS)
            assert server.tally.asked.total() == 1
            assert second.poll() is None
            os.kill(first.pid, signal.SIGKILL)
            killed = time.monotonic()
            output, _ = await asyncio.to_thread(second.communicate, timeout=250)
            assert time.monotonic() - killed < LEASE_S, "its lost connection, not its silence, tells that it is dead"
            assert json.loads(output)["replayed"] is False
            assert server.tally.asked.total() == 2
        finally:
            for worker in (first, second):
                worker.kill()
                worker.communicate()


def _wait_for_visitors(place: SecretStr, count: int) -> None:
    wait_until(lambda: look(place, "SELECT count(*) FROM journal_owners") == [(count,)])


@pytest.mark.postgres
async def test_a_lost_connection_costs_neither_an_answer_nor_a_claim(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends all connections, as when it is started anew; owners come back and are waited for as before."""
    monkeypatch.setattr("blocks.chat.journal.life", lambda owner: "unknown")
    place, held, done = postgres.new_database(), asyncio.Event(), asyncio.Event()
    with Journal(place, lease_s=36) as holder, Journal(place, lease_s=36) as other:
        holding = asyncio.ensure_future(_hold(holder, "k", held, done))
        await held.wait()
        waiting = asyncio.ensure_future(_claim(other, "k"))
        await asyncio.sleep(0.3)
        postgres.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'trigpoint'")
        # Longer than an absent owner is waited for.
        await asyncio.sleep(1.5 * 36 * ABSENT_BEATS / BEATS)
        assert not waiting.done()
        record = record_of("asked before, answered after", at=DAY)
        postgres.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'trigpoint'")
        await holder.store(record)
        assert await other.find(record.key) is not None
        done.set()
        await holding
        assert await asyncio.wait_for(waiting, 100) is None


@pytest.mark.postgres
async def test_a_claim_whose_commit_nobody_confirmed_is_found_again_by_its_owner(postgres: PostgresServer) -> None:
    with Journal(postgres.new_database()) as journal:
        attempts = [
            journal._database.submit(lambda connection: journal._claim_job(connection, "k", None, "one"), write=True)
            for _ in range(2)
        ]
        assert [attempt.result() for attempt in attempts] == [None, None], "the same attempt, run twice"
        other = journal._database.submit(lambda connection: journal._claim_job(connection, "k", None, "2"), write=True)
        assert other.result() is not None, "another attempt waits"


@pytest.mark.postgres
async def test_a_reply_is_on_the_server_s_disk_before_it_is_used(postgres: PostgresServer) -> None:
    """What must last is flushed whatever the server's own setting; claims, which die with their owner, are not."""
    place = postgres.new_database()
    look(place, "ALTER DATABASE " + written(place).rpartition("/")[2] + " SET synchronous_commit = off")
    with Journal(place) as journal:
        show = "SHOW synchronous_commit"
        durable = journal._database.submit(lambda c: c.exec_driver_sql(show).scalar(), write=True, durable=True)
        assert durable.result() == "on"
        passing = journal._database.submit(lambda c: c.exec_driver_sql(show).scalar(), write=True)
        assert passing.result() == "off"


def _refusals(postgres: PostgresServer) -> dict[str, tuple[str, str]]:
    return {
        "password": (postgres.url(password="hush-hush"), "password"),
        "database": (postgres.url("nowhere"), "Create the database"),
        "server": (postgres.url().replace(str(postgres.port), "1"), "Start the server"),
        "scheme": (f"mysql://u:{PASSWORD}@h/d", "postgresql+psycopg://"),
        "unreadable": (f"postgresql://u:{PASSWORD}@h:{PASSWORD}/d", "%XX"),
    }


@pytest.mark.postgres
@pytest.mark.parametrize("mistake", ["password", "database", "server", "scheme", "unreadable"])
def test_a_store_that_cannot_be_had_is_one_sentence_without_its_password(
    mistake: str, postgres: PostgresServer
) -> None:
    url, remedy = _refusals(postgres)[mistake]
    with pytest.raises(JournalError) as caught:
        Journal(SecretStr(url))
    said = str(caught.value)
    assert isinstance(caught.value, UserError)
    assert remedy in caught.value.remedy
    assert "\n" not in said
    assert PASSWORD not in said
    assert "hush" not in said


def test_without_psycopg_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(JournalError) as caught:
        Journal(SecretStr(f"postgresql+psycopg://u:{PASSWORD}@127.0.0.1:1/d"))
    assert "[postgres]" in caught.value.remedy
