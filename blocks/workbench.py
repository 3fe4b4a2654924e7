"""What a run works with: sandbox pool and model client, made once per process and shared by its flows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect.runtime import flow_run

from blocks.chat.client import ModelClient
from blocks.chat.exported import ReplayJournal
from blocks.chat.outages import Outage, outages
from blocks.chat_model import ChatModel
from blocks.incidents import event_observer
from blocks.interrupts import run_until_told
from blocks.sandboxes import SandboxPool, default_runtime
from blocks.saved import SAVED, saved
from blocks.settings import settings
from blocks.slots import container_slot, ensure_limit, free_slots, realm
from blocks.specs import ModelSpec, PoolSpec
from blocks.spending import limited
from blocks.store import visited_store


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


def prewarm(spec: PoolSpec, at_once: int = 1, datasets: Sequence[Path] | None = None) -> None:
    """Start zygotes in the background, before any event loop runs; the run with this spec takes them.

    Args:
        spec: The pool they are for.
        at_once: How many sandboxes the run has at once; never more are started than there may be containers.
        datasets: What they are for, where it is known: none is started for what a warm sandbox waits with.

    Raises:
        SandboxUnavailable: The runtime cannot be used here.
    """
    run_until_told(_prewarm(spec, min(at_once, settings().max_containers), datasets))


async def _prewarm(spec: PoolSpec, at_once: int, datasets: Sequence[Path] | None) -> None:
    pool = await _pool(spec)
    if datasets is None:
        pool.prewarm(at_once)
        return
    warm = await pool.count_warm(datasets) if pool.warm_s else 0
    pool.prewarm(min(at_once, len(datasets) - warm))


@asynccontextmanager
async def workbench(pool: PoolSpec, model: ModelSpec) -> AsyncIterator[Workbench]:
    """The workbench of the flow run around it, or a new one for the length of the body.

    Raises:
        SandboxUnavailable: The runtime cannot be used here.
        ChatError: The model's name, address or key is unusable.
        UserError: No block of that name is saved.
        JournalError: The journal cannot be opened.
    """
    shared = _current.get()
    if shared is not None:
        yield shared
        return
    block = await _chat_model(model)
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
    sandboxes.runtime.serves = str(flow_run.id or "")
    sandboxes.observer = event_observer()
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
        runtime.realm = realm()
        _pools[spec] = SandboxPool(
            runtime,
            limits=spec.limits,
            max_sandboxes=settings().max_containers,
            slot=container_slot,
            free_slots=free_slots,
            warm_s=settings().warm_s,
        )
    return _pools[spec]


async def _chat_model(model: ModelSpec) -> ChatModel:
    """The model as a block, within what the run may spend."""
    chosen = await model_block(model)
    return chosen if model.offline else await limited(chosen, model.spending)


async def model_block(model: ModelSpec) -> ChatModel:
    """The model as a block: a saved one, with its key, or one made of the names given.

    Raises:
        UserError: No block of that name is saved.
    """
    given = {"max_in_flight": model.max_in_flight} | ({"base_url": model.base_url} if model.base_url else {})
    name = model.model
    block = await saved(ChatModel, name) if name.startswith(SAVED) else ChatModel(model=name)
    return block.model_copy(update=given)


async def outage_of(model: ModelSpec) -> Outage | None:
    """Why the model is not to be asked for now; None: it may be, as far as this installation's store knows.

    Raises:
        ChatError: The model's name or address is unusable.
        JournalError: The store cannot be read.
        UserError: No block of that name is saved.
    """
    if model.offline:
        return None
    block = await model_block(model)
    address = block.address(offline=True)
    async with visited_store(block.journal) as journal:
        found = () if journal is None else await outages(journal)
    mine = (address.endpoint.id, address.model)
    down = [each for each in found if (each.endpoint, each.model) == mine and each.wait_s]
    return max(down, key=lambda each: each.wait_s, default=None)


def _replays(paths: Sequence[Path]) -> list[ReplayJournal]:
    return [ReplayJournal(*paths)] if paths else []
