"""The model client: a call is answered from the journal, or sent, retried, stored and only then returned."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from blocks.chat.admission import Rules, Traffic
from blocks.chat.dialects import FILTERED, Answer, dialect_for
from blocks.chat.endpoints import Endpoint
from blocks.chat.errors import ChatError, MalformedReply, MissingFromJournal, Refused
from blocks.chat.faults import embedded_fault, fault
from blocks.chat.journal import Journal, Replies
from blocks.chat.keys import call_key, sendable
from blocks.chat.mock import transport_to
from blocks.chat.models import ChatReply, ChatRequest
from blocks.chat.prices import Price, priced
from blocks.chat.quoting import quoted, shortened
from blocks.chat.records import JournalRecord
from blocks.chat.retry import RetryPolicy, persist
from blocks.chat.transport import Exchange
from blocks.plurals import several

log = logging.getLogger(__name__)

STUCK_ATTEMPTS = 3
TELL_AGAIN_S = 60.0


@dataclass(frozen=True)
class _Call:
    """A request as it will go out, and its key."""

    key: str
    request: ChatRequest


@dataclass
class _Flight:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


class ModelClient:
    """A `ChatClient` for the models of one endpoint; close it with `aclose` or use it with `async with`.

    It belongs to the event loop it is first used in. Two tasks that ask for the same call, in this process or another
    with the same journal, pay for it once.

    Args:
        endpoint: Where calls go.
        journal: Keeps what is answered; may be None only offline.
        replay: Further journals that may answer, asked after `journal`.
        offline: Never send anything.
        retry: When to send again.
        timeout_s: Seconds for one HTTP request, answer included.
        max_in_flight: Calls under way at once.
        prices: By model, for providers that do not say what a call cost.
        rules: Limits and budget that calls keep to.
        fallback: Models that are asked in turn where the law forbids the one named to answer (HTTP 451).
        extra: Parameters sent with every call, part of the journal key (provider routing, reasoning effort, …).
        trust_proxy: Use the proxies the environment names.
        owns_journal: Close the journal with the client.
        sleep: How to wait between attempts; tests replace it.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        journal: Journal | None,
        replay: Sequence[Replies] = (),
        offline: bool = False,
        retry: RetryPolicy | None = None,
        timeout_s: float = 300.0,
        max_in_flight: int = 8,
        prices: Mapping[str, Price] | None = None,
        rules: Rules | None = None,
        fallback: Sequence[str] = (),
        extra: Mapping[str, Any] | None = None,
        trust_proxy: bool = False,
        owns_journal: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if journal is None and not offline:
            raise ValueError("a client that sends calls needs a journal to keep their answers")
        self.endpoint = endpoint
        self.offline = offline
        self._journal = journal
        self._sources: tuple[Replies, ...] = ((journal,) if journal else ()) + tuple(replay)
        self._retry = retry or RetryPolicy()
        self._tell_again_at = 0.0
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(max_in_flight)
        self._prices = dict(prices or {})
        rules = rules or Rules()
        self._fallback = tuple(fallback)
        self._traffic = Traffic(journal, endpoint, rules, self._retry, self._prices) if journal else None
        self._extra = dict(extra or {})
        self._dialect = dialect_for(endpoint.provider)
        self._owns_journal = owns_journal
        self._sleep = sleep
        self._transport = transport_to(endpoint, trust_proxy=trust_proxy)
        self._flights: dict[str, _Flight] = {}

    def __repr__(self) -> str:
        return f"ModelClient({self.endpoint.id!r}, offline={self.offline})"

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Answers the request, from a journal when it has been answered before.

        Raises:
            ChatError: Every way a call can fail, typed, see `blocks.chat.errors`.
            JournalError: The answer came and could not be stored.
        """
        for model in self._fallback:
            try:
                return await self._complete(request)
            except Refused as error:
                if error.status != HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS:
                    raise
                log.info("%s Asking %s instead.", error.message, model)
            request = request.model_copy(update={"model": model})
        return await self._complete(request)

    async def _complete(self, request: ChatRequest) -> ChatReply:
        ready = sendable(request)
        call = _Call(call_key(self.endpoint.id, ready, self._extra), ready)
        async with self._alone(call.key):
            reply = await self._find(call.key)
            if reply is None:
                reply = await self._obtain(call)
        if reply.finish_reason == FILTERED:
            detail = shortened(reply.message.content)
            raise Refused(
                f"A content filter of {self.endpoint.id} held the answer of {request.model} back{quoted(detail)}.",
                detail=detail,
            )
        return reply

    async def aclose(self) -> None:
        """Gives back the connections, and closes the journal if it is the client's own; may be called again."""
        await self._transport.close()
        if self._traffic is not None:
            await self._traffic.close()
        if self._owns_journal and self._journal is not None:
            await asyncio.to_thread(self._journal.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _find(self, key: str) -> ChatReply | None:
        for source in self._sources:
            reply = await source.find(key)
            if reply is not None:
                return reply
        return None

    async def _obtain(self, call: _Call) -> ChatReply:
        if self.offline or self._journal is None or self._traffic is None:
            raise self._missing(call)
        async with self._journal.claim(call.key) as answered:
            if answered is not None:
                return answered
            async with self._slots:
                return await self._journal.store(await self._send(call, self._traffic))

    async def _send(self, call: _Call, traffic: Traffic) -> JournalRecord:
        trip = traffic.trip(call.request, call.key)
        body = self._dialect.body(call.request, self._extra)

        async def attempt() -> tuple[Exchange, Answer]:
            async with trip.leg() as leg:
                exchange = await self._transport.post(self.endpoint, body, call.key, self._timeout_s, leg)
                leg.headers = exchange.headers
                answer = self._read(exchange, call)
                leg.usage = answer.usage
            return exchange, answer

        try:
            exchange, answer = await persist(attempt, self._retry, sleep=self._sleep, before_sleep=self._tell_retry)
        except ChatError as error:
            error.requests = trip.requests
            raise
        usage = answer.usage.model_copy(update={"requests": trip.requests})
        usage, price = priced(usage, self._prices.get(call.request.model))
        return JournalRecord(
            key=call.key,
            created_at=datetime.now(UTC),
            endpoint=self.endpoint.id,
            provider=self.endpoint.provider,
            request=call.request,
            extra=self._extra,
            message=answer.message,
            finish_reason=answer.finish_reason,
            model=answer.model,
            usage=usage,
            price=price,
            latency_s=round(exchange.seconds, 4),
            raw=exchange.text,
        )

    def _read(self, exchange: Exchange, call: _Call) -> Answer:
        model = call.request.model
        if not 200 <= exchange.status < 300:
            raise fault(exchange.status, exchange.headers, exchange.text, self.endpoint, model)
        try:
            body = json.loads(exchange.text)
            if not isinstance(body, dict):
                raise MalformedReply("The model's reply is no JSON object.")
            embedded = embedded_fault(body, exchange.headers, self.endpoint, model)
            if embedded is not None:
                raise embedded
            return self._dialect.read(body, call.key, call.request)
        except MalformedReply as error:
            detail = shortened(exchange.text)
            message = f"{error.message.rstrip('.')}{quoted(detail)}."
            raise MalformedReply(message, status=exchange.status, detail=detail) from error
        except (ValueError, RecursionError) as error:
            detail = shortened(exchange.text)
            message = f"The model's reply is no JSON{quoted(detail)}."
            raise MalformedReply(message, status=exchange.status, detail=detail) from error

    def _tell_retry(self, error: ChatError, attempts: int, wait_s: float) -> None:
        # What fails a third time holds the run up; one call of a minute tells it for all.
        now = time.monotonic()
        stuck = attempts >= STUCK_ATTEMPTS and now >= self._tell_again_at
        if stuck:
            self._tell_again_at = now + TELL_AGAIN_S
        level = logging.WARNING if stuck else logging.INFO
        log.log(level, "%s That was attempt %d; the next is in %.0f s.", error.message, attempts, wait_s)

    @asynccontextmanager
    async def _alone(self, key: str) -> AsyncIterator[None]:
        """One task of this client at a time for each key; those that wait then find the answer in the journal."""
        flight = self._flights.setdefault(key, _Flight())
        flight.waiting += 1
        try:
            async with flight.lock:
                yield
        finally:
            flight.waiting -= 1
            if not flight.waiting:
                del self._flights[key]

    def _missing(self, call: _Call) -> MissingFromJournal:
        request = call.request
        asked = next((message.content for message in request.messages if message.role == "user"), "")
        line = next((line.strip() for line in asked.splitlines() if line.strip()), "")
        line = line if len(line) <= 100 else line[:99] + "…"
        return MissingFromJournal(
            f"Offline, and no journal has the reply of {request.model} at {self.endpoint.id} to call {call.key[:12]}"
            f" ({several(len(request.messages), 'message')}, sample {request.sample_index}, about '{line}').",
            "Run once without offline mode to record it, or name the journal that holds it.",
        )
