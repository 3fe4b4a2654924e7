"""Budgets: reserved before anything is sent, settled from what came back, exact to the request, whoever is killed."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.chat.admission import Rules
from blocks.chat.backends import Place
from blocks.chat.budget import Amount, BudgetPlan, Caps, dearest, nanodollars
from blocks.chat.errors import BudgetSpent, ChatError, ServerFailure, UnknownPrice
from blocks.chat.journal import Journal
from blocks.chat.ledger import spending
from blocks.chat.limits import Limits
from blocks.chat.models import Sampling
from blocks.chat.orders import Go, Order, Origin, Spent, Wait
from blocks.chat.owners import Owner, new_owner
from blocks.chat.prices import Price
from blocks.chat.retry import RetryPolicy
from tests.support.chat import MODEL, ask, opened
from tests.support.model_answers import Answer, Ask, error
from tests.support.model_server import ModelServer
from tests.support.properties import PATIENT
from tests.support.stores import look, written
from tests.support.traffic import START, Road, store_at

ROOT = Path(__file__).resolve().parents[3]
DAY_S = 86_400.0
TOMORROW = START - START % DAY_S + DAY_S
DEAD = Owner(new_owner().place, 2**22 + 1, "1", "dead")


def requests(count: int) -> BudgetPlan:
    return BudgetPlan(day=Caps(requests=count))


async def test_a_budget_is_exact_to_the_request(tmp_path: Path) -> None:
    """Retries count, and what is left at the end is nothing."""
    with ModelServer(lambda it: error(500) if it.number == 1 and "7" in it.last else Answer()) as server:
        async with opened(server, tmp_path / "store.db", rules=Rules(plan=requests(37))) as client:
            calls = (client.complete(ask(f"question {number}")) for number in range(60))
            ends = await asyncio.gather(*calls, return_exceptions=True)
        assert server.tally.asked.total() == 37
    spent = [end for end in ends if isinstance(end, BudgetSpent)]
    assert [end for end in ends if isinstance(end, BaseException) and end not in spent] == []
    assert len(spent) == 60 - server.tally.answered.total()
    assert "today (UTC) is spent" in spent[0].message
    assert "37 requests" in spent[0].message


def test_processes_share_a_budget(place: Place) -> None:
    with ModelServer(lambda _: Answer(delay_s=0.01)) as server:
        command = [sys.executable, "-m", "tests.support.chat_worker", written(place), server.base_url]
        workers = [
            subprocess.Popen([*command, str(first), str(first + 40), "--requests", "50"], cwd=ROOT) for first in (0, 40)
        ]
        codes = [worker.wait(600) for worker in workers]
        assert codes == [0, 0]
        assert server.tally.asked.total() == 50


async def test_the_run_that_comes_the_next_day_goes_on(tmp_path: Path) -> None:
    with ModelServer() as server:
        async with opened(server, tmp_path / "store.db", rules=Rules(plan=requests(1))) as client:
            await client.complete(ask("first"))
            with pytest.raises(BudgetSpent) as caught:
                await client.complete(ask("second"))
            assert caught.value.kind == "budget"
        look(tmp_path / "store.db", "UPDATE traffic_attempts SET day = '2001-01-01'")
        async with opened(server, tmp_path / "store.db", rules=Rules(plan=requests(1))) as client:
            assert (await client.complete(ask("first"))).replayed
            assert not (await client.complete(ask("second"))).replayed


async def test_what_never_left_costs_nothing(tmp_path: Path) -> None:
    """No connection came about, so there was no request."""
    rules = Rules(plan=requests(1))
    with socket.socket() as taken:
        # Bound to the end, so that nobody else is given the port; it does not listen, so whoever calls is refused.
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        async with opened(url, tmp_path / "store.db", rules=rules, retry=RetryPolicy(max_attempts=3)) as client:
            with pytest.raises(ChatError) as caught:
                await client.complete(ask())
        assert (caught.value.kind, caught.value.requests) == ("unreachable", 0)


async def test_money_is_settled_with_what_a_call_did_cost(tmp_path: Path) -> None:
    """The worst case of a call is 4 cents; what it takes is 0.0102: three fit under 6.5 cents, not a fourth."""
    price = Price(input_usd_per_mtok=1000, output_usd_per_mtok=0.0)
    plan = BudgetPlan(models={MODEL: Caps(usd=0.065)})
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.0102}
    with ModelServer(lambda _: Answer(usage=usage)) as server, Journal(tmp_path / "store.db") as journal:
        rules = Rules(plan=plan, origin=Origin("r", "f"))
        async with opened(server, journal, rules=rules, prices={MODEL: price}) as client:
            for number in range(3):
                await client.complete(ask(f"{number}" * 48))
            with pytest.raises(BudgetSpent, match=r"US\$ 0\.065 .*US\$ 0\.0306"):
                await client.complete(ask("4" * 48))
        (entry,) = await spending(journal, by=("model",))
        assert entry.cost_usd == pytest.approx(0.0306)
        assert entry.requests == server.tally.asked.total() == 3


async def test_money_without_a_price_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with ModelServer() as server:
        rules = Rules(plan=BudgetPlan(run=Caps(usd=1.0)))
        async with opened(server, tmp_path / "store.db", rules=rules) as client:
            with pytest.raises(UnknownPrice, match=f"the price of {MODEL} is unknown"):
                await client.complete(ask())
        assert server.tally.asked.total() == 0


async def test_what_nobody_counted_is_charged_in_full(tmp_path: Path) -> None:
    """A connection that broke may have been billed; an error reply was not."""
    answers = {"broken": Answer(drop=True), "refused": error(500)}
    plan = BudgetPlan(day=Caps(tokens=100_000))
    for name, charged in (("broken", True), ("refused", False)):
        with ModelServer(lambda it: answers[it.last]) as server, Journal(tmp_path / f"{name}.db") as journal:
            once = RetryPolicy(max_attempts=1)
            async with opened(server, journal, rules=Rules(plan=plan), retry=once) as client:
                with pytest.raises(ChatError):
                    await client.complete(ask(name, sampling=Sampling(max_tokens=50)))
            (entry,) = await spending(journal, by=("outcome",))
            assert (entry.unreported == 1) == charged
            assert (entry.charged_tokens > 50) == charged
            assert entry.requests == 1


async def test_a_cancelled_call_is_counted_if_it_had_left(tmp_path: Path) -> None:
    with ModelServer(lambda _: Answer(stall=True)) as server, Journal(tmp_path / "store.db") as journal:
        async with opened(server, journal) as client:
            call = asyncio.ensure_future(client.complete(ask()))
            await asyncio.to_thread(server.wait_for_asks, 1)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        (entry,) = await spending(journal, by=("outcome",))
        assert (entry.outcome, entry.requests) == ("cancelled", 1)


def test_what_the_dead_had_reserved_is_given_back_but_for_the_request(place: Place) -> None:
    plan = BudgetPlan(day=Caps(requests=2, tokens=100))
    with store_at(place) as connection:
        dead = Road(connection, owner=str(DEAD), plan=plan)
        assert len(dead.send(START, dead.orders(1, tokens=100))) == 1
        road = Road(connection, plan=plan)
        assert [type(it) for it in road.handle(START + 1, road.orders(2, tokens=100))] == [Go, Wait]


def test_what_was_given_up_for_lost_and_comes_back_is_counted_once(place: Place) -> None:
    """A host that hung, not one that died."""
    with store_at(place) as connection:
        hung = Road(connection, owner=str(DEAD))
        ((order, day),) = hung.send(START, hung.orders(1, tokens=100))
        Road(connection).handle(START + 1)
        hung.back(START + 2, order, day, tokens=60)
        hung.back(START + 2, order, day, tokens=60)
        found = connection.exec_driver_sql("SELECT sum(requests), sum(charged_tokens) FROM traffic_attempts").one()
        assert tuple(map(int, found)) == (1, 60)


def test_run_day_and_model_are_counted_apart(place: Place) -> None:
    plan = BudgetPlan(run=Caps(requests=2), day=Caps(requests=5), models={"m": Caps(requests=3)})
    with store_at(place) as connection:
        first, second, third = (Road(connection, plan=plan, run=name) for name in ("one", "two", "three"))
        assert len(first.send(START, first.orders(3))) == 2, "of a run"
        assert len(second.send(START, second.orders(2))) == 1, "of the model"
        assert len(second.send(START, second.orders(2, model="n"))) == 1, "of a run"
        assert len(third.send(START, third.orders(3, model="n"))) == 1, "of the day"
        for road in (first, second, third):
            road.handle(START)
        assert len(third.send(TOMORROW + 1, third.orders(3))) == 1, "another day, the same run"


def test_what_may_still_be_given_back_is_waited_for(place: Place) -> None:
    plan = BudgetPlan(day=Caps(tokens=100))
    with store_at(place) as connection:
        road = Road(connection, plan=plan)
        ((order, day),) = road.send(START, road.orders(1, tokens=90))
        (decision,) = road.handle(START + 1, road.orders(1, tokens=50))
        assert isinstance(decision, Wait), "the first may take less than 90 in the end"
        road.back(START + 2, order, day, tokens=70)
        (decision,) = road.handle(START + 3, road.orders(1, tokens=50))
        assert isinstance(decision, Spent)
        assert len(road.send(START + 3, road.orders(1, tokens=30))) == 1


events = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 50), st.integers(0, 50)), min_size=1, max_size=30)


def test_no_order_of_events_passes_a_cap_or_loses_a_token(tmp_path: Path) -> None:
    """Requests of two clients go, come back and die in any order; sums are exact and caps are never passed."""

    @given(events, st.integers(1, 12), st.integers(20, 200))
    @settings(PATIENT, max_examples=60)
    def check(script: list[tuple[int, int, int]], most_requests: int, most_tokens: int) -> None:
        plan = BudgetPlan(run=Caps(requests=most_requests, tokens=most_tokens))
        run = uuid.uuid4().hex
        roads = [Road(connection, plan=plan, run=run) for _ in range(2)]
        out: list[tuple[int, Order, str]] = []
        sent = tokens = reserved = 0
        for what, most, took in script:
            if what < 2:
                orders = roads[what].orders(1, tokens=most)
                gone = roads[what].send(START, orders)
                fits = sent + 1 <= most_requests and tokens + reserved + most <= most_tokens
                assert len(gone) == fits
                out += [(what, order, day) for order, day in gone]
                sent += len(gone)
                reserved += most * len(gone)
            elif out:
                which, order, day = out.pop(0)
                roads[which].back(START, order, day, tokens=min(took, order.tokens))
                reserved -= order.tokens
                tokens += min(took, order.tokens)
            assert tokens + reserved <= most_tokens
        query = "SELECT coalesce(sum(requests), 0), coalesce(sum(charged_tokens), 0) FROM traffic_attempts WHERE run = "
        assert tuple(connection.exec_driver_sql(f"{query}'{run}'").one()) == (sent - len(out), tokens)

    with store_at(tmp_path / "store.db") as connection:
        check()


@given(st.lists(st.floats(0, 10, allow_nan=False), max_size=20))
@PATIENT
def test_money_never_counts_for_less_than_it_is(dollars: list[float]) -> None:
    total = Amount()
    for each in dollars:
        total = total.plus(Amount(nanodollars=nanodollars(each)))
    assert total.nanodollars >= sum(dollars) * 1e9 * (1 - 1e-12) - 1
    assert total.nanodollars <= sum(dollars) * 1e9 + len(dollars) + 1


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
@PATIENT
def test_the_dearest_case_is_no_cheaper_than_any_other(prompt: int, answer: int, less: int, shorter: int) -> None:
    price = Price(input_usd_per_mtok=0.15, output_usd_per_mtok=0.6)
    assert dearest(prompt, answer, price) >= dearest(min(prompt, less), min(answer, shorter), price)


async def test_a_budget_and_a_limit_hold_together(tmp_path: Path) -> None:
    """Who waits for the limit reserves nothing meanwhile."""

    def behave(_: Ask) -> Answer:
        return Answer(delay_s=0.05)

    rules = Rules(Limits(requests_per_minute=5), requests(5))
    with ModelServer(behave) as server:
        async with opened(server, tmp_path / "store.db", rules=rules) as client:
            calls = (client.complete(ask(f"question {number}")) for number in range(8))
            ends = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(end, BudgetSpent) for end in ends) == 3
    assert server.tally.asked.total() == 5


async def test_a_failed_call_is_in_the_ledger_with_all_its_requests(tmp_path: Path) -> None:
    rules = Rules(origin=Origin("run-1", "episode"))
    with (
        ModelServer(lambda it: error(500) if it.last == "bad" else Answer()) as server,
        Journal(tmp_path / "store.db") as journal,
    ):
        async with opened(server, journal, rules=rules, retry=RetryPolicy(max_attempts=3)) as client:
            with pytest.raises(ServerFailure) as caught:
                await client.complete(ask("bad"))
            await client.complete(ask("good"))
        assert caught.value.requests == 3
        found = {entry.outcome: entry for entry in await spending(journal, by=("run", "flow", "model", "outcome"))}
        (day,) = await spending(journal, by=("day",), run="run-1", flow="episode", model=MODEL)
        assert await spending(journal, by=("day",), run="another") == ()
    assert (found["server_failure"].requests, found["ok"].requests) == (3, 1)
    assert (found["ok"].run, found["ok"].flow, found["ok"].model) == ("run-1", "episode", MODEL)
    assert (found["ok"].prompt_tokens, found["ok"].completion_tokens) == (11, 7)
    assert day.requests == server.tally.asked.total() == 4
