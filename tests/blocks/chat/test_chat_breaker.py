"""The breaker: opens when a model keeps failing, in the store and so for everybody, lets one call try, closes again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from blocks.chat.admission import Rules
from blocks.chat.backends import Place
from blocks.chat.breaker import (
    DENSITY_REQUESTS,
    FIRST_PROBE_S,
    LAST_PROBE_S,
    PROBE_LEASE_S,
    STREAK_REQUESTS,
    STREAK_S,
    Breaker,
    BreakerChange,
)
from blocks.chat.errors import BadRequest, BreakerOpen, ChatError, ServerFailure
from blocks.chat.orders import Broken, Go
from blocks.chat.owners import new_owner
from blocks.chat.retry import RetryPolicy
from tests.support.chat import MODEL, ask, opened
from tests.support.model_answers import Answer, Ask, error
from tests.support.model_server import ModelServer
from tests.support.stores import look
from tests.support.traffic import START, Road, store_at, waits


def fail(road: Road, now: float, count: int, outcome: str = "rate_limited") -> list[str]:
    """So many requests come back with an outcome; gives the states of breakers that changed."""
    changes: list[str] = []
    for order in road.orders(count):
        for gone, day in road.send(now, [order]):
            road.back(now, gone, day, outcome)
            assert road.last is not None
            changes += [change.state for change in road.last.changes]
    return changes


def test_it_opens_when_most_of_a_minute_fails_and_lets_one_try(place: Place) -> None:
    with store_at(place) as connection:
        road, other = Road(connection), Road(connection)
        assert fail(road, START, DENSITY_REQUESTS - 1) == []
        assert fail(road, START, 1) == ["open"]
        assert waits(other.handle(START + 1, other.orders(1))) == [pytest.approx(FIRST_PROBE_S - 1)]
        assert other.send(START + 1, other.orders(1, model="another model"))
        later = START + FIRST_PROBE_S
        decisions = other.handle(later, orders := other.orders(3))
        assert [type(it) for it in decisions] == [Go, Broken, Broken]
        assert isinstance(decisions[0], Go)
        other.back(later, orders[0], decisions[0].day)
        assert other.last is not None
        assert [change.state for change in other.last.changes] == ["closed"]
        assert len(road.send(later, road.orders(3))) == 3
        assert fail(road, later, 5) == [], "what failed before it closed is forgotten"


def test_each_failed_probe_doubles_the_wait(place: Place) -> None:
    with store_at(place) as connection:
        road = Road(connection)
        fail(road, START, DENSITY_REQUESTS)
        now, seconds = START, []
        for _ in range(7):
            (wait,) = waits(road.handle(now, road.orders(1)))
            seconds.append(wait)
            now += wait
            assert fail(road, now, 1, "timeout") == ["open"]
        doubled = [min(LAST_PROBE_S, FIRST_PROBE_S * 2**trip) for trip in range(7)]
        assert seconds == [pytest.approx(each) for each in doubled]


def test_a_probe_that_never_comes_back_is_not_waited_for(place: Place) -> None:
    with store_at(place) as connection:
        road = Road(connection)
        fail(road, START, DENSITY_REQUESTS)
        assert road.send(START + FIRST_PROBE_S, road.orders(1))
        assert waits(road.handle(START + FIRST_PROBE_S + 1, road.orders(1)))
        assert road.send(START + FIRST_PROBE_S + PROBE_LEASE_S, road.orders(1))


def test_a_probe_that_is_too_large_gives_way_to_the_next_and_closes_nothing(place: Place) -> None:
    with store_at(place) as connection:
        road = Road(connection)
        fail(road, START, DENSITY_REQUESTS)
        later = START + FIRST_PROBE_S
        assert fail(road, later, 1, "request_too_large") == []
        decisions = road.handle(later, road.orders(2))
        assert [type(it) for it in decisions] == [Go, Broken], "one tries, as before"


def test_a_long_row_of_failures_opens_it_a_short_one_does_not(place: Place) -> None:
    """A slow server that fails never fails often in a minute."""
    with store_at(place) as connection:
        road = Road(connection)
        assert fail(road, START, STREAK_REQUESTS, "server_failure") == []
        assert fail(road, START + 1, 1, "ok") == []
        pause = STREAK_S / (STREAK_REQUESTS - 1)
        changes = [fail(road, START + 100 + pause * number, 1, "timeout") for number in range(STREAK_REQUESTS)]
        assert changes == [[]] * (STREAK_REQUESTS - 1) + [["open"]]


@pytest.mark.parametrize(
    ("good", "failed", "opens"),
    [(4, 16, True), (5, 15, False), (5, 19, False), (5, 20, True), (0, 19, False), (0, 20, True), (4, 15, False)],
)
def test_it_opens_at_four_fifths_of_twenty_and_not_before(good: int, failed: int, opens: bool, tmp_path: Path) -> None:
    """The answers come first, so that the failures are a row and each fifth of them is looked at."""
    with store_at(tmp_path / "store.db") as connection:
        road = Road(connection)
        assert fail(road, START, good, "ok") == []
        assert fail(road, START + 1, failed, "timeout") == (["open"] if opens else [])


@pytest.mark.parametrize(("calls", "opens"), [(4, False), (5, True)])
def test_it_opens_for_five_calls_not_for_four(calls: int, opens: bool, tmp_path: Path) -> None:
    with store_at(tmp_path / "store.db") as connection:
        road = Road(connection)
        changes: list[str] = []
        for number in range(DENSITY_REQUESTS):
            order = road.orders(1)[0]._replace(key=f"call {number % calls}")
            for gone, day in road.send(START, [order]):
                road.back(START, gone, day, "timeout")
                assert road.last is not None
                changes += [change.state for change in road.last.changes]
        assert changes == (["open"] if opens else [])


def test_what_is_older_than_a_minute_counts_no_more(tmp_path: Path) -> None:
    with store_at(tmp_path / "store.db") as connection:
        road = Road(connection)
        assert fail(road, START, 1, "ok") == fail(road, START, 8, "timeout") == []
        assert fail(road, START, 1, "ok") == fail(road, START + 61, DENSITY_REQUESTS - 1, "timeout") == []
        assert fail(road, START + 61, 1, "timeout") == ["open"]


@pytest.mark.parametrize("probing", [False, True])
def test_an_answer_that_is_no_probe_closes_nothing(probing: bool, tmp_path: Path) -> None:
    """A request from before the opening comes back well: that the model is back only a probe may say."""
    with store_at(tmp_path / "store.db") as connection:
        road = Road(connection)
        (straggler,) = road.send(START, road.orders(1))
        assert fail(road, START, DENSITY_REQUESTS) == ["open"]
        now = START + FIRST_PROBE_S * probing + 1
        probe = road.send(now, road.orders(1)) if probing else []
        road.back(now, *straggler, "ok")
        assert road.last is not None
        assert road.last.changes == []
        (decision,) = road.handle(now, road.orders(1))
        assert isinstance(decision, Broken)
        for gone, day in probe:
            road.back(now, gone, day, "ok")
            assert [change.state for change in road.last.changes] == ["closed"]


@pytest.mark.parametrize("outcome", ["cancelled", "unsent"])
def test_a_probe_that_comes_to_nothing_gives_way_to_the_next_at_once(outcome: str, tmp_path: Path) -> None:
    """It says nothing of the model: the wait is not doubled, and nobody waits out its lease."""
    with store_at(tmp_path / "store.db") as connection:
        road = Road(connection)
        (other,) = road.send(START, road.orders(1))
        fail(road, START, DENSITY_REQUESTS)
        now = START + FIRST_PROBE_S
        ((probe, day),) = road.send(now, road.orders(1))
        road.back(now + 1, *other, outcome)
        assert waits(road.handle(now + 1, road.orders(1))), "what is no probe gives nothing back"
        road.back(now + 2, probe, day, outcome)
        ((second, day),) = road.send(now + 2, road.orders(1))
        assert waits(road.handle(now + 2, road.orders(1))), "one at a time"
        road.back(now + 3, second, day, "timeout")
        assert waits(road.handle(now + 3, road.orders(1))) == [pytest.approx(2 * FIRST_PROBE_S)]


def test_a_probe_whose_process_has_died_gives_way_to_the_next_at_once(tmp_path: Path) -> None:
    with store_at(tmp_path / "store.db") as connection:
        dead = Road(connection, owner=str(new_owner()._replace(started="1")))
        fail(dead, START, DENSITY_REQUESTS)
        now = START + FIRST_PROBE_S
        assert dead.send(now, dead.orders(1))
        alive = Road(connection)
        assert alive.send(now + 1, alive.orders(1))


def test_a_probe_that_comes_back_after_its_lease_is_none_any_more(tmp_path: Path) -> None:
    with store_at(tmp_path / "store.db") as connection:
        road = Road(connection)
        fail(road, START, DENSITY_REQUESTS)
        ((late, day),) = road.send(START + FIRST_PROBE_S, road.orders(1))
        now = START + FIRST_PROBE_S + PROBE_LEASE_S
        assert waits(road.handle(now - 0.5, road.orders(1))), "not before"
        ((second, _),) = road.send(now, road.orders(1))
        road.back(now, late, day, "ok")
        assert road.last is not None
        assert road.last.changes == []
        road.back(now, second, day, "ok")
        assert [change.state for change in road.last.changes] == ["closed"]


@pytest.mark.parametrize("outcome", ["bad_request", "refused", "context_overflow", "cancelled"])
def test_what_concerns_one_call_opens_nothing(outcome: str, tmp_path: Path) -> None:
    with store_at(tmp_path / "store.db") as connection:
        road = Road(connection)
        assert fail(road, START, 40, outcome) == fail(road, START + 100, 1, outcome) == []


def test_one_call_alone_opens_nothing(tmp_path: Path) -> None:
    """Its retries are many requests and one opinion."""
    with store_at(tmp_path / "store.db") as connection:
        road = Road(connection)
        for _ in range(40):
            order = road.orders(1)[0]._replace(key="the same")
            for gone, day in road.send(START, [order]):
                road.back(START, gone, day, "rate_limited")
                assert road.last is not None
                assert road.last.changes == []


def test_a_closed_breaker_lets_go_at_once() -> None:
    assert Breaker().wait_s(START) == 0.0
    assert Breaker().probed("x", START) == Breaker()


async def test_an_outage_ends_calls_in_a_typed_error_also_after_a_restart(tmp_path: Path) -> None:
    """Another process asks nothing of the model either, until a probe is answered; observers are told."""
    changes: list[BreakerChange] = []
    down = True

    def behave(_: Ask) -> Answer:
        return error(503) if down else Answer()

    at_once = RetryPolicy(max_attempts=1, max_breaker_wait_s=0)
    rules = Rules(observer=changes.append)
    store = tmp_path / "store.db"
    with ModelServer(behave) as server:
        async with opened(server, store, retry=at_once, rules=rules) as client:
            ends = [await _end(client.complete(ask(f"question {number}"))) for number in range(30)]
        assert [type(end) for end in ends] == [ServerFailure] * DENSITY_REQUESTS + [BreakerOpen] * 10
        assert server.tally.asked.total() == DENSITY_REQUESTS
        async with opened(server, store, retry=at_once, rules=rules) as client:
            with pytest.raises(BreakerOpen, match=f"{MODEL} at .* is not asked for now: 20 of the last 20") as caught:
                await client.complete(ask())
            assert caught.value.kind == "breaker_open"
            assert 0 < caught.value.probe_s <= FIRST_PROBE_S
            assert caught.value.requests == 0
            down = False
            look(store, "UPDATE traffic_breakers SET probe_at = 0")
            assert (await client.complete(ask())).message.content == "ok"
            await client.complete(ask("another"))
    assert [(change.state, change.model) for change in changes] == [("open", MODEL), ("closed", MODEL)]


async def test_a_call_waits_for_a_probe_that_is_near(tmp_path: Path) -> None:
    with ModelServer() as server:
        async with opened(server, tmp_path / "store.db") as client:
            values = f"('{client.endpoint.id}', '{MODEL}', 'open', 0, strftime('%s', 'now') + 2, '', 1, 0, 0, 'test')"
            look(tmp_path / "store.db", f"INSERT INTO traffic_breakers VALUES {values}")
            calls = [client.complete(ask(f"question {number}")) for number in range(5)]
            assert len(await asyncio.gather(*calls)) == 5
        assert look(tmp_path / "store.db", "SELECT state FROM traffic_breakers") == [("closed",)]


async def test_a_bad_request_proves_that_the_model_is_there(tmp_path: Path) -> None:
    with ModelServer(lambda _: error(400)) as server:
        async with opened(server, tmp_path / "store.db") as client:
            values = f"('{client.endpoint.id}', '{MODEL}', 'open', 0, 0, '', 1, 0, 0, 'test')"
            look(tmp_path / "store.db", f"INSERT INTO traffic_breakers VALUES {values}")
            assert isinstance(await _end(client.complete(ask())), BadRequest)
        assert look(tmp_path / "store.db", "SELECT state FROM traffic_breakers") == [("closed",)]


async def _end(call: object) -> object:
    try:
        return await call  # type: ignore[misc]
    except ChatError as end:
        return end
