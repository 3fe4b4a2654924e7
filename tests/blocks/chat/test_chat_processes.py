"""Several processes, one journal: nothing answered is asked again, nothing is paid twice, nobody waits for the dead."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from blocks.chat.backends import Place
from blocks.chat.errors import JournalError
from blocks.chat.journal import LEASE_S, Journal
from blocks.chat.owners import Owner, life, new_owner
from tests.support.chat import ask, opened
from tests.support.model_answers import Answer, Ask
from tests.support.model_server import ModelServer
from tests.support.stores import look, stored_keys, written
from tests.support.waiting import SECONDS, until, wait_until

ROOT = Path(__file__).resolve().parents[3]


def _start(
    store: Place, url: str, first: int, last: int, *options: str, stderr: int | None = None
) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.support.chat_worker", written(store), url, str(first), str(last), *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True)


def _finish(worker: subprocess.Popen[str]) -> list[dict[str, Any]]:
    output, _ = worker.communicate(timeout=250)
    return [json.loads(line) for line in output.splitlines() if line.endswith("}")]


def _wait_for_more(store: Place, known: int) -> None:
    """Waits until something is stored that was not; a database server takes its time over the first writes."""
    deadline = time.monotonic() + 300
    while len(stored_keys(store)) <= known:
        assert time.monotonic() < deadline
        time.sleep(random.uniform(0, 0.02))


def _wait_until_alone(store: Place) -> None:
    """Waits until a database server has no other visitor: it may yet carry out what a killed one had sent."""
    others = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
    query = f"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {others}"
    wait_until(lambda: look(store, query) == [(0,)])


@pytest.mark.parametrize(("moment", "asked"), [("unstored", 2), ("stored", 1)])
async def test_killed_around_the_write(moment: str, asked: int, place: Place) -> None:
    """Before the write the answer is lost and asked again, at once; after it, it is there for the next process."""
    with ModelServer() as server:
        worker = _start(place, server.base_url, 0, 1, "--die", moment)
        assert _finish(worker) == []
        assert worker.returncode == -signal.SIGKILL
        await until(lambda: server.tally.answered.total() == 1)
        started = time.monotonic()
        async with opened(server, place) as client:
            reply = await client.complete(ask("question 0"))
        assert time.monotonic() - started < 30, "a dead owner's claim is not waited for"
        assert reply.replayed == (moment == "stored")
        assert server.tally.asked.total() == asked


async def test_who_waits_for_a_process_that_is_killed_goes_on_at_once(tmp_path: Path) -> None:
    """The lease is a minute, the wait is not: on one machine the dead can be seen."""
    with ModelServer(lambda ask: Answer(stall=ask.number == 1)) as server, Journal(tmp_path / "store.db") as journal:
        worker = _start(tmp_path / "store.db", server.base_url, 0, 1)
        await asyncio.to_thread(server.wait_for_asks, 1)
        async with opened(server, journal) as client:
            call = asyncio.ensure_future(client.complete(ask("question 0")))
            await asyncio.sleep(0.3)
            assert not call.done()
            worker.kill()
            killed = time.monotonic()
            assert (await call).replayed is False
            assert time.monotonic() - killed < LEASE_S
        _finish(worker)


async def test_killed_at_random_moments_no_stored_answer_is_asked_again(place: Place) -> None:
    store, count, dice = place, 120, random.Random(7)
    stored: set[str] = set()
    asked: Counter[str] = Counter()
    given = allowed = 0

    async def behave(it: Ask) -> Answer:
        # Each process gets its share at most: else one that is killed late has all the answers.
        nonlocal given
        if given >= allowed:
            return Answer(stall=True)
        given += 1
        return await _slowly(it)

    with ModelServer(behave) as server:
        turns = 4 if isinstance(place, Path) else 2
        for turn in range(turns):
            allowed += 100 // turns
            known = len(server.asks)
            worker = _start(store, server.base_url, 0, count)
            # From the first fresh request on calls are under way, and any moment may be the last.
            await asyncio.to_thread(server.wait_for_asks, known + 1)
            if turn and isinstance(place, Path):
                await asyncio.sleep(dice.uniform(0, 0.3))
            else:
                await asyncio.to_thread(_wait_for_more, store, len(stored))
            worker.kill()
            _finish(worker)
            if not isinstance(place, Path):
                await asyncio.to_thread(_wait_until_alone, store)
            assert {key: server.tally.asked[key] for key in stored} == {key: asked[key] for key in stored}
            stored, asked = stored_keys(store), server.tally.asked.copy()
        assert 0 < len(stored) < count, "killed in the middle of the work"
        allowed += 2 * count
        replies = _finish(_start(store, server.base_url, 0, count))
        assert {key: server.tally.asked[key] for key in stored} == {key: asked[key] for key in stored}
        assert sorted(reply["number"] for reply in replies) == list(range(count))
        assert sum(reply["replayed"] for reply in replies) == len(stored)
        assert len(stored_keys(store)) == count


async def _slowly(ask: Ask) -> Answer:
    await asyncio.sleep(random.uniform(0, 0.05))
    return Answer(content=f"answer to {ask.last}")


async def test_processes_that_want_the_same_calls_pay_for_each_once(place: Place) -> None:
    """Four processes open a store that does not exist yet, all at once, and ask the same thirty questions."""
    with ModelServer(_slowly) as server:
        workers = [_start(place, server.base_url, 0, 30) for _ in range(4)]
        replies = [_finish(worker) for worker in workers]
        assert [worker.returncode for worker in workers] == [0, 0, 0, 0]
        assert set(server.tally.asked.values()) == {1}
        assert server.tally.asked.total() == 30
    for of_one in replies:
        assert {reply["number"]: reply["content"] for reply in of_one} == {
            number: f"answer to question {number}" for number in range(30)
        }
    paid = sum(not reply["replayed"] for of_one in replies for reply in of_one)
    assert paid == 30


async def test_an_interrupted_process_leaves_quietly_and_gives_its_claims_back(tmp_path: Path) -> None:
    with ModelServer(lambda _: Answer(stall=True)) as server:
        worker = _start(tmp_path / "store.db", server.base_url, 0, 4, stderr=subprocess.PIPE)
        await asyncio.to_thread(server.wait_for_asks, 4)
        worker.send_signal(signal.SIGINT)
        _, said = worker.communicate(timeout=250)
    assert said.strip().endswith("KeyboardInterrupt")
    assert "closed" not in said
    assert "exception calling callback" not in said
    assert look(tmp_path / "store.db", "SELECT count(*) FROM journal_claims") == [(0,)]
    assert look(tmp_path / "store.db", "SELECT count(*) FROM journal_owners") == [(0,)]


async def test_a_living_owner_is_waited_for_however_long_it_takes(tmp_path: Path) -> None:
    """The answer takes several leases; heartbeats, not the answer, keep the claim."""
    with ModelServer(lambda _: Answer(delay_s=9)) as server:
        worker = _start(tmp_path / "store.db", server.base_url, 0, 1, "--lease", "4")
        await asyncio.to_thread(server.wait_for_asks, 1)
        journal = Journal(tmp_path / "store.db", lease_s=4)
        async with opened(server, journal, owns_journal=True) as client:
            reply = await client.complete(ask("question 0"))
        assert _finish(worker)[0]["replayed"] is False
        assert reply.replayed is True
        assert server.tally.asked.total() == 1


async def test_a_process_that_hangs_loses_its_claim_after_the_lease(tmp_path: Path) -> None:
    with ModelServer(lambda ask: Answer(stall=ask.number == 1)) as server:
        # Its own lease is long: one that beats often might be stopped within a beat, and then keeps the store locked.
        worker = _start(tmp_path / "store.db", server.base_url, 0, 1)
        try:
            await asyncio.to_thread(server.wait_for_asks, 1)
            worker.send_signal(signal.SIGSTOP)
            started = time.monotonic()
            journal = Journal(tmp_path / "store.db", lease_s=1)
            async with opened(server, journal, owns_journal=True) as client:
                reply = await client.complete(ask("question 0"))
            assert time.monotonic() - started >= 1
            assert reply.replayed is False
        finally:
            worker.kill()
            _finish(worker)


@pytest.mark.parametrize("beating", [True, False])
async def test_an_owner_that_cannot_be_looked_at_is_judged_by_its_heartbeat(beating: bool, tmp_path: Path) -> None:
    """A container that shares the store has PIDs of its own: only its signs of life can be seen."""
    store = tmp_path / "store.db"
    elsewhere = str(Owner("another host", 1, "1", "n"))
    with ModelServer() as server, Journal(store, lease_s=0.5) as journal, sqlite3.connect(store, timeout=30) as file:
        async with opened(server, journal) as client:
            key = (await client.complete(ask())).key
            file.execute("DELETE FROM journal_calls")
            file.execute("INSERT INTO journal_owners VALUES (?, 0)", (elsewhere,))
            file.execute("INSERT INTO journal_claims VALUES (?, ?)", (key, elsewhere))
            file.commit()
            call = asyncio.ensure_future(client.complete(ask()))
            for _ in range(20 if beating else 0):
                await asyncio.sleep(0.1)
                file.execute("UPDATE journal_owners SET beat = beat + 1 WHERE owner = ?", (elsewhere,))
                file.commit()
            if not beating:
                await asyncio.wait([call], timeout=100)
            assert call.done() is not beating
            call.cancel()
            await asyncio.wait([call])


async def test_a_closed_journal_gives_its_claims_back(place: Place) -> None:
    with Journal(place) as one, Journal(place) as other:
        async with one.claim("k"):
            waiting = asyncio.ensure_future(_claim(other, "k"))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            one.close()
            assert await asyncio.wait_for(waiting, 100) is None


async def _claim(journal: Journal, key: str) -> Any:
    async with journal.claim(key) as answered:
        return answered


async def test_a_cancelled_claim_is_given_back(place: Place) -> None:
    with Journal(place) as one, Journal(place) as other:
        for pause in (0, 0, 0.001, 0.01):
            claiming = asyncio.ensure_future(_hold(one, "k"))
            await asyncio.sleep(pause)
            claiming.cancel()
            await asyncio.wait([claiming])
            assert await asyncio.wait_for(_claim(other, "k"), 100) is None


async def test_a_claim_that_is_made_for_a_waiter_who_has_gone_is_given_back(place: Place) -> None:
    """It was queued behind other work of the store when its waiter was cancelled."""
    busy = threading.Event()
    with Journal(place) as one, Journal(place) as other:
        one.soon(lambda _: busy.wait(SECONDS))
        claiming = asyncio.ensure_future(_hold(one, "k"))
        await asyncio.sleep(0.05)
        claiming.cancel()
        await asyncio.wait([claiming])
        busy.set()
        await one.change(lambda _: None)
        await one.change(lambda _: None)
        assert look(place, "SELECT count(*) FROM journal_claims") == [(0,)]
        assert await asyncio.wait_for(_claim(other, "k"), SECONDS) is None


@pytest.mark.parametrize(("alive", "lease_s"), [(False, 3600.0), (True, 1.0)])
async def test_a_dead_holders_claim_falls_to_the_next_at_once_a_living_ones_never(
    alive: bool, lease_s: float, tmp_path: Path
) -> None:
    """The heir is there already when the holder dies: who comes later clears up what the dead have left anyway."""
    store = tmp_path / "store.db"
    holder = new_owner() if alive else new_owner()._replace(started="1")
    with Journal(store, lease_s=lease_s) as heir, sqlite3.connect(store, timeout=SECONDS) as file:
        file.execute("INSERT INTO journal_owners VALUES (?, 0)", (str(holder),))
        file.execute("INSERT INTO journal_claims VALUES ('k', ?)", (str(holder),))
        file.commit()
        claiming = asyncio.ensure_future(_claim(heir, "k"))
        for _ in range(30 if alive else 0):
            await asyncio.sleep(0.1)
            file.execute("UPDATE journal_owners SET beat = beat + 1 WHERE owner = ?", (str(holder),))
            file.commit()
        if alive:
            assert not claiming.done(), "three leases long, it has given signs of life"
            claiming.cancel()
        else:
            assert await asyncio.wait_for(claiming, SECONDS) is None


async def test_a_holder_that_falls_silent_after_signs_of_life_loses_its_claim(tmp_path: Path) -> None:
    """Silence is counted from the last sign, whichever was the first."""
    store, holder = tmp_path / "store.db", str(Owner("another host", 1, "1", "n"))
    with Journal(store, lease_s=1.0) as heir, sqlite3.connect(store, timeout=SECONDS) as file:
        file.execute("INSERT INTO journal_owners VALUES (?, 0)", (holder,))
        file.execute("INSERT INTO journal_claims VALUES ('k', ?)", (holder,))
        file.commit()
        claiming = asyncio.ensure_future(_claim(heir, "k"))
        for _ in range(20):
            await asyncio.sleep(0.1)
            file.execute("UPDATE journal_owners SET beat = beat + 1 WHERE owner = ?", (holder,))
            file.commit()
        assert not claiming.done()
        assert await asyncio.wait_for(claiming, SECONDS) is None


async def _hold(journal: Journal, key: str) -> None:
    async with journal.claim(key):
        await asyncio.sleep(60)


async def test_a_store_locked_by_another_program_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blocks.chat.backends.BUSY_TIMEOUT_S", 0.2)
    with Journal(tmp_path / "store.db") as journal, sqlite3.connect(tmp_path / "store.db") as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="locked") as caught:
            await _claim(journal, "k")
        other.rollback()
        assert "Another process" in caught.value.remedy
        assert await _claim(journal, "k") is None


def test_life_of_an_owner() -> None:
    mine = new_owner()
    assert life(str(mine)) == "alive"
    assert life(str(mine._replace(started="1"))) == "dead", "a PID used anew is not the owner"
    assert life(str(mine._replace(place="another host"))) == "unknown"
    assert life("garbage") == "unknown"
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    stat = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    theirs = str(mine._replace(pid=child.pid, started=stat[19]))
    assert life(theirs) == "alive"
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: life(theirs) != "alive")
    assert life(theirs) == "dead", "a zombie is dead"
    child.communicate()
