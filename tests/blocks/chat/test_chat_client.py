"""The client: journal first, one call for all who want it, offline truth, bounded traffic, nothing kept on failure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from blocks.chat.client import ModelClient
from blocks.chat.endpoints import parse_model
from blocks.chat.errors import ChatError, JournalError, MissingFromJournal, ServerFailure
from blocks.chat.exported import ReplayJournal
from blocks.chat.journal import Journal
from blocks.chat.ledger import totals
from blocks.chat.models import Message
from blocks.chat.prices import Price
from blocks.chat.retry import RetryPolicy
from blocks.errors import UserError
from tests.support.chat import MODEL, ask, opened
from tests.support.model_answers import Answer, Ask, error, in_turn
from tests.support.model_server import ModelServer


async def test_an_answered_call_is_never_sent_again(tmp_path: Path) -> None:
    with ModelServer() as server:
        async with opened(server, tmp_path / "store.db") as client:
            first = await client.complete(ask())
        async with opened(server, tmp_path / "store.db") as client:
            again = await client.complete(ask())
        assert again == first.model_copy(update={"replayed": True})
        assert server.tally.asked.total() == 1


async def test_samples_of_one_question_are_calls_of_their_own(tmp_path: Path) -> None:
    with ModelServer() as server:
        async with opened(server, tmp_path / "store.db") as client:
            keys = {(await client.complete(ask(sample=sample))).key for sample in range(3)}
        assert len(keys) == server.tally.asked.total() == 3


async def test_tasks_that_want_the_same_call_share_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Who had to look at the claim again and again, as other processes must, would find it too late.
    monkeypatch.setattr("blocks.chat.journal.POLL_S", (1000.0, 1000.0))
    with (
        ModelServer(lambda _: Answer(delay_s=0.2)) as server,
        Journal(tmp_path / "store.db", lease_s=10_000) as journal,
    ):
        async with opened(server, journal) as client:
            replies = await asyncio.gather(*(client.complete(ask()) for _ in range(20)))
        assert server.tally.asked.total() == 1
    assert sum(not reply.replayed for reply in replies) == 1


async def test_one_of_them_cancelled_leaves_the_others_their_answer(tmp_path: Path) -> None:
    with ModelServer(lambda ask: Answer(stall=ask.number == 1)) as server:
        async with opened(server, tmp_path / "store.db") as client:
            first = asyncio.ensure_future(client.complete(ask()))
            await asyncio.to_thread(server.wait_for_asks, 1)
            second = asyncio.ensure_future(client.complete(ask()))
            await asyncio.sleep(0.05)
            first.cancel()
            assert (await asyncio.wait_for(second, 60)).message.content == "ok"
            assert first.cancelled()


async def test_a_cancelled_call_leaves_nothing_behind(tmp_path: Path) -> None:
    with ModelServer(lambda ask: Answer(stall=ask.number == 1)) as server, Journal(tmp_path / "store.db") as journal:
        async with opened(server, journal, max_in_flight=1) as client:
            call = asyncio.ensure_future(client.complete(ask()))
            await asyncio.to_thread(server.wait_for_asks, 1)
            call.cancel()
            await asyncio.wait([call])
            reply = await asyncio.wait_for(client.complete(ask()), 60)
        assert (reply.message.content, reply.replayed) == ("ok", False)


async def test_calls_in_flight_are_bounded(tmp_path: Path) -> None:
    full = asyncio.Event()

    async def behave(it: Ask) -> Answer:
        # The first are held until there are as many as may be.
        if it.in_flight >= 3:
            full.set()
        await asyncio.wait_for(full.wait(), 200)
        return Answer(delay_s=0.05)

    with ModelServer(behave) as server:
        async with opened(server, tmp_path / "store.db", max_in_flight=3) as client:
            await asyncio.gather(*(client.complete(ask(sample=sample)) for sample in range(30)))
        assert server.peak_in_flight == 3
        assert server.connections <= 12, "connections are used again"


async def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    with ModelServer(in_turn(error(500), Answer(content="back"))) as server:
        async with opened(server, tmp_path / "store.db", retry=RetryPolicy(max_attempts=1)) as client:
            with pytest.raises(ServerFailure):
                await client.complete(ask())
            assert (await client.complete(ask())).message.content == "back"


async def test_an_answer_that_cannot_be_stored_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise JournalError("The disk is full.")

    monkeypatch.setattr("blocks.chat.rows.add", full)
    with ModelServer() as server:
        async with opened(server, tmp_path / "store.db") as client:
            with pytest.raises(JournalError, match="full"):
                await client.complete(ask())


async def test_a_client_that_sends_needs_a_journal() -> None:
    with pytest.raises(ValueError, match="journal"):
        ModelClient(parse_model("m", "http://gpu/v1").endpoint, journal=None)


async def test_two_clients_of_one_process_share_the_connections(tmp_path: Path) -> None:
    with ModelServer() as server, Journal(tmp_path / "store.db") as journal:
        async with opened(server, journal) as one:
            async with opened(server, journal) as other:
                await other.complete(ask("first"))
            await one.complete(ask("second"))
            async with opened(server, journal) as third:
                await third.complete(ask("third"))
                await one.complete(ask("fourth"))
        # The first connection went with `other`, its only user then; the rest shared one.
        assert server.connections == 2


async def _recorded(tmp_path: Path) -> tuple[str, Path]:
    """The base URL and the export of a recording of two questions; nothing listens there any more."""
    path = tmp_path / "recorded.jsonl"
    with ModelServer() as server, Journal(tmp_path / "recording.db") as journal:
        async with opened(server, journal) as client:
            await client.complete(ask("first"))
            await client.complete(ask("second"))
        await journal.export_jsonl(path)
        return server.base_url, path


async def test_offline_answers_from_a_recording(tmp_path: Path) -> None:
    url, path = await _recorded(tmp_path)
    endpoint = parse_model(MODEL, url, offline=True, environ={}).endpoint
    async with ModelClient(endpoint, journal=None, replay=[ReplayJournal(path)], offline=True) as client:
        reply = await client.complete(ask("first"))
    assert reply.replayed is True
    assert reply.message.content.startswith("answer to ")


async def test_offline_names_the_call_it_cannot_answer(tmp_path: Path) -> None:
    url, path = await _recorded(tmp_path)
    endpoint = parse_model(MODEL, url, offline=True, environ={}).endpoint
    question = ask("\n  How many penguins are there?\nAnswer with a number.", sample=4)
    async with ModelClient(endpoint, journal=None, replay=[ReplayJournal(path)], offline=True) as client:
        with pytest.raises(MissingFromJournal) as caught:
            await client.complete(question)
    assert isinstance(caught.value, UserError)
    for part in (MODEL, url, "How many penguins are there?", "(1 message,", "sample 4"):
        assert part in str(caught.value)
    assert "Answer with a number" not in str(caught.value)


async def test_offline_sends_nothing(tmp_path: Path) -> None:
    with ModelServer() as server:
        async with opened(server, tmp_path / "store.db", offline=True) as client:
            with pytest.raises(MissingFromJournal):
                await client.complete(ask())
        assert server.connections == 0


async def test_a_recording_answers_online_too_and_only_the_rest_is_paid(tmp_path: Path) -> None:
    with ModelServer() as server, Journal(tmp_path / "recording.db") as journal:
        async with opened(server, journal) as client:
            await client.complete(ask("first"))
        await journal.export_jsonl(tmp_path / "recorded.jsonl")
        replay = [ReplayJournal(tmp_path / "recorded.jsonl")]
        async with opened(server, tmp_path / "store.db", replay=replay) as client:
            assert (await client.complete(ask("first"))).replayed is True
            assert (await client.complete(ask("new"))).replayed is False
        assert server.tally.asked.total() == 2


async def test_what_was_sent_can_be_read_in_the_record(tmp_path: Path) -> None:
    thinking = Message(role="assistant", content="hm \ud800", reasoning="never sent")
    request = ask(messages=(*ask().messages, thinking, *ask().messages))
    with ModelServer() as server, Journal(tmp_path / "store.db") as journal:
        async with opened(server, journal) as client:
            await client.complete(request)
        (record,) = [record async for record in journal.records()]
        sent = server.asks[0].body["messages"]
    assert [message.content for message in record.request.messages] == [message["content"] for message in sent]
    assert record.request.messages[1].reasoning is None
    assert record.is_whole()
    assert '"choices"' in record.raw


@pytest.mark.parametrize(
    ("usage", "cost", "by_price"),
    [
        ({"prompt_tokens": 1000, "completion_tokens": 100}, 0.0012, True),
        ({"prompt_tokens": 1000, "completion_tokens": 100, "cost": 0.5}, 0.5, False),
        (None, None, True),
    ],
)
async def test_the_providers_own_cost_goes_before_a_price(
    usage: dict[str, float] | None, cost: float | None, by_price: bool, tmp_path: Path
) -> None:
    prices = {MODEL: Price(input_usd_per_mtok=1, output_usd_per_mtok=2)}
    with ModelServer(lambda _: Answer(usage=usage)) as server, Journal(tmp_path / "store.db") as journal:
        async with opened(server, journal, prices=prices) as client:
            reply = await client.complete(ask())
        (record,) = [record async for record in journal.records()]
        (total,) = await totals(journal)
    assert reply.usage.cost_usd == pytest.approx(cost)
    assert (record.price is not None) is by_price
    assert total.calls_of_unknown_cost == (cost is None)


async def test_without_a_price_the_cost_is_unknown(tmp_path: Path) -> None:
    with ModelServer() as server:
        async with opened(server, tmp_path / "store.db") as client:
            assert (await client.complete(ask())).usage.cost_usd is None


@pytest.mark.parametrize("make", [lambda: error(429, headers={"Retry-After": "0"}), lambda: Answer(drop=True)])
async def test_a_storm_loses_and_doubles_nothing(make: Callable[[], Answer], tmp_path: Path) -> None:
    """Calls fail never, once or twice before they succeed; every call ends with its own answer, kept once."""

    def stormy(ask: Ask) -> Answer:
        failures = int(ask.last.removeprefix("question ")) % 3
        return make() if ask.number <= failures else Answer(content=f"answer to {ask.last}")

    with ModelServer(stormy) as server, Journal(tmp_path / "store.db") as journal:
        async with opened(server, journal, max_in_flight=20) as client:
            texts = [f"question {number}" for number in range(100)]
            replies = await asyncio.gather(*(client.complete(ask(text)) for text in texts))
        assert [reply.message.content for reply in replies] == [f"answer to {text}" for text in texts]
        assert sum(reply.usage.requests for reply in replies) == server.tally.asked.total()
        (total,) = await totals(journal)
        assert (total.calls, total.requests) == (100, server.tally.asked.total())


async def test_an_error_is_a_chat_error_whatever_the_server_does(tmp_path: Path) -> None:
    kinds = [error(status) for status in (300, 400, 401, 404, 418, 429, 451, 499, 500, 599)]
    for number, answer in enumerate(kinds):
        with ModelServer(in_turn(answer)) as server:
            async with opened(server, tmp_path / f"{number}.db", retry=RetryPolicy(max_attempts=1)) as client:
                with pytest.raises(ChatError) as caught:
                    await client.complete(ask())
                assert caught.value.status == answer.status


async def test_where_the_law_forbids_one_model_the_next_is_asked(tmp_path: Path) -> None:
    """What came of it is kept under the name of the model that answered; other refusals are final."""

    def behave(it: Ask) -> Answer:
        return error(451) if it.body["model"] != "third" else Answer(content="allowed")

    with ModelServer(behave) as server:
        async with opened(server, tmp_path / "store.db", fallback=("second", "third")) as client:
            reply = await client.complete(ask())
            assert (reply.message.content, reply.model, reply.replayed) == ("allowed", "third", False)
            assert (await client.complete(ask())).replayed
        async with opened(server, tmp_path / "store.db", fallback=("second",)) as client:
            with pytest.raises(ChatError) as caught:
                await client.complete(ask())
            assert caught.value.kind == "refused"
        server.behave = in_turn(error(400, {"error": {"message": "flagged by moderation"}}))
        asked = server.tally.asked.total()
        async with opened(server, tmp_path / "store.db", fallback=("second",)) as client:
            with pytest.raises(ChatError):
                await client.complete(ask("another"))
        assert server.tally.asked.total() == asked + 1
