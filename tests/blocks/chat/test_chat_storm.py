"""Every fault at once: each call ends in one truthful status, none is lost or doubled, the budget is exact.

`TRIGPOINT_TEST_STORM_CALLS=5000` makes it as long as one likes.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from email.utils import formatdate
from pathlib import Path

import pytest

from blocks.chat.admission import Rules
from blocks.chat.budget import BudgetPlan, Caps
from blocks.chat.client import ModelClient
from blocks.chat.errors import ChatError
from blocks.chat.journal import Journal
from blocks.chat.ledger import spending, totals
from tests.support.chat import ask, opened
from tests.support.model_answers import Answer, Ask, error
from tests.support.model_server import ModelServer

CALLS = int(os.environ.get("TRIGPOINT_TEST_STORM_CALLS", "300"))
TIMEOUT_S = 15.0
GOOD = Answer(content="good")
OVER = {"error": {"message": "maximum context length is 4096 tokens, you requested 9000"}}

PASSING = (
    error(408), error(409), error(425), error(500), error(502), error(503), error(529),
    error(429, headers={"Retry-After": "0"}),
    error(429, headers={"Retry-After": formatdate(time.time() - 60, usegmt=True)}),
    error(429, headers={"X-RateLimit-Reset": "0"}),
    error(429, headers={"X-RateLimit-Reset": str(int((time.time() - 60) * 1000))}),
    Answer(body=b'{"choices": [{"mess'), Answer(cut_at=20), Answer(drop=True), Answer(body=b'{"choices": []}'),
    Answer(content="", usage=None), Answer(finish_reason="error"), Answer(body=b"<html>busy</html>"),
    error(200, {"error": {"code": 502, "message": "upstream"}}),
)  # fmt: skip
"""Faults that are over when the call is sent again."""
LASTING = (
    (error(402), "payment_required"),
    (error(404, {"error": {"message": "model not found"}}), "model_not_found"),
    (error(413), "request_too_large"),
    (error(400, OVER), "context_overflow"),
    (error(451), "refused"),
    (error(422), "bad_request"),
    (Answer(content="no", finish_reason="content_filter"), "refused"),
    (Answer(content="cut", finish_reason="length"), "ok"),
)
"""Faults that stay, and how a call with one ends."""
KINDS = 2 * len(PASSING) + len(LASTING)
STALLED = {KINDS - 1, 2 * KINDS - 1}
"""A call that stalls takes its whole time limit, so there are two."""


def fate(number: int) -> tuple[Answer, int, str]:
    """What becomes of a question: its fault, how often, and how it ends."""
    place = number % KINDS
    if place < len(PASSING):
        return PASSING[place], 1 + number % 2, "ok"
    if place < len(PASSING) + len(LASTING):
        fault, end = LASTING[place - len(PASSING)]
        return fault, 10**6, end
    if number in STALLED:
        return Answer(stall=True), 1, "ok"
    return GOOD, 0, "ok"


def behave(it: Ask) -> Answer:
    fault, times, _ = fate(int(it.last.removeprefix("question ")))
    return fault if it.number <= times else GOOD


async def _end(client: ModelClient, number: int) -> str:
    try:
        reply = await client.complete(ask(f"question {number}"))
    except ChatError as error:
        return error.kind
    assert reply.message.content in ("good", "cut")
    return "ok"


@pytest.mark.timeout(1800)
async def test_a_storm_of_every_fault(tmp_path: Path) -> None:
    """First with a budget that does not suffice, then without one: the second run asks only for what is missing."""
    cap = CALLS // 2
    with ModelServer(behave) as server, Journal(tmp_path / "store.db") as journal:
        rules = Rules(plan=BudgetPlan(run=Caps(requests=cap)))
        async with opened(server, journal, rules=rules, timeout_s=TIMEOUT_S, max_in_flight=50) as client:
            first = await asyncio.gather(*(_end(client, number) for number in range(CALLS)))
        assert server.tally.asked.total() == cap, "the budget is used up, to the request"
        async with opened(server, journal, timeout_s=TIMEOUT_S, max_in_flight=50) as client:
            second = await asyncio.gather(*(_end(client, number) for number in range(CALLS)))
        asked = server.tally.asked.total()
        entries = await spending(journal, by=("outcome",))
        stored = sum(total.calls for total in await totals(journal))
    assert second == [fate(number)[2] for number in range(CALLS)]
    assert [end for number, end in enumerate(first) if end not in (fate(number)[2], "budget")] == []
    assert "budget" in first
    assert sum(entry.requests for entry in entries) == asked, "the ledger knows every request there was"
    answers = Counter(it.key for it in server.asks if behave(it).content in ("good", "cut", "no") and _answers(it))
    assert set(answers.values()) == {1}, "what was answered was not asked again"
    assert stored == len(answers)


def _answers(it: Ask) -> bool:
    """Whether the request got an answer that is kept."""
    fault, times, _ = fate(int(it.last.removeprefix("question ")))
    return it.number > times or fault.finish_reason in ("content_filter", "length")
