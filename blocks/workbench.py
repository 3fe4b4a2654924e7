"""What a run works with: sandbox pool and model client, made once per process and shared by its flows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from blocks.chat.client import ModelClient
from blocks.chat.exported import ReplayJournal
from blocks.chat_model import ChatModel
from blocks.sandboxes import SandboxPool, default_runtime
from blocks.settings import settings
from blocks.slots import container_slot, ensure_limit
from blocks.specs import ModelSpec, PoolSpec


@dataclass(frozen=True)
class Workbench:
    """Pool and client of a run, with the names under which the model is known."""

    pool: SandboxPool
    client: ModelClient
    model: str
    endpoint: str


_pools: dict[PoolSpec, SandboxPool] = {}
_current: ContextVar[Workbench | None] = ContextVar("workbench", default=None)
_current_pool: ContextVar[SandboxPool | None] = ContextVar("sandboxes", default=None)


def prewarm(spec: PoolSpec, count: int = 1) -> None:
    """Start zygotes in the background, before any event loop runs; the run with this spec takes them.

    Args:
        spec: The pool they are for.
        count: How many; never more than there may be containers.

    Raises:
        SandboxUnavailable: The runtime cannot be used here.
    """
    asyncio.run(_pool(spec)).prewarm(min(count, settings().max_containers))


@asynccontextmanager
async def workbench(pool: PoolSpec, model: ModelSpec) -> AsyncIterator[Workbench]:
    """The workbench of the flow run around it, or a new one for the length of the body.

    Raises:
        SandboxUnavailable: The runtime cannot be used here.
        ChatError: The model's name, address or key is unusable.
        JournalError: The journal cannot be opened.
    """
    shared = _current.get()
    if shared is not None:
        yield shared
        return
    block = ChatModel(model=model.model, base_url=model.base_url, max_in_flight=model.max_in_flight)
    address = block.address(offline=model.offline)
    async with sandbox_pool(pool) as sandboxes:
        client = block.get_client(offline=model.offline, replay=_replays(model.replay))
        bench = Workbench(sandboxes, client, address.model, address.endpoint.id)
        token = _current.set(bench)
        try:
            yield bench
        finally:
            _current.reset(token)
            await client.aclose()


@asynccontextmanager
async def sandbox_pool(spec: PoolSpec) -> AsyncIterator[SandboxPool]:
    """The sandboxes of the flow run around it, or new ones for the length of the body; for runs without a model.

    Raises:
        SandboxUnavailable: The runtime cannot be used here.
    """
    shared = _current_pool.get()
    if shared is not None:
        yield shared
        return
    await ensure_limit(settings().max_containers)
    sandboxes = await _pool(spec)
    await sandboxes.runtime.reap()
    token = _current_pool.set(sandboxes)
    try:
        yield sandboxes
    finally:
        _current_pool.reset(token)
        _pools.pop(spec, None)
        await sandboxes.close()


async def _pool(spec: PoolSpec) -> SandboxPool:
    if spec not in _pools:
        runtime = await default_runtime(spec.runtime, docker_host=spec.docker_host, allow_weak=spec.allow_weak)
        _pools[spec] = SandboxPool(
            runtime, limits=spec.limits, max_sandboxes=settings().max_containers, slot=container_slot
        )
    return _pools[spec]


def _replays(paths: Sequence[Path]) -> list[ReplayJournal]:
    return [ReplayJournal(*paths)] if paths else []
