"""Servers that ask to wait for hours: whoever waits, wherever, ends at once and is told; a later run goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path

import pytest

from blocks.chat.adaptive import FIRST, Adaptive, ClosedForLong
from blocks.chat.admission import Rules
from blocks.chat.backends import Place
from blocks.chat.errors import ChatError, RateLimited, ServerWait
from blocks.chat.journal import Journal
from blocks.chat.limits import Limits
from blocks.chat.outages import outages
from blocks.chat.patience import asked, spoken, time_of_day
from blocks.chat.retry import RetryPolicy
from tests.support.chat import MODEL, ask, opened
from tests.support.model_answers import Answer, Ask, error, in_turn
from tests.support.model_server import ModelServer
from tests.support.stores import look
from tests.support.waiting import SECONDS

TEN_HOURS = 36_000
LONG = {"Retry-After": str(TEN_HOURS)}
WORDS = "Rate limit exceeded: free-models-per-day."
REFUSED = error(429, {"error": {"message": WORDS, "code": 429}}, headers=LONG)


async def _ends(*calls: object) -> list[object]:
    """How calls end; none may wait for hours."""
    return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), SECONDS)  # type: ignore[call-overload]


def _check(end: object, model: str = MODEL) -> ServerWait:
    """A sentence that says which model, for how long, until when, and what to do."""
    assert isinstance(end, ServerWait)
    assert model in end.message
    assert "to send nothing for" in end.message
    assert "until " in end.message
    assert "Run again then" in end.remedy
    return end


class Together:
    """Holds requests back until so many are under way, then answers them all alike.

    Args:
        count: How many.
        answer: What they get.
    """

    def __init__(self, count: int, answer: Answer) -> None:
        self._count, self._answer = count, answer
        self._there = asyncio.Event()

    async def __call__(self, it: Ask) -> Answer:
        if it.in_flight >= self._count:
            self._there.set()
        await self._there.wait()
        return self._answer


async def test_those_already_queued_end_when_one_is_told_to_wait_for_hours(tmp_path: Path) -> None:
    with ModelServer(Together(FIRST, REFUSED)) as server:
        async with opened(server, tmp_path / "store.db", max_in_flight=50, sleep=asyncio.sleep) as client:
            ends = await _ends(*(client.complete(ask(f"question {number}")) for number in range(30)))
            later = await _ends(client.complete(ask("later")))
    assert server.tally.asked.total() == FIRST, "only those on their way when it was told"
    for end in (*ends, *later):
        told = _check(end)
        assert WORDS.rstrip(".") in told.message, "the server's own words"
        assert told.probe_s == pytest.approx(TEN_HOURS, abs=SECONDS)
    assert sum(end.requests for end in (*ends, *later) if isinstance(end, ServerWait)) == FIRST


async def test_a_good_reply_that_uses_up_a_limit_ends_those_queued(tmp_path: Path) -> None:
    told = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2h59m56s"}
    with ModelServer(Together(FIRST, Answer(headers=told))) as server:
        async with opened(server, tmp_path / "store.db", max_in_flight=50, sleep=asyncio.sleep) as client:
            ends = await _ends(*(client.complete(ask(f"question {number}")) for number in range(20)))
    assert sum(not isinstance(end, Exception) for end in ends) == FIRST == server.tally.asked.total()
    for end in ends[FIRST:]:
        assert "2 h 59 min" in _check(end).message
        assert "x-ratelimit-reset-requests is used up" in str(end)


async def test_those_who_wait_for_the_stores_word_end_too(tmp_path: Path) -> None:
    """They hold a place and wait for room in the account's minute; nothing of theirs is sent afterwards."""
    waiting = asyncio.Event()

    async def behave(it: Ask) -> Answer:
        await waiting.wait()
        return REFUSED

    with ModelServer(behave) as server:
        rules = Rules(Limits(requests_per_minute=1))
        async with opened(server, tmp_path / "store.db", rules=rules, sleep=asyncio.sleep) as client:
            calls = [asyncio.ensure_future(client.complete(ask(f"question {number}"))) for number in range(FIRST)]
            await asyncio.to_thread(server.wait_for_asks, 1)
            await asyncio.sleep(0.5)
            server._loop.call_soon_threadsafe(waiting.set)
            for end in await _ends(*calls):
                _check(end)
    assert server.tally.asked.total() == 1


async def test_a_request_that_is_let_go_when_nothing_is_to_be_sent_any_more_stays(tmp_path: Path) -> None:
    """The store's word comes after the wait was asked for; a short one is waited out, and the place given back."""
    rules = Rules(Limits(requests_per_minute=100))
    with ModelServer() as server:
        async with opened(server, tmp_path / "store.db", rules=rules, sleep=asyncio.sleep) as client:
            await client.complete(ask("first"))
            traffic = client._traffic
            assert traffic is not None
            adaptive = traffic._adaptives[MODEL]
            call = asyncio.ensure_future(client.complete(ask("second")))
            while not adaptive.in_flight:  # noqa: ASYNC110  (the very next moment is wanted)
                await asyncio.sleep(0)
            adaptive.close(1.0)
            closed_until = adaptive.closed_until
            await call
            assert asyncio.get_running_loop().time() >= closed_until
            assert (adaptive.in_flight, adaptive.closed_s()) == (0, 0)
    assert server.tally.asked.total() == 2
    assert look(tmp_path / "store.db", "SELECT count(*) FROM traffic_sends WHERE outcome <> 'ok'") == [(0,)]


async def test_a_fallback_that_is_told_to_wait_is_named(tmp_path: Path) -> None:
    def behave(it: Ask) -> Answer:
        return error(451) if it.body["model"] == MODEL else REFUSED

    with ModelServer(behave) as server:
        async with opened(server, tmp_path / "store.db", fallback=["second"]) as client:
            ends = await _ends(*(client.complete(ask(f"question {number}")) for number in range(10)))
    for end in ends:
        _check(end, "second")


async def test_other_models_of_the_account_go_on(tmp_path: Path) -> None:
    def behave(it: Ask) -> Answer:
        return REFUSED if it.body["model"] == MODEL else Answer()

    with ModelServer(behave) as server:
        async with opened(server, tmp_path / "store.db") as client:
            _check((await _ends(client.complete(ask())))[0])
            assert (await client.complete(ask(model="paid"))).message.content == "ok"


async def test_a_probe_that_is_told_to_wait_ends_those_who_wait_for_it(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    with ModelServer(lambda _: REFUSED) as server:
        async with opened(server, store, sleep=asyncio.sleep) as client:
            values = f"('{client.endpoint.id}', '{MODEL}', 'open', 0, strftime('%s', 'now') + 1, '', 5, 0, 0, 'test')"
            look(store, f"INSERT INTO traffic_breakers VALUES {values}")
            ends = await _ends(*(client.complete(ask(f"question {number}")) for number in range(FIRST)))
    assert server.tally.asked.total() == 1
    for end in ends:
        _check(end)


def _moment(form: Callable[[float], str]) -> Callable[[], str]:
    return lambda: form(time.time() + TEN_HOURS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Retry-After", lambda: "36000"),
        ("Retry-After", _moment(lambda at: formatdate(at, usegmt=True))),
        ("Retry-After", _moment(lambda at: str(int(at)))),
        ("retry-after-ms", lambda: "36000000"),
        ("x-ms-retry-after-ms", lambda: "36000000"),
        ("X-RateLimit-Reset", _moment(lambda at: str(int(at * 1000)))),
        ("X-RateLimit-Reset", _moment(lambda at: str(int(at)))),
        ("X-RateLimit-Reset", lambda: "36000.5"),
        ("x-ratelimit-reset-requests", lambda: "10h0m0s"),
        ("x-ratelimit-reset-tokens", lambda: "9h59m59.999s"),
        ("x-ratelimit-reset-requests-day", lambda: "35999.382867097855"),
        ("x-ratelimit-reset-tokens", lambda: "36000000ms"),
        ("x-ratelimit-reset-requests", lambda: "0.41666667d"),
        ("anthropic-ratelimit-requests-reset", _moment(lambda at: f"{datetime.fromtimestamp(at, UTC):%FT%TZ}")),
        ("anthropic-ratelimit-output-tokens-reset", _moment(lambda at: datetime.fromtimestamp(at, UTC).isoformat())),
        ("ratelimit-reset", lambda: "36000"),
        ("RateLimit", lambda: "limit=50, remaining=0, reset=36000"),
        ("RateLimit", lambda: '"minute";r=3;t=20, "day";r=0;t=36000'),
    ],
)
@pytest.mark.parametrize("refused", [True, False])
async def test_each_way_to_ask_for_hours(name: str, value: Callable[[], str], refused: bool, tmp_path: Path) -> None:
    """In a refusal, or with an answer that says the limit is used up; a reset in the body is in `test_chat_retry`."""
    headers = {name: value()}
    if "retry" not in name.lower():
        headers |= {name.replace("reset", "remaining").replace("Reset", "Remaining"): "0"} if "eset" in name else {}
    elif not refused:
        pytest.skip("an answer says no Retry-After")
    with ModelServer(lambda _: error(429, headers=headers) if refused else Answer(headers=headers)) as server:
        async with opened(server, tmp_path / "store.db") as client:
            first, second = [*await _ends(client.complete(ask("1"))), *await _ends(client.complete(ask("2")))]
    assert isinstance(first, ServerWait) is refused
    assert _check(second).probe_s == pytest.approx(TEN_HOURS, abs=SECONDS)
    assert server.tally.asked.total() == 1


async def test_a_reset_that_only_informs_is_not_waited_for(tmp_path: Path) -> None:
    informs = {"x-ratelimit-reset-requests": "10h0m0s", "x-ratelimit-remaining-requests": "7"}
    unused = {
        "x-ratelimit-limit-images": "0", "x-ratelimit-remaining-images": "0", "x-ratelimit-reset-images": "10h",
    }  # fmt: skip
    answers = [error(502, headers=informs), Answer(headers={**informs, **unused})]
    with ModelServer(in_turn(*answers)) as server:
        async with opened(server, tmp_path / "store.db") as client:
            await client.complete(ask("first"))
            await client.complete(ask("second"))
    assert server.tally.asked.total() == 4


async def test_who_has_more_patience_waits(tmp_path: Path) -> None:
    """The longest wait is the client's to say; with one queue each waiter has a patience of its own."""
    adaptive = Adaptive(lambda: 100.0)
    for _ in range(FIRST):
        await adaptive.enter()
    patient = asyncio.ensure_future(adaptive.enter(patience_s=50_000))
    hasty = [asyncio.ensure_future(adaptive.enter(patience_s=300)) for _ in range(2)]
    await asyncio.sleep(0)
    adaptive.close(300)
    await asyncio.sleep(0)
    assert not any(each.done() for each in (patient, *hasty)), "as long as they would wait"
    adaptive.close(301)
    assert [type(each) for each in await _ends(*hasty)] == [ClosedForLong] * 2
    assert not patient.done()
    patient.cancel()
    await asyncio.wait([patient])
    assert adaptive.in_flight == FIRST, "who was ended or cancelled has taken no place"
    with pytest.raises(ClosedForLong):
        await adaptive.enter(patience_s=300)
    waits = RetryPolicy(max_server_wait_s=4.0)
    with ModelServer(in_turn(error(429, headers={"Retry-After": "5"}))) as server:
        async with opened(server, tmp_path / "store.db", retry=waits) as client:
            (end,) = await _ends(client.complete(ask()))
            assert isinstance(end, ServerWait)


async def test_a_shorter_wait_ends_no_longer_one(tmp_path: Path) -> None:
    """Nor does the one who was told the shorter one slip through when it is over."""
    clock = [100.0]
    adaptive = Adaptive(lambda: clock[0])
    first, second = [await adaptive.enter() for _ in range(2)]
    adaptive.turned_away(first, 20.0)
    end = adaptive.turned_away(second, 1.0)
    assert (adaptive.closed_s(), end) == (20.0, 101.0)
    clock[0] = 101.0
    waiting = asyncio.ensure_future(adaptive.enter(end))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait([waiting])

    told = iter([error(429, headers={"Retry-After": "3"}), error(429, headers={"Retry-After": "1"})])
    came: list[float] = []

    def behave(it: Ask) -> Answer:
        came.append(time.monotonic())
        return next(told, Answer())

    with ModelServer(behave) as server:
        async with opened(server, tmp_path / "store.db", sleep=asyncio.sleep) as client:
            await asyncio.gather(client.complete(ask("first")), client.complete(ask("second")))
    assert min(came[2:]) >= came[0] + 3


async def test_it_is_an_outage_until_an_answer_comes(place: Place) -> None:
    """The store tells it, to `report` and to nights; a later run asks at once, as credit may have been bought."""
    with ModelServer(in_turn(REFUSED, Answer())) as server:
        async with opened(server, place) as client:
            _check((await _ends(client.complete(ask())))[0])
        with Journal(place) as journal:
            (outage,) = await outages(journal)
            assert (outage.model, outage.state) == (MODEL, "told to wait")
            assert outage.wait_s == pytest.approx(TEN_HOURS, abs=SECONDS)
            assert outage.since <= datetime.now(UTC) < outage.since + timedelta(seconds=SECONDS)
            assert all(words in outage.sentence() for words in (MODEL, "until", WORDS, "the next try is in"))
        async with opened(server, place) as client:
            await client.complete(ask())
        with Journal(place) as journal:
            assert await outages(journal) == ()
    ledger = "SELECT outcome, requests FROM traffic_attempts ORDER BY outcome"
    assert look(place, ledger) == [("ok", 1), ("rate_limited", 1)]


async def test_an_answer_to_what_was_sent_before_ends_no_outage(tmp_path: Path) -> None:
    refused = asyncio.Event()

    async def behave(it: Ask) -> Answer:
        if it.last == "slow":
            await refused.wait()
            return Answer(delay_s=1.0)
        refused.set()
        return REFUSED

    store = tmp_path / "store.db"
    with ModelServer(behave) as server:
        async with opened(server, store) as client:
            slow = asyncio.ensure_future(client.complete(ask("slow")))
            await asyncio.to_thread(server.wait_for_asks, 1)
            _check((await _ends(client.complete(ask())))[0])
            await slow
        with Journal(store) as journal:
            assert len(await outages(journal)) == 1


async def test_a_server_that_fails_and_names_an_hour_is_told_alike(tmp_path: Path) -> None:
    with ModelServer(lambda _: error(503, headers=LONG)) as server:
        async with opened(server, tmp_path / "store.db") as client:
            end = _check((await _ends(client.complete(ask())))[0], server.base_url)
    assert isinstance(end, ChatError)
    assert isinstance(end, RateLimited)
    assert end.requests == 1


def test_waits_are_said_in_words() -> None:
    assert [spoken(each) for each in (0, 59.6, 61, 10_796, 36_000, 400_000)] == [
        "0 s", "1 min", "1 min 1 s", "2 h 59 min", "10 h", "4 d 15 h",
    ]  # fmt: skip
    noon = datetime.now().astimezone().replace(hour=12, minute=0, second=0).timestamp()
    assert time_of_day(noon + 60, noon).startswith("12:01")
    assert "on 20" not in time_of_day(noon + 60, noon)
    next_day = datetime.fromtimestamp(noon + 86_400).astimezone()
    assert time_of_day(noon + 86_400, noon).endswith(f"on {next_day:%Y-%m-%d}")
    assert "36000 s (10 h), until 22:00" in asked(TEN_HOURS, noon)
