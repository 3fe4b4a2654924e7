"""Journal records to and from the store's tables; every function runs inside a job of `Database`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, select

from blocks.chat.backends import insert_into
from blocks.chat.models import ChatReply, ChatRequest, Message, Sampling, Tool, Usage
from blocks.chat.prices import Price
from blocks.chat.records import JournalRecord
from blocks.chat.schema import calls, messages

_REPLY_COLUMNS = (
    calls.c.key,
    calls.c.reply,
    calls.c.finish_reason,
    calls.c.prompt_tokens,
    calls.c.completion_tokens,
    calls.c.cached_tokens,
    calls.c.reasoning_tokens,
    calls.c.cost_usd,
    calls.c.requests,
    calls.c.model,
    calls.c.latency_s,
    calls.c.created_at,
)
# Built once: putting a statement together costs more than running it.
_FIND = select(*_REPLY_COLUMNS).where(calls.c.key == bindparam("key"))
_FIND_MESSAGES = select(messages.c.digest, messages.c.id).where(
    messages.c.digest.in_(bindparam("digests", expanding=True))
)


@cache
def _add_call(dialect: str) -> Any:
    return insert_into(calls, dialect).on_conflict_do_nothing().execution_options(preserve_rowcount=True)


@cache
def _add_messages(dialect: str) -> Any:
    return insert_into(messages, dialect).on_conflict_do_nothing()


def reply(connection: Connection, key: str) -> ChatReply | None:
    """The reply stored under a key, marked as replayed."""
    row = connection.execute(_FIND, {"key": key}).one_or_none()
    if row is None:
        return None
    return ChatReply(
        key=row.key,
        message=Message.model_validate_json(row.reply),
        finish_reason=row.finish_reason,
        usage=_usage(row),
        model=row.model,
        latency_s=row.latency_s,
        replayed=True,
        answered_at=datetime.fromisoformat(row.created_at),
    )


def add(connection: Connection, record: JournalRecord) -> bool:
    """Stores a record; False when its key is taken, which leaves everything as it is."""
    request = record.request
    row = {
        "key": record.key,
        # UTC in a fixed width, so that texts sort as times do.
        "created_at": record.created_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "endpoint": record.endpoint,
        "provider": record.provider,
        "asked_model": request.model,
        "model": record.model,
        "sample_index": request.sample_index,
        "sampling": request.sampling.model_dump_json(),
        "tools": json.dumps([tool.model_dump() for tool in request.tools], ensure_ascii=False),
        "extra": json.dumps(record.extra, ensure_ascii=False),
        "messages": json.dumps(_message_ids(connection, request.messages)),
        "reply": record.message.model_dump_json(exclude_defaults=True),
        "finish_reason": record.finish_reason,
        "price": record.price.model_dump_json() if record.price else None,
        "latency_s": record.latency_s,
        "raw": record.raw,
        **record.usage.model_dump(),
    }
    return connection.execute(_add_call(connection.dialect.name), row).rowcount == 1


def keys_in_order(connection: Connection) -> list[str]:
    """All keys, in the order the answers came."""
    return list(connection.execute(select(calls.c.key).order_by(calls.c.created_at, calls.c.key)).scalars())


def records(connection: Connection, keys: Sequence[str]) -> list[JournalRecord]:
    """The records under the keys, in their order; unknown keys are left out."""
    found = {row.key: row for row in connection.execute(select(calls).where(calls.c.key.in_(keys)))}
    ids = {number for row in found.values() for number in json.loads(row.messages)}
    bodies = connection.execute(select(messages.c.id, messages.c.body).where(messages.c.id.in_(ids)))
    texts = {row.id: Message.model_validate_json(row.body) for row in bodies}
    return [_record(found[key], texts) for key in keys if key in found]


def _record(row: Any, texts: dict[int, Message]) -> JournalRecord:
    request = ChatRequest(
        model=row.asked_model,
        messages=tuple(texts[number] for number in json.loads(row.messages)),
        sampling=Sampling.model_validate_json(row.sampling),
        tools=tuple(Tool.model_validate(tool) for tool in json.loads(row.tools)),
        sample_index=row.sample_index,
    )
    return JournalRecord(
        key=row.key,
        created_at=row.created_at,
        endpoint=row.endpoint,
        provider=row.provider,
        request=request,
        extra=json.loads(row.extra),
        message=Message.model_validate_json(row.reply),
        finish_reason=row.finish_reason,
        model=row.model,
        usage=_usage(row),
        price=Price.model_validate_json(row.price) if row.price else None,
        latency_s=row.latency_s,
        raw=row.raw,
    )


def _usage(row: Any) -> Usage:
    return Usage(
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
        cached_tokens=row.cached_tokens,
        reasoning_tokens=row.reasoning_tokens,
        cost_usd=row.cost_usd,
        requests=row.requests,
    )


def _message_ids(connection: Connection, sent: Iterable[Message]) -> list[int]:
    bodies = [message.model_dump_json(exclude_defaults=True) for message in sent]
    digests = [hashlib.sha256(body.encode()).digest() for body in bodies]
    known = _known_messages(connection, digests)
    # Most of a conversation has been kept with its earlier turns.
    fresh = {digest: body for digest, body in zip(digests, bodies, strict=True) if digest not in known}
    if fresh:
        rows = [{"digest": digest, "body": body} for digest, body in fresh.items()]
        connection.execute(_add_messages(connection.dialect.name), rows)
        known |= _known_messages(connection, list(fresh))
    return [known[digest] for digest in digests]


def _known_messages(connection: Connection, digests: Sequence[bytes]) -> dict[bytes, int]:
    if not digests:
        return {}
    found = connection.execute(_FIND_MESSAGES, {"digests": list(set(digests))})
    return {bytes(row.digest): row.id for row in found}
