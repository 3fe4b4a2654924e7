"""One request on its way: what is settled for it, what wait it brings back, and what is said where it may not go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr

from blocks.chat.admission import Rules, Traffic, check_price
from blocks.chat.budget import BudgetPlan, Caps
from blocks.chat.endpoints import parse_model
from blocks.chat.errors import (
    BadRequest,
    BreakerOpen,
    BudgetSpent,
    ConnectionLost,
    RateLimited,
    ServerFailure,
    ServerWait,
    Unbounded,
    UnknownPrice,
)
from blocks.chat.journal import Journal
from blocks.chat.legs import Leg
from blocks.chat.limits import ANSWER_TOKENS, LATEST_S, Limits, worst_case
from blocks.chat.models import Sampling, Usage
from blocks.chat.orders import Closing, Order, Return
from blocks.chat.prices import Price
from blocks.chat.retry import RetryPolicy
from tests.support.chat import MODEL, ask, opened
from tests.support.model_server import ModelServer
from tests.support.stores import look
from tests.support.waiting import SECONDS

ORDER = Order("send", "call", MODEL, 500, 7_000, 0.0)
USAGE = Usage(prompt_tokens=11, completion_tokens=7)


def leg(usage: Usage | None = None, *, left: bool = True, headers: Mapping[str, str] | None = None) -> Leg:
    made = Leg(ORDER, "2027-01-15", time.monotonic(), lambda _: None)
    if left:
        made.leaves()
    made.usage, made.headers = usage, headers or {}
    return made


def settled(found: Leg, error: BaseException | None = None, closing: Closing | None = None) -> Return:
    back = found.back(error, closing)
    assert (back.id, back.model, back.day, back.closing) == ("send", MODEL, "2027-01-15", closing)
    return back


# What is settled


def test_an_answer_is_settled_with_what_it_took() -> None:
    back = settled(leg(USAGE.model_copy(update={"cost_usd": 0.25})))
    assert (back.outcome, back.requests, back.unreported) == ("ok", 1, 0)
    assert (back.tokens, back.prompt_tokens, back.completion_tokens) == (18, 11, 7)
    assert (back.nanodollars, back.cost_usd) == (250_000_000, 0.25)


def test_an_answer_whose_cost_nobody_knows_is_charged_as_the_dearest() -> None:
    back = settled(leg(USAGE))
    assert (back.tokens, back.nanodollars, back.cost_usd, back.unreported) == (18, 7_000, 0.0, 0)


@pytest.mark.parametrize("usage", [None, Usage(), Usage(prompt_tokens=1), Usage(completion_tokens=1)])
def test_what_nobody_counted_is_charged_in_full(usage: Usage | None) -> None:
    for error in (None, ConnectionLost("gone"), asyncio.CancelledError()):
        back = settled(leg(usage), error)
        assert (back.requests, back.tokens, back.nanodollars, back.unreported) == (1, 500, 7_000, 1)
        assert (back.prompt_tokens, back.completion_tokens, back.cost_usd) == (0, 0, 0.0)


@pytest.mark.parametrize(("status", "charged"), [(500, False), (429, False), (300, False), (299, True), (None, True)])
def test_an_error_reply_costs_its_request_alone(status: int | None, charged: bool) -> None:
    back = settled(leg(), ServerFailure("down", status=status))
    assert (back.outcome, back.requests) == ("server_failure", 1)
    assert (back.tokens, back.nanodollars, back.unreported) == ((500, 7_000, 1) if charged else (0, 0, 0))


def test_what_never_left_is_no_request() -> None:
    for error, outcome in (
        (None, "unsent"), (asyncio.CancelledError(), "unsent"), (KeyError(), "unsent"),
        (ConnectionLost("gone"), "connection_lost"), (ServerFailure("down", status=500), "server_failure"),
    ):  # fmt: skip
        back = settled(leg(USAGE, left=False), error)
        assert (back.outcome, back.requests, back.tokens, back.unreported) == (outcome, 0, 0, 0)


def test_an_end_from_outside_is_a_cancelled_one() -> None:
    assert settled(leg(), asyncio.CancelledError()).outcome == "cancelled"
    assert settled(leg(), KeyError("a bug")).outcome == "cancelled"
    assert settled(leg(), BadRequest("no", status=400), Closing(9.0, "said")).outcome == "bad_request"


def test_a_request_that_left_later_than_the_limits_reckon_with_is_entered_anew() -> None:
    told: list[str] = []
    late = Leg(ORDER, "day", time.monotonic() - LATEST_S - 1, told.append)
    late.leaves()
    late.has_left()
    assert told == ["send"]
    Leg(ORDER, "day", time.monotonic(), told.append).has_left()
    assert told == ["send"]


# What wait it brings back

USED_UP = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "60"}


@pytest.mark.parametrize(
    ("headers", "error", "closing"),
    [
        ({}, None, Closing(0.0, "the limit of  is used up")),
        (USED_UP, None, Closing(60.0, "the limit of x-ratelimit-reset-requests is used up")),
        ({}, RateLimited("Slow down.", retry_after_s=5), Closing(5, "Slow down.")),
        ({}, RateLimited("Slow down.", detail="per day", retry_after_s=5), Closing(5, "per day")),
        (
            USED_UP,
            RateLimited("Slow down.", retry_after_s=5),
            Closing(60.0, "the limit of x-ratelimit-reset-requests is used up"),
        ),
        (USED_UP, RateLimited("Slow down.", retry_after_s=60), Closing(60, "Slow down.")),
        (USED_UP, RateLimited("Slow down.", retry_after_s=90), Closing(90, "Slow down.")),
        ({}, ServerFailure("down"), Closing(0.0, "down")),
        (USED_UP, ServerFailure("down"), Closing(60.0, "the limit of x-ratelimit-reset-requests is used up")),
        (USED_UP, asyncio.CancelledError(), Closing(60.0, "the limit of x-ratelimit-reset-requests is used up")),
    ],
)
def test_the_longest_wait_that_a_reply_asks_for_counts(
    headers: dict[str, str], error: BaseException | None, closing: Closing
) -> None:
    found = leg(headers=headers).closing(error)
    assert found.seconds == closing.seconds
    if closing.seconds:
        assert found.said == closing.said


# What may not go


def traffic(journal: Journal, rules: Rules, prices: Mapping[str, Price] | None = None) -> Traffic:
    endpoint = parse_model(MODEL, "http://127.0.0.1:1/v1", api_key=SecretStr("sk-x")).endpoint
    return Traffic(journal, endpoint, rules, RetryPolicy(max_server_wait_s=77), prices or {})


async def test_a_call_is_reserved_with_the_most_it_can_take(tmp_path: Path) -> None:
    price = Price(input_usd_per_mtok=2.0, output_usd_per_mtok=10.0)
    request, endless = (
        ask("a" * 400, sampling=Sampling(max_tokens=50)),
        ask("a" * 400, sampling=Sampling(max_tokens=None)),
    )
    prompt = worst_case(request)[0]
    with Journal(tmp_path / "store.db") as journal:
        road = traffic(journal, Rules(), {MODEL: price})
        assert road.patience_s == 77
        order = road.trip(request, "key")._order
        assert (order.key, order.model, order.patience_s) == ("key", MODEL, RetryPolicy().max_breaker_wait_s)
        assert (order.tokens, order.nanodollars) == (prompt + 50, prompt * 2_000 + 50 * 10_000)
        assert road.trip(endless, "key")._order.tokens == prompt + ANSWER_TOKENS
        await road.close()


async def test_a_call_that_outlives_its_client_ends_like_any_other(tmp_path: Path) -> None:
    """It has a wait for hours told, be it before it asks or while it waits for the store's word."""
    with Journal(tmp_path / "store.db") as journal:
        road = traffic(journal, Rules(Limits(requests_per_minute=1)))
        first, second, third = (road.trip(ask(), f"key {number}") for number in range(3))
        adaptive = road._adaptives[MODEL]
        await road.close()
        async with first.leg():
            pass
        waiting = asyncio.ensure_future(second.leg().__aenter__())
        while not adaptive.in_flight:  # noqa: ASYNC110  (the very next moment is wanted)
            await asyncio.sleep(0)
        adaptive.close(78)
        ends = await asyncio.wait_for(
            asyncio.gather(waiting, third.leg().__aenter__(), return_exceptions=True), SECONDS
        )
        assert [type(end) for end in ends] == [ServerWait] * 2
        await road.close()


@pytest.mark.parametrize(
    ("rules", "free"),
    [
        (Rules(Limits(tokens_per_minute=10_000)), False),
        (Rules(plan=BudgetPlan(run=Caps(tokens=10))), False),
        (Rules(plan=BudgetPlan(models={MODEL: Caps(tokens=10)})), False),
        (Rules(plan=BudgetPlan(models={"another": Caps(tokens=10)})), True),
        (Rules(Limits(requests_per_minute=1), BudgetPlan(day=Caps(requests=1))), True),
    ],
)
async def test_an_answer_without_an_end_is_refused_where_tokens_are_counted(
    rules: Rules, free: bool, tmp_path: Path
) -> None:
    endless = ask(sampling=Sampling(max_tokens=None))
    with Journal(tmp_path / "store.db") as journal:
        road = traffic(journal, rules)
        if free:
            road.trip(endless, "key")
        else:
            with pytest.raises(Unbounded, match=MODEL) as caught:
                road.trip(endless, "key")
            assert "max_tokens" in caught.value.remedy
        await road.close()


async def test_a_call_as_large_as_the_limit_goes_and_a_larger_one_is_told_both_numbers(tmp_path: Path) -> None:
    request = ask("a" * 400, sampling=Sampling(max_tokens=50))
    most = worst_case(request)[0] + 50
    with Journal(tmp_path / "store.db") as journal:
        fits = traffic(journal, Rules(Limits(tokens_per_minute=most)))
        fits.trip(request, "key")
        await fits.close()
        road = traffic(journal, Rules(Limits(tokens_per_minute=most - 1)))
        with pytest.raises(
            Unbounded, match=f"{MODEL} may take {most} tokens, the limit is {most - 1} a minute"
        ) as caught:
            road.trip(request, "key")
        assert "max_tokens" in caught.value.remedy
        assert "tokens_per_minute" in caught.value.remedy
        await road.close()


def test_money_needs_the_price_of_each_model_that_it_caps() -> None:
    price = Price(input_usd_per_mtok=2.0, output_usd_per_mtok=10.0)
    plan = BudgetPlan(models={"a": Caps(usd=1), "b": Caps(tokens=1)})
    check_price(plan, "a", {"a": price})
    check_price(plan, "b", {})
    check_price(BudgetPlan(), "a", {})
    with pytest.raises(UnknownPrice, match="the price of a is unknown") as caught:
        check_price(plan, "a", {"b": price})
    assert "price" in caught.value.remedy


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (
            BudgetPlan(run=Caps(requests=1)),
            "of this run is spent: the next call might pass 1 request (spent: 1 request,",
        ),
        (BudgetPlan(day=Caps(requests=1)), "of today (UTC) is spent: the next call might pass 1 request"),
        (BudgetPlan(models={MODEL: Caps(requests=1)}), "of this model today (UTC) is spent"),
    ],
)
async def test_a_spent_budget_says_whose_it_is_what_it_was_and_what_to_do(
    plan: BudgetPlan, words: str, tmp_path: Path
) -> None:
    with ModelServer() as server:
        async with opened(server, tmp_path / "store.db", rules=Rules(plan=plan)) as client:
            await client.complete(ask("first"))
            with pytest.raises(BudgetSpent) as caught:
                await client.complete(ask("second"))
    assert words in caught.value.message
    assert "18 tokens)" in caught.value.message, "no money where none was counted"
    assert "Raise the budget" in caught.value.remedy


async def test_an_open_breaker_says_for_how_long_and_what_to_do(tmp_path: Path) -> None:
    retry = RetryPolicy(max_breaker_wait_s=10)
    with ModelServer() as server:
        async with opened(server, tmp_path / "store.db", retry=retry) as client:
            values = (
                f"('{client.endpoint.id}', '{MODEL}', 'open', 0, strftime('%s', 'now') + 100, '', 1, 0, 0, 'it broke')"
            )
            look(tmp_path / "store.db", f"INSERT INTO traffic_breakers VALUES {values}")
            with pytest.raises(BreakerOpen, match=f"{MODEL} at .*: it broke; the next try is in (9|10)\\d s") as caught:
                await client.complete(ask())
    assert 80 < caught.value.probe_s <= 100
    assert "Run again then" in caught.value.remedy


# What a client keeps


async def test_limits_are_learnt_and_never_loosen_the_user_s_own(tmp_path: Path) -> None:
    with Journal(tmp_path / "store.db") as journal:
        road = traffic(journal, Rules(Limits(requests_per_minute=5)))
        road.trip(ask(), "key")
        gate = road._gate
        assert gate is not None
        road.learn({})
        assert gate.limits == Limits(requests_per_minute=5)
        road.learn({"x-ratelimit-limit-requests": "9", "x-ratelimit-limit-tokens": "100000"})
        assert gate.limits == Limits(requests_per_minute=5, tokens_per_minute=100_000)
        road.learn({"x-ratelimit-limit-requests": "2"})
        assert gate.limits == Limits(requests_per_minute=2)
        await road.close()


async def test_what_a_call_costs_is_worked_out_from_the_price_of_its_model(tmp_path: Path) -> None:
    price = Price(input_usd_per_mtok=1.0, output_usd_per_mtok=0.0)
    with Journal(tmp_path / "store.db") as journal:
        road = traffic(journal, Rules(), {"a": price})
        assert road.cost(Usage(prompt_tokens=10**6, completion_tokens=1), "a").cost_usd == 1.0
        assert road.cost(Usage(prompt_tokens=10**6, completion_tokens=1), "b").cost_usd is None
        assert road.endpoint == "http://127.0.0.1:1/v1"
        await road.close()


async def test_a_client_that_closes_gives_its_shares_back(tmp_path: Path) -> None:
    with Journal(tmp_path / "store.db") as journal:
        road = traffic(journal, Rules())
        road.trip(ask(), "key")
        road._adaptives[MODEL].close(1000)
        assert road.trip(ask("another"), "key")._adaptive is road._adaptives[MODEL]
        await road.close()
        later = traffic(journal, Rules())
        assert later.trip(ask(), "key")._adaptive.closed_s() == 0
        await later.close()
