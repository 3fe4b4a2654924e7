"""The arithmetic of admission, number by number: breaker, budget, limits, retries; and who is alive."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from blocks.chat.breaker import (
    CALLS,
    DENSITY_REQUESTS,
    FAILURES,
    FIRST_PROBE_S,
    LAST_PROBE_S,
    PROBE_LEASE_S,
    PROBE_LOOK_S,
    SPEAKS_NOT,
    STREAK_REQUESTS,
    STREAK_S,
    Breaker,
    Seen,
)
from blocks.chat.budget import NO_CAPS, Amount, BudgetPlan, Caps, dearest, nanodollars
from blocks.chat.errors import ChatError, RateLimited, ServerFailure, ServerWait, UnreachableEndpoint, WrongKey
from blocks.chat.limits import BYTES_PER_TOKEN, MESSAGE_TOKENS, Limits, Used, learnt, worst_case
from blocks.chat.models import Message, Sampling, Tool, ToolCall
from blocks.chat.owners import Owner, _lock, appear, life, new_owner, present
from blocks.chat.prices import Price
from blocks.chat.retry import RetryPolicy, persist
from tests.support.chat import Waits, ask
from tests.support.traffic import store_at

NOW = 1_800_000_000.0


# The breaker


def seen(requests: int, failed: int, calls: int = CALLS) -> Seen:
    return Seen(requests, failed, calls)


def failing(streak: int, *, since: float = NOW, trips: int = 0) -> Breaker:
    """A closed breaker after so many failures in a row."""
    return Breaker(since=0.0, streak=streak, streak_since=since, trips=trips)


def told(breaker: Breaker, outcome: str, recent: Seen, now: float = NOW, send: str = "a") -> Breaker:
    return breaker.told(send, outcome, now, lambda _: recent)


@pytest.mark.parametrize(
    ("failed", "requests", "state"),
    [(16, 20, "open"), (15, 20, "closed"), (19, 19, "closed"), (20, 25, "open"), (19, 25, "closed"), (20, 20, "open")],
)
def test_it_opens_at_four_failures_of_five_among_twenty_requests(failed: int, requests: int, state: str) -> None:
    found = told(failing(STREAK_REQUESTS), "timeout", seen(requests, failed))
    assert found.state == state
    if state == "open":
        assert (found.since, found.probe_at, found.probe, found.trips) == (NOW, NOW + FIRST_PROBE_S, "", 1)
        assert f"{failed} of the last {requests} requests" in found.reason


def test_it_looks_at_the_last_minute_and_never_before_it_was_last_closed() -> None:
    looked: list[float] = []

    def recent(since: float) -> Seen:
        looked.append(since)
        return seen(0, 0)

    failing(STREAK_REQUESTS).told("a", "timeout", NOW, recent)
    failing(STREAK_REQUESTS)._replace(since=NOW - 7).told("a", "timeout", NOW, recent)
    assert looked == [NOW - 60, NOW - 7]


def test_it_is_looked_at_only_at_each_fifth_failure_until_the_row_is_long() -> None:
    looked = [
        streak
        for streak in range(1, 16)
        if told(failing(streak - 1), "timeout", seen(DENSITY_REQUESTS, DENSITY_REQUESTS)).state == "open"
    ]
    assert looked == [5, 10, 11, 12, 13, 14, 15]


@pytest.mark.parametrize(("calls", "state"), [(CALLS - 1, "closed"), (CALLS, "open")])
def test_the_failures_of_few_calls_are_few_opinions(calls: int, state: str) -> None:
    everything = seen(DENSITY_REQUESTS, DENSITY_REQUESTS, calls)
    assert told(failing(STREAK_REQUESTS), "timeout", everything).state == state


@pytest.mark.parametrize(
    ("streak", "lasted", "state"),
    [
        (STREAK_REQUESTS, STREAK_S, "open"),
        (STREAK_REQUESTS + 1, STREAK_S + 1, "open"),
        (STREAK_REQUESTS, STREAK_S - 0.1, "closed"),
        (5, 10 * STREAK_S, "closed"),
    ],
)
def test_a_row_of_ten_that_lasted_a_minute_opens_it(streak: int, lasted: float, state: str) -> None:
    found = told(failing(streak - 1, since=NOW - lasted), "server_failure", seen(10, 10))
    assert found.state == state
    if state == "open":
        assert f"{streak} requests failed in a row" in found.reason
        assert "server_failure" in found.reason


def test_a_row_is_counted_from_its_first_failure_and_ends_with_anything_else() -> None:
    first = told(Breaker(), "timeout", seen(0, 0))
    assert (first.streak, first.streak_since) == (1, NOW)
    second = told(first, "timeout", seen(0, 0), NOW + 5)
    assert (second.streak, second.streak_since) == (2, NOW)
    assert told(second, "ok", seen(0, 0)).streak == 0
    assert told(second, "refused", seen(0, 0)).streak == 0
    third = told(told(second, "ok", seen(0, 0)), "timeout", seen(0, 0), NOW + 9)
    assert (third.streak, third.streak_since) == (1, NOW + 9)


@pytest.mark.parametrize("outcome", sorted(SPEAKS_NOT))
def test_what_says_nothing_of_the_model_changes_nothing(outcome: str) -> None:
    assert told(failing(3), outcome, seen(99, 99)) == failing(3)
    waiting = Breaker("probing", NOW - 9, NOW + 300, "a", 2)
    assert told(waiting, outcome, seen(0, 0)) == waiting._replace(state="open", probe="", probe_at=NOW)
    assert told(waiting, outcome, seen(0, 0), send="b") == waiting


def test_only_the_probe_closes_or_opens_it_again() -> None:
    waiting = Breaker("probing", NOW - 9, NOW + 300, "probe", 2, 12, NOW - 90)
    assert told(waiting, "ok", seen(0, 0), send="probe") == Breaker(since=NOW)
    assert told(waiting, "bad_request", seen(0, 0), send="probe") == Breaker(since=NOW)
    # A request that was under way when it opened proves nothing.
    assert told(waiting, "ok", seen(0, 0), send="late").state == "probing"
    again = told(waiting, "timeout", seen(0, 0), send="probe")
    assert (again.state, again.probe, again.trips, again.since) == ("open", "", 3, NOW)
    assert again.probe_at == NOW + FIRST_PROBE_S * 4
    assert "a probe failed (timeout)" in again.reason
    counted = told(waiting, "timeout", seen(99, 99), send="late")
    assert (counted.state, counted.streak) == ("probing", 13)


def test_the_wait_for_a_probe_doubles_up_to_ten_minutes() -> None:
    waits = [told(failing(10, trips=trips), "timeout", seen(20, 20)).probe_at - NOW for trips in range(7)]
    assert waits == [30, 60, 120, 240, 480, LAST_PROBE_S, LAST_PROBE_S]


def test_how_long_to_wait_follows_from_its_state() -> None:
    assert Breaker(probe_at=NOW + 9).wait_s(NOW) == 0
    opened = Breaker("open", NOW, NOW + 30)
    assert [opened.wait_s(NOW + at) for at in (0, 29.5, 30, 31)] == [30, 0.5, 0, 0]
    probing = opened.probed("p", NOW + 30)
    assert (probing.state, probing.probe, probing.probe_at) == ("probing", "p", NOW + 30 + PROBE_LEASE_S)
    assert probing.wait_s(NOW + 31) == PROBE_LOOK_S
    assert probing.wait_s(probing.probe_at - 0.25) == 0.25
    assert probing.wait_s(probing.probe_at) == 0, "a lost probe is not waited for"
    assert Breaker().probed("p", NOW) == Breaker()


def test_failures_are_those_of_the_model_and_its_way() -> None:
    assert {
        "rate_limited", "server_failure", "timeout", "connection_lost", "unreachable", "malformed_reply",
    } == FAILURES  # fmt: skip
    assert not FAILURES & SPEAKS_NOT


# The budget


@pytest.mark.parametrize(
    ("caps", "spent", "passed"),
    [
        (Caps(requests=1000), Amount(requests=1000), ""),
        (Caps(requests=1000), Amount(requests=1001), "1,000 requests"),
        (Caps(tokens=2000), Amount(tokens=2000), ""),
        (Caps(tokens=2000), Amount(tokens=2001), "2,000 tokens"),
        (Caps(usd=1.5), Amount(nanodollars=1_500_000_000), ""),
        (Caps(usd=1.5), Amount(nanodollars=1_500_000_001), "US$ 1.5"),
        (Caps(usd=2500), Amount(nanodollars=10**13), "US$ 2,500"),
        (Caps(requests=0), Amount(requests=1), "0 requests"),
        (Caps(requests=1, tokens=1, usd=1), Amount(2, 2, 10**10), "1 request"),
        (Caps(tokens=1, usd=1), Amount(2, 2, 10**10), "1 token"),
        (NO_CAPS, Amount(10**9, 10**9, 10**18), ""),
    ],
)
def test_the_cap_that_is_passed_is_named_with_its_number(caps: Caps, spent: Amount, passed: str) -> None:
    assert caps.passed(spent) == passed


def test_the_lower_cap_of_each_kind_counts() -> None:
    both = Caps(requests=5, usd=2.0).tightened(Caps(requests=7, tokens=9, usd=1.0))
    assert both == Caps(requests=5, tokens=9, usd=1.0)
    assert NO_CAPS.tightened(NO_CAPS) == NO_CAPS
    assert Caps(requests=0).tightened(Caps(requests=3)).requests == 0


def test_what_is_measured_and_what_is_capped_at_all() -> None:
    assert [caps.measured for caps in (NO_CAPS, Caps(requests=1), Caps(tokens=0), Caps(usd=0))] == [
        False, False, True, True,
    ]  # fmt: skip
    assert [bool(caps) for caps in (NO_CAPS, Caps(requests=0), Caps(tokens=0), Caps(usd=0))] == [
        False, True, True, True,
    ]  # fmt: skip
    assert not BudgetPlan()
    assert not BudgetPlan(models={"m": NO_CAPS})
    one = Caps(requests=1)
    assert all(map(bool, (BudgetPlan(run=one), BudgetPlan(day=one), BudgetPlan(models={"n": NO_CAPS, "m": one}))))


def test_a_call_counts_against_the_caps_of_run_day_and_its_own_model() -> None:
    run, day, model = Caps(requests=1), Caps(tokens=2), Caps(usd=3)
    plan = BudgetPlan(run=run, day=day, models={"m": model})
    assert plan.caps("m") == ((run, "run"), (day, "day"), (model, "model"))
    assert plan.caps("n") == ((run, "run"), (day, "day"))
    assert plan.has_money("m")
    assert not plan.has_money("n")
    assert BudgetPlan(day=Caps(usd=1)).has_money("n")


def test_amounts_add_up_kind_by_kind() -> None:
    assert Amount(1, 20, 300).plus(Amount(4, 50, 600)) == Amount(5, 70, 900)


@pytest.mark.parametrize(
    ("usd", "nano"),
    [(0, 0), (1, 10**9), (0.1, 10**8), (0.3, 3 * 10**8), (1e-9, 1), (1.1e-9, 2), (4e-10, 1)],
)
def test_money_is_rounded_up_to_a_billionth(usd: float, nano: int) -> None:
    assert nanodollars(usd) == nano


def test_the_dearest_case_counts_prompt_and_answer_at_their_prices() -> None:
    price = Price(input_usd_per_mtok=2.0, output_usd_per_mtok=10.0)
    assert dearest(1_000_000, 0, price) == 2 * 10**9
    assert dearest(0, 1_000_000, price) == 10 * 10**9
    assert dearest(500_000, 100_000, price) == 2 * 10**9
    assert dearest(500_000, 100_000, None) == 0


# Limits


@pytest.mark.parametrize(
    ("used", "limits", "tokens", "fits"),
    [
        (Used(1, 0), Limits(requests_per_minute=2), 5, True),
        (Used(2, 0), Limits(requests_per_minute=2), 5, False),
        (Used(3, 0), Limits(requests_per_minute=2), 5, False),
        (Used(9, 60), Limits(tokens_per_minute=100), 40, True),
        (Used(9, 60), Limits(tokens_per_minute=100), 41, False),
        (Used(9, 0), Limits(tokens_per_minute=100), 101, True),
        (Used(9, 1), Limits(tokens_per_minute=100), 101, False),
        (Used(1, 0), Limits(requests_per_minute=1, tokens_per_minute=100), 1, False),
        (Used(999, 999), Limits(), 999, True),
    ],
)
def test_what_fits_into_a_minute(used: Used, limits: Limits, tokens: int, fits: bool) -> None:
    assert used.fits(limits, tokens) is fits
    assert used.plus(tokens) == Used(used.requests + 1, used.tokens + tokens)


def test_the_lower_limit_counts_and_an_unknown_one_does_not() -> None:
    mine, told_ones = Limits(requests_per_minute=5), Limits(requests_per_minute=9, tokens_per_minute=7)
    assert mine.tightened(told_ones) == Limits(requests_per_minute=5, tokens_per_minute=7)
    assert told_ones.tightened(mine) == mine.tightened(told_ones)
    assert Limits().tightened(Limits()) == Limits()
    assert [bool(each) for each in (Limits(), mine, Limits(tokens_per_minute=1))] == [False, True, True]


def test_both_limits_are_learnt_each_from_its_header() -> None:
    headers = {"x-ratelimit-limit-requests": "60", "x-ratelimit-limit-tokens": " 9000 "}
    assert learnt(headers) == Limits(requests_per_minute=60, tokens_per_minute=9000)
    assert learnt({"x-ratelimit-limit-tokens": "1"}) == Limits(tokens_per_minute=1)
    assert learnt({}) == Limits()


def test_the_worst_case_counts_every_part_of_what_is_sent() -> None:
    bare = ask("", sampling=Sampling(max_tokens=50))
    base = worst_case(bare)[0]
    assert worst_case(bare)[1] == 50
    assert worst_case(ask("", sampling=Sampling(max_tokens=None)))[1] is None

    def more(*messages: Message, tools: tuple[Tool, ...] = ()) -> int:
        changed = bare.model_copy(update={"messages": (*bare.messages, *messages), "tools": tools})
        return worst_case(changed)[0] - base

    assert more(Message(role="user", content="a" * 100)) == 100 // BYTES_PER_TOKEN + MESSAGE_TOKENS
    assert more(Message(role="user", content="é" * 100)) == 200 // BYTES_PER_TOKEN + MESSAGE_TOKENS
    assert more(Message(role="user", content="\ud800" * 100)) == 100 // BYTES_PER_TOKEN + MESSAGE_TOKENS
    call = ToolCall(id="1", name="n" * 10, arguments="a" * 90)
    assert more(Message(role="assistant", tool_calls=(call, call))) == 200 // BYTES_PER_TOKEN + MESSAGE_TOKENS
    tool = Tool(name="t", description="d" * 98, parameters={})
    assert more(tools=(tool,)) == 100 // BYTES_PER_TOKEN + MESSAGE_TOKENS
    assert more(tools=(tool, tool)) == 200 // BYTES_PER_TOKEN + 2 * MESSAGE_TOKENS


# Retries


async def spent_on(policy: RetryPolicy, error: ChatError) -> tuple[ChatError, list[float]]:
    """How a call ends that fails so each time, and what it waited."""
    waits = Waits()

    async def attempt() -> None:
        raise error

    with pytest.raises(ChatError) as caught:
        await persist(attempt, policy, sleep=waits)
    return caught.value, waits.seconds


async def test_the_waits_double_between_half_and_whole() -> None:
    policy = RetryPolicy(max_attempts=9, first_wait_s=2, max_wait_s=50)
    ceilings = [2, 4, 8, 16, 32, 50, 50, 50]
    drawn = [(await spent_on(policy, ServerFailure("down")))[1] for _ in range(60)]
    for place, ceiling in enumerate(ceilings):
        waits = [each[place] for each in drawn]
        assert ceiling / 2 <= min(waits) < 0.6 * ceiling
        assert 0.9 * ceiling < max(waits) <= ceiling


@pytest.mark.parametrize(("seconds", "more"), [(0.0, 0.05), (4.0, 0.45), (100.0, 1.0)])
async def test_a_server_s_wait_is_kept_to_and_a_little_more(seconds: float, more: float) -> None:
    error = RateLimited("slow down", retry_after_s=seconds)
    waits = (await spent_on(RetryPolicy(max_attempts=200, max_total_s=10**9), error))[1]
    assert len(waits) == 199
    assert seconds <= min(waits) < seconds + 0.3 * more
    assert seconds + 0.7 * more < max(waits) <= seconds + more


async def test_attempts_end_with_the_lower_of_two_caps() -> None:
    assert (await spent_on(RetryPolicy(max_attempts=3), ServerFailure("down")))[0].requests == 3
    impatient = UnreachableEndpoint("nobody there")
    assert (await spent_on(RetryPolicy(max_attempts=9), impatient))[0].requests == 4
    assert (await spent_on(RetryPolicy(max_attempts=3), impatient))[0].requests == 3
    assert (await spent_on(RetryPolicy(max_attempts=1), impatient))[0].requests == 1
    assert (await spent_on(RetryPolicy(), WrongKey("no")))[0].requests == 1


@pytest.mark.parametrize(("seconds", "long"), [(300.0, False), (300.1, True)])
async def test_a_wait_as_long_as_the_patience_is_waited_out_and_a_longer_one_ends_it(
    seconds: float, long: bool
) -> None:
    error = RateLimited("Too many.", retry_after_s=seconds)
    end, waits = await spent_on(RetryPolicy(max_attempts=2), error)
    assert isinstance(end, ServerWait) is long
    assert (end.requests, len(waits)) == ((1, 0) if long else (2, 1))
    if long:
        assert end.__cause__ is error
        assert "Too many. The server has asked to send nothing for 300 s (5 min)" in end.message
        assert "waits 5 min at most" in end.message


async def test_nothing_is_waited_for_after_an_answer() -> None:
    async def attempt() -> str:
        return "fine"

    waits = Waits()
    assert await persist(attempt, RetryPolicy(), sleep=waits) == "fine"
    assert waits.seconds == []


# Owners


def test_this_process_lives_and_one_that_never_was_is_dead() -> None:
    owner = new_owner()
    assert owner.pid == os.getpid()
    assert life(str(owner)) == "alive"
    assert new_owner().nonce != owner.nonce
    gone = owner._replace(pid=2**22 + 1)
    assert life(str(gone)) == "dead"
    # The PID was given to another process since.
    assert life(str(owner._replace(started="1"))) == "dead"


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '["a"]', '["a", 1, "2", "n", "more"]', "not json"])
def test_an_owner_that_cannot_be_read_is_unknown(text: str) -> None:
    assert life(text) == "unknown"


def test_an_owner_elsewhere_or_without_a_start_is_unknown() -> None:
    owner = new_owner()
    assert life(str(owner._replace(place="elsewhere"))) == "unknown"
    assert life(str(owner._replace(started=""))) == "unknown"
    assert life(str(Owner("elsewhere", owner.pid, owner.started, owner.nonce))) == "unknown"


def test_in_sqlite_nobody_can_tell_who_is_connected(tmp_path: Path) -> None:
    with store_at(tmp_path / "store.db") as connection:
        appear(connection, "anybody")
        assert present(connection, "anybody") is True


def test_the_lock_of_an_owner_is_one_number_on_every_host() -> None:
    """Hosts of two releases look for each other's; PostgreSQL takes 64 bits with a sign."""
    assert _lock("owner") == 5480926279587027057
    assert all(-(2**63) <= _lock(str(number)) < 2**63 for number in range(200))
    assert min(_lock(str(number)) for number in range(200)) < 0
