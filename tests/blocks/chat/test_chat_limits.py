"""Requests and tokens per minute: never passed in any sliding minute, by however many processes, whoever is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from blocks.chat.admission import Rules
from blocks.chat.backends import Place
from blocks.chat.budget import BudgetPlan, Caps
from blocks.chat.endpoints import parse_model
from blocks.chat.errors import Unbounded
from blocks.chat.limits import LATEST_S, WINDOW_S, Limits, Used, learnt, worst_case
from blocks.chat.models import Message, Sampling
from blocks.chat.orders import Go, Wait
from blocks.chat.owners import new_owner
from blocks.chat.sending import STALE_S
from tests.support.chat import MODEL, ask, opened
from tests.support.model_answers import Answer
from tests.support.model_server import ModelServer
from tests.support.properties import PATIENT
from tests.support.stores import look, written
from tests.support.traffic import START, Road, store_at, waits
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]

steps = st.lists(
    st.tuples(
        st.floats(0, 40).map(lambda pause: round(pause, 3)),
        st.integers(0, 1),
        st.integers(1, 6),
        st.integers(1, 40),
        st.integers(0, 40),
    ),
    min_size=1,
    max_size=25,
)


def most_in(window_s: float, sent: list[tuple[float, int]]) -> tuple[int, int]:
    """The most requests and tokens in any stretch of so many seconds."""
    inside = [[it for it in sent if at <= it[0] < at + window_s] for at, _ in sent]
    return max((len(some) for some in inside), default=0), max((sum(t for _, t in some) for some in inside), default=0)


def test_no_minute_holds_more_than_the_limits(tmp_path: Path) -> None:
    """Two clients, bursts of requests that take less than reserved in the end, at any moments."""

    @given(steps, st.integers(1, 8), st.integers(40, 90))
    @settings(PATIENT, max_examples=60)
    def check(script: list[tuple[float, int, int, int, int]], requests: int, tokens: int) -> None:
        limits, now = Limits(requests_per_minute=requests, tokens_per_minute=tokens), START
        account = uuid.uuid4().hex
        roads = [Road(connection, limits=limits, account=account) for _ in range(2)]
        took: dict[str, tuple[float, int]] = {}
        for pause, which, count, most, used in script:
            now += pause
            for order, day in roads[which].send(now, roads[which].orders(count, tokens=most)):
                took[order.id] = (now, min(used, most))
                roads[which].back(now, order, day, tokens=min(used, most))
        sent = list(took.values())
        assert sent, "with nothing sent yet there is room"
        assert most_in(WINDOW_S, sent)[0] <= requests
        assert most_in(WINDOW_S, sent)[1] <= tokens

    with store_at(tmp_path / "store.db") as connection:
        check()


def test_waiting_as_long_as_told_brings_all_through(tmp_path: Path) -> None:
    """Nobody waits for ever, nor longer than the limit makes it."""

    @given(st.integers(1, 20), st.integers(1, 60))
    @settings(PATIENT, max_examples=25)
    def check(requests: int, count: int) -> None:
        now = START
        road = Road(connection, limits=Limits(requests_per_minute=requests), account=uuid.uuid4().hex)
        todo = road.orders(count)
        while todo:
            decisions = road.handle(now, todo)
            todo = [order for order, it in zip(todo, decisions, strict=True) if not isinstance(it, Go)]
            now += max(waits(decisions), default=0.0)
        assert now - START == pytest.approx(WINDOW_S * ((count - 1) // requests))

    with store_at(tmp_path / "store.db") as connection:
        check()


def test_what_is_reserved_and_not_taken_is_given_back(place: Place) -> None:
    with store_at(place) as connection:
        road = Road(connection, limits=Limits(tokens_per_minute=100))
        ((first, day),) = road.send(START, road.orders(1, tokens=100))
        (decision,) = road.handle(START + 1, road.orders(1, tokens=60))
        assert isinstance(decision, Wait)
        road.back(START + 2, first, day, tokens=40)
        assert len(road.send(START + 3, road.orders(1, tokens=60))) == 1


def test_nobody_overtakes_who_waits_for_room(place: Place) -> None:
    with store_at(place) as connection:
        road = Road(connection, limits=Limits(tokens_per_minute=100))
        road.send(START, road.orders(1, tokens=50))
        decisions = road.handle(START, [*road.orders(1, tokens=60), *road.orders(1, tokens=10)])
        assert len(waits(decisions)) == 2


def test_a_job_that_may_have_been_committed_counts_once(place: Place) -> None:
    """The store runs a job again when its connection was lost at the commit."""
    with store_at(place) as connection:
        road = Road(connection, limits=Limits(requests_per_minute=3))
        orders = road.orders(3)
        assert road.send(START, orders)
        assert all(isinstance(it, Go) for it in road.handle(START, orders, again=True))
        assert len(waits(road.handle(START, road.orders(1)))) == 1


OTHER_HOST = str(new_owner()._replace(place="another host"))
DEAD = str(new_owner()._replace(started="1"))


@pytest.mark.parametrize(
    ("owner", "after_s", "lost"),
    [
        (DEAD, 0.0, True),
        (OTHER_HOST, STALE_S, False),
        (OTHER_HOST, STALE_S + 1, True),
        (str(new_owner()), 10 * STALE_S, False),
    ],
    ids=["dead", "silent elsewhere", "silent elsewhere for too long", "alive"],
)
def test_a_dead_holders_reservation_is_given_back_and_no_living_ones(
    owner: str, after_s: float, lost: bool, tmp_path: Path
) -> None:
    """At once where its death can be seen, after an hour where nothing can be; its request stays counted."""
    with store_at(tmp_path / "store.db") as connection:
        plan = BudgetPlan(run=Caps(tokens=100))
        holder = Road(connection, owner=owner, plan=plan)
        assert holder.send(START, holder.orders(1, tokens=100))
        heir = Road(connection, plan=plan)
        decisions = heir.handle(START + after_s, heir.orders(1, tokens=60))
        assert isinstance(decisions[0], Go) is lost
    found = look(tmp_path / "store.db", "SELECT outcome, requests FROM traffic_attempts")
    assert found == ([("lost", 1)] if lost else [])


async def test_a_request_that_leaves_late_counts_from_when_it_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way to the server took longer than the limits reckon with, so its minute begins anew."""
    monkeypatch.setattr("blocks.chat.legs.LATEST_S", -1.0)
    store = tmp_path / "store.db"
    with ModelServer() as server:
        async with opened(server, store, rules=Rules(Limits(requests_per_minute=60))) as client:
            traffic = client._traffic
            assert traffic is not None
            trip = traffic.trip(ask(), "key")
            async with trip.leg() as leg:
                entered = look(store, "SELECT at FROM traffic_sends")[0][0]
                leg.leaves()
                await asyncio.sleep(0.05)
                leg.has_left()
    assert look(store, "SELECT at FROM traffic_sends")[0][0] >= entered + 0.05


async def test_what_is_let_go_and_taken_up_late_is_entered_anew(tmp_path: Path) -> None:
    """The event loop was busy when the store's word came: that word is too old to reckon with."""
    store = tmp_path / "store.db"
    with ModelServer() as server:
        async with opened(server, store, rules=Rules(Limits(requests_per_minute=60))) as client:
            await client.complete(ask("first"))
            ids = look(store, "SELECT id FROM traffic_sends")
            traffic = client._traffic
            assert traffic is not None
            trip = traffic.trip(ask("second"), "key")
            going = asyncio.ensure_future(trip._set_out())
            while traffic._adaptives[MODEL].in_flight == 0:  # noqa: ASYNC110  (the very next moment is wanted)
                await asyncio.sleep(0)
            wait_until(lambda: len(look(store, "SELECT id FROM traffic_sends")) == 2)
            (stale,) = {*look(store, "SELECT id FROM traffic_sends")} - {*ids}
            time.sleep(LATEST_S + 0.1)  # noqa: ASYNC251  (nothing else may run)
            place, leg = await going
            assert leg.late_s() <= LATEST_S
            assert stale not in look(store, "SELECT id FROM traffic_sends"), "it took no part of the minute"
            traffic._adaptives[MODEL].leave(place, answered=False)


def test_used_and_limits() -> None:
    limits = Limits(requests_per_minute=2, tokens_per_minute=10)
    assert Used(1, 5).fits(limits, 5)
    assert not Used(2, 0).fits(limits, 1)
    assert not Used(1, 6).fits(limits, 5)
    assert Used(0, 0).fits(limits, 11), "larger than the server's own limit: let the server say so"
    assert limits.tightened(Limits(requests_per_minute=9, tokens_per_minute=3)) == Limits(
        requests_per_minute=2, tokens_per_minute=3
    )


@pytest.mark.parametrize(
    ("text", "limit"), [("60", 60), (" 7 ", 7), ("0", None), ("", None), ("ten", None), ("-1", None), ("²", None)]
)
def test_limits_are_learnt_from_headers(text: str, limit: int | None) -> None:
    assert learnt({"x-ratelimit-limit-requests": text}).requests_per_minute == limit


async def test_a_limit_the_server_tells_is_kept_to(tmp_path: Path) -> None:
    with ModelServer(lambda _: Answer(headers={"x-ratelimit-limit-requests": "2"})) as server:
        async with opened(server, tmp_path / "store.db") as client:
            await client.complete(ask("first"))
            rest = [asyncio.ensure_future(client.complete(ask(text))) for text in ("second", "third")]
            done, waiting = await asyncio.wait(rest, timeout=50, return_when=asyncio.FIRST_COMPLETED)
            assert len(done) == len(waiting) == 1
            waiting.pop().cancel()
    assert server.tally.asked.total() == 2


def test_the_worst_case_holds_all_that_is_sent() -> None:
    small = ask("a" * 400, sampling=Sampling(max_tokens=50))
    prompt, answer = worst_case(small)
    assert prompt >= 200
    assert answer == 50
    longer = small.model_copy(update={"messages": (*small.messages, Message(role="assistant", content="b" * 400))})
    assert worst_case(longer)[0] >= prompt + 200


@pytest.mark.parametrize(("most", "words"), [(None, "how long an answer"), (5000, "the limit is 1000 a minute")])
async def test_what_can_never_be_sent_is_said_at_once(most: int | None, words: str, tmp_path: Path) -> None:
    with ModelServer() as server:
        rules = Rules(Limits(tokens_per_minute=1000))
        async with opened(server, tmp_path / "store.db", rules=rules) as client:
            with pytest.raises(Unbounded, match=words):
                await client.complete(ask(sampling=Sampling(max_tokens=most)))
        assert server.tally.asked.total() == 0


def test_an_account_is_its_address_and_its_key() -> None:
    def account(key: str, url: str = "http://127.0.0.1:1/v1") -> str:
        return parse_model("m", url, api_key=SecretStr(key)).endpoint.account

    assert account("sk-one") == account("sk-one")
    assert len({account("sk-one"), account("sk-two"), account("sk-one", "http://127.0.0.1:2/v1")}) == 3
    assert "sk-one" not in account("sk-one")


class Lag:
    """How late an event loop runs at most, by a tick of its own.

    Args:
        loop: The loop, of another thread.
    """

    TICK_S = 0.05

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.most_s = 0.0
        self._loop = loop
        loop.call_soon_threadsafe(self._tick, loop.time())

    def _tick(self, due: float) -> None:
        now = self._loop.time()
        self.most_s = max(self.most_s, now - due)
        self._loop.call_later(self.TICK_S, self._tick, now + self.TICK_S)


def test_four_processes_share_sixty_a_minute(tmp_path: Path) -> None:
    """As the server sees it, over more than a minute, one of them killed in its first burst."""
    limit, log = 60, tmp_path / "calls.jsonl"
    store = tmp_path / "store.db"
    with ModelServer(lambda _: Answer(delay_s=0.05), log=log) as server:
        lag = Lag(server._loop)
        command = [sys.executable, "-m", "tests.support.chat_worker", written(store), server.base_url]
        words = ["--limit", str(limit), "--in-flight", "40"]
        workers = [
            subprocess.Popen([*command, str(first), str(first + 25), *words], cwd=ROOT, stdout=subprocess.DEVNULL)
            for first in range(0, 100, 25)
        ]
        server.wait_for_asks(20)
        os.kill(workers[0].pid, signal.SIGKILL)
        server.wait_for_asks(limit + 5)
        for worker in workers:
            worker.kill()
            worker.wait(60)
        time.sleep(0.5)
    times = sorted(line["at"] for line in map(json.loads, log.read_text().splitlines()) if line["event"] == "asked")
    # What came is noted at most so much later, so that what came within a minute may seem to be closer together.
    assert lag.most_s < 30, "too busy a machine to tell"
    most, _ = most_in(60.0 - lag.most_s, [(at, 0) for at in times])
    assert most <= limit
    assert len(times) > limit
    # Answers that were on their way to a process when it was killed are not kept.
    assert look(store, "SELECT count(*) FROM journal_calls")[0][0] > limit // 2
