"""The journal: what is stored stays, in the store, in an exported file, and over versions."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from blocks.chat.backends import Place, SqliteFile
from blocks.chat.database import Chore, Database
from blocks.chat.errors import JournalError
from blocks.chat.exported import ReplayJournal
from blocks.chat.journal import Journal
from blocks.chat.keys import call_key
from blocks.chat.ledger import totals
from blocks.chat.models import ChatRequest, Message, Sampling, Tool, ToolCall, Usage
from blocks.chat.prices import Price
from blocks.chat.records import JournalRecord
from blocks.chat.schema import MIGRATIONS
from blocks.errors import UserError
from tests.support.stores import look

ENDPOINT = "http://127.0.0.1:8000/v1"
START = datetime(2026, 5, 1, 12, tzinfo=UTC)


def _record(number: int = 0, text: str = "five", **usage: float | None) -> JournalRecord:
    request = ChatRequest(
        model="m",
        messages=(
            Message(role="system", content="Grüße \u2028 \U0001f600"),
            Message(role="assistant", tool_calls=(ToolCall(id="c", name="run", arguments="{ raw"),)),
            Message(role="tool", content=f"out {number}", tool_call_id="c"),
        ),
        sampling=Sampling(temperature=None, seed=number, stop=("END",)),
        tools=(Tool(name="run", description="d", parameters={"z": 1, "a": 2}),),
        sample_index=number,
    )
    extra = {"reasoning": {"effort": "low"}}
    return JournalRecord(
        key=call_key(ENDPOINT, request, extra),
        created_at=START + timedelta(seconds=number),
        endpoint=ENDPOINT,
        provider="compatible",
        request=request,
        extra=extra,
        message=Message(role="assistant", content=text, reasoning="because"),
        finish_reason="stop",
        model="m-2026",
        usage=Usage.model_validate({"prompt_tokens": 10, "completion_tokens": 5, "requests": 2, **usage}),
        price=Price(input_usd_per_mtok=1, output_usd_per_mtok=2),
        latency_s=1.5,
        raw='{"choices": []}',
    )


async def _all(journal: Journal) -> list[JournalRecord]:
    return [record async for record in journal.records()]


async def test_a_record_comes_back_as_it_went_in(place: Place) -> None:
    with Journal(place) as journal:
        await journal.store(_record())
    with Journal(place) as journal:
        assert await _all(journal) == [_record()]
        assert await journal.find(_record().key) == _record().reply(replayed=True)
        assert await journal.find("unknown") is None


async def test_the_first_answer_stays(place: Place) -> None:
    with Journal(place) as journal:
        first = await journal.store(_record(text="first"))
        second = await journal.store(_record(text="second"))
        assert (first.message.content, first.replayed) == ("first", False)
        assert (second.message.content, second.replayed) == ("first", True)
        assert [record.message.content for record in await _all(journal)] == ["first"]


async def test_a_stored_reply_is_on_disk_before_it_is_returned(tmp_path: Path) -> None:
    """Another connection, which sees committed data only, finds it; and commits are flushed (synchronous = FULL)."""
    with Journal(tmp_path / "store.db") as journal:
        await journal.store(_record())
        with sqlite3.connect(tmp_path / "store.db") as other:
            assert other.execute("SELECT count(*) FROM journal_calls").fetchone() == (1,)
            assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        durable = await journal.query(lambda connection: connection.exec_driver_sql("PRAGMA synchronous").scalar())
        assert durable == 2


async def test_the_messages_of_a_growing_conversation_are_kept_once(tmp_path: Path) -> None:
    turns = tuple(Message(role="user", content=f"turn {turn} " + "x" * 20_000) for turn in range(30))
    with Journal(tmp_path / "store.db") as journal:
        for length in range(1, 31):
            request = ChatRequest(model="m", messages=turns[:length])
            key = call_key(ENDPOINT, request, {})
            await journal.store(_record().model_copy(update={"key": key, "request": request, "extra": {}}))
        assert [len(record.request.messages) for record in await _all(journal)].count(30) == 1
        assert sorted(len(record.request.messages) for record in await _all(journal)) == list(range(1, 31))
    size = (tmp_path / "store.db").stat().st_size
    assert size < 3 * sum(len(turn.content) for turn in turns), "30 turns sent 465 times, kept 30 times"


@pytest.mark.parametrize("name", ["journal.jsonl", "journal.jsonl.gz"])
async def test_an_export_replays_and_imports(name: str, place: Place, tmp_path: Path) -> None:
    path = tmp_path / "out" / name
    with Journal(place) as journal:
        for number in (2, 0, 1):
            await journal.store(_record(number))
        assert await journal.export_jsonl(path) == 3
    replay = ReplayJournal(path)
    assert list(replay.records()) == [_record(0), _record(1), _record(2)], "in the order the answers came"
    assert await replay.find(_record(1).key) == _record(1).reply(replayed=True)
    assert await replay.find("unknown") is None
    with Journal(tmp_path / "other.db") as other:
        await other.store(_record(0, text="mine"))
        assert await other.import_jsonl(path) == 2
        assert [record.message.content for record in await _all(other)] == ["mine", "five", "five"]


async def test_an_export_of_some_calls_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    with Journal(tmp_path / "store.db") as journal:
        for number in range(3):
            await journal.store(_record(number))
        assert await journal.export_jsonl(tmp_path / "one.jsonl.gz", keys=[_record(1).key]) == 1
        await journal.export_jsonl(tmp_path / "again.jsonl.gz", keys=[_record(1).key])
    assert (tmp_path / "one.jsonl.gz").read_bytes() == (tmp_path / "again.jsonl.gz").read_bytes()
    assert json.loads(gzip.decompress((tmp_path / "one.jsonl.gz").read_bytes()))["key"] == _record(1).key
    assert {name for name in os.listdir(tmp_path) if "jsonl" in name} == {"again.jsonl.gz", "one.jsonl.gz"}


async def test_an_export_is_text_a_person_can_read(tmp_path: Path) -> None:
    with Journal(tmp_path / "store.db") as journal:
        await journal.store(_record())
        await journal.export_jsonl(tmp_path / "journal.jsonl")
    text = (tmp_path / "journal.jsonl").read_text(encoding="utf-8")
    assert "Grüße" in text
    assert text.count("\n") == 1
    assert list(json.loads(text))[:3] == ["schema_version", "key", "created_at"]


async def test_a_failed_export_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text("old")
    with Journal(tmp_path / "store.db") as journal:
        await journal.store(_record())
        monkeypatch.setattr(JournalRecord, "line", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await journal.export_jsonl(path)
    assert path.read_text() == "old"
    assert [name for name in os.listdir(tmp_path) if not name.startswith("store.db")] == ["journal.jsonl"]


async def test_of_several_recordings_the_first_answers(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(_record(text=name).line() + "\n")
    replay = ReplayJournal(tmp_path / "two", tmp_path / "one")
    reply = await replay.find(_record().key)
    assert reply is not None
    assert (reply.message.content, len(replay)) == ("two", 1)


@pytest.mark.parametrize("damage", ["not json", '{"key": "k"}', "[]", "edited"])
async def test_a_damaged_line_is_named(damage: str, tmp_path: Path) -> None:
    edited = _record().model_dump(mode="json")
    edited["request"]["messages"][0]["content"] = "something else was asked"
    path = tmp_path / "journal.jsonl"
    path.write_text(_record(1).line() + "\n\n" + (json.dumps(edited) if damage == "edited" else damage) + "\n")
    with pytest.raises(JournalError, match=r"journal\.jsonl:3"):
        list(ReplayJournal(path).records())
    with Journal(tmp_path / "store.db") as journal:
        with pytest.raises(JournalError, match=r"journal\.jsonl:3"):
            await journal.import_jsonl(path)
        assert await _all(journal) == [], "a damaged file adds nothing"


@pytest.mark.parametrize("name", ["missing.jsonl", "not-gzip.jsonl.gz"])
def test_an_unreadable_recording_is_one_sentence(name: str, tmp_path: Path) -> None:
    (tmp_path / "not-gzip.jsonl.gz").write_text("plain")
    with pytest.raises(JournalError, match=name):
        ReplayJournal(tmp_path / name)


def test_a_store_of_a_later_version_is_left_alone(place: Place) -> None:
    Journal(place).close()
    look(place, "UPDATE schema_versions SET version = 99 WHERE component = 'journal'")
    with pytest.raises(JournalError, match="version 99") as caught:
        Journal(place)
    assert caught.value.remedy


def test_other_parts_of_the_store_keep_their_versions(place: Place) -> None:
    Journal(place).close()
    look(place, "INSERT INTO schema_versions VALUES ('executions', 7)")
    Journal(place).close()
    found = look(place, "SELECT component, version FROM schema_versions ORDER BY component")
    assert found == [("executions", 7), ("journal", len(MIGRATIONS))]


def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_text("this is a letter, not a database, and it is long enough to be looked at " * 20)
    with pytest.raises(JournalError, match=r"store\.db") as caught:
        Journal(tmp_path / "store.db")
    assert isinstance(caught.value, UserError)
    assert caught.value.remedy


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(JournalError, match=r"store\.db") as caught:
        Journal(tmp_path / "file" / "store.db")
    assert "TRIGPOINT_HOME" in caught.value.remedy


async def test_a_closed_journal_says_so_and_closes_twice(place: Place) -> None:
    journal = Journal(place)
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        await journal.find("k")


async def test_a_journal_taken_through_a_fork_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "store.db")
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 1)
        with pytest.raises(JournalError, match="forked"):
            await journal.find("k")
    journal.close()


async def test_a_failing_write_takes_no_other_with_it(place: Place) -> None:
    """Writes that wait together are committed together; one that breaks must not undo the rest."""
    with Journal(place) as journal:
        broken = _record(1).model_copy(update={"provider": None})  # the column is NOT NULL
        records = [_record(0), broken, *(_record(number) for number in range(2, 20))]
        results = await asyncio.gather(*(journal.store(record) for record in records), return_exceptions=True)
        assert isinstance(results[1], JournalError)
        assert [type(result).__name__ for result in results].count("ChatReply") == 19
        assert len(await _all(journal)) == 19


async def test_what_is_queued_is_written_before_closing(place: Place) -> None:
    journal = Journal(place)
    waiting = [asyncio.ensure_future(journal.store(_record(number))) for number in range(50)]
    await asyncio.sleep(0)
    journal.close()
    await asyncio.gather(*waiting)
    with Journal(place) as again:
        assert len(await _all(again)) == 50


async def test_a_cancelled_waiter_does_not_lose_the_answer(place: Place) -> None:
    """An answer that came has been paid: once the write is queued it happens, whoever still waits for it."""
    with Journal(place) as journal:
        storing = asyncio.ensure_future(journal.store(_record()))
        await asyncio.sleep(0)
        storing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await storing
    with Journal(place) as again:
        assert await again.find(_record().key) is not None


async def test_a_store_of_the_first_version_is_brought_up_to_date(place: Place) -> None:
    with Journal(place) as journal:
        await journal.store(_record())
        before = await totals(journal)
    look(place, "DROP TABLE journal_spent")
    look(place, "UPDATE schema_versions SET version = 1")
    with Journal(place) as journal:
        assert await totals(journal) == before


async def test_the_ledger_adds_up_what_is_known(place: Place) -> None:
    with Journal(place) as journal:
        for number in range(4):
            await journal.store(_record(number, cost_usd=0.5 if number else None, cached_tokens=3))
        (all_of_it,) = await totals(journal)
        (some,) = await totals(journal, since=START + timedelta(seconds=1), until=START + timedelta(seconds=3))
        assert await totals(journal, since=START + timedelta(days=1)) == ()
    assert all_of_it.model_dump() == {
        "endpoint": ENDPOINT,
        "model": "m",
        "calls": 4,
        "requests": 8,
        "prompt_tokens": 40,
        "completion_tokens": 20,
        "cached_tokens": 12,
        "reasoning_tokens": 0,
        "cost_usd": 1.5,
        "calls_of_unknown_cost": 1,
        "seconds": 6.0,
    }
    assert (some.calls, some.cost_usd) == (2, 1.0)


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage(prompt_tokens=1_000_000, completion_tokens=500_000), 1 + 1),
        (Usage(prompt_tokens=1_000_000, completion_tokens=0, cached_tokens=400_000), 0.6 + 0.04),
        (Usage(prompt_tokens=5, completion_tokens=0, cached_tokens=50), 0.0000005),
        (Usage(prompt_tokens=1), None),
        (Usage(completion_tokens=1), None),
    ],
)
def test_a_price_is_applied_to_counted_tokens_only(usage: Usage, cost: float | None) -> None:
    price = Price(input_usd_per_mtok=1, output_usd_per_mtok=2, cached_usd_per_mtok=0.1)
    assert price.cost(usage) == pytest.approx(cost)


def test_housekeeping_that_fails_does_not_end_the_database(tmp_path: Path) -> None:
    ran: list[int] = []

    def chore(connection: object) -> None:
        ran.append(1)
        raise RuntimeError("no")

    database = Database(SqliteFile(tmp_path / "store.db"), lambda connection: None, Chore(0.01, chore, lambda: True))
    deadline = time.monotonic() + 60
    while len(ran) < 3 and time.monotonic() < deadline:
        assert database.submit(lambda connection: 7, write=True).result() == 7
    assert len(ran) >= 3
    database.close()
