"""What a Prefect server must know before `prefect deploy --all`: pools, the cap on sandboxes, automations, blocks.

    python -m blocks.work_pools [--gpu-class NAME ...] [--kubernetes]

May be run again: pools get the job template of this version, and keep their limits and whatever else was set on them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from rich.console import Console

from blocks import collection
from blocks.arguments import DONE, run_work
from blocks.automations import put_automations
from blocks.errors import UserError
from blocks.interrupts import run_until_told
from blocks.saved import SAVED
from blocks.settings import settings
from blocks.slots import LIMIT_NAME, ensure_limit
from blocks.storage import shared_storage
from blocks.store import installed_store

STORAGE, STORE = "TRIGPOINT_STORAGE", "TRIGPOINT_STORE_URL"
PoolType = Literal["docker", "kubernetes"]
GPU_POOL = "trigpoint-gpu"
"""Of hosts with GPUs only."""


class Pool(NamedTuple):
    """A work pool: flow runs that may use the same hosts, so many at once.

    Attributes:
        each_host: Whether a host is none without a worker for it; else one anywhere will do.
    """

    name: str
    description: str
    limit: int
    each_host: bool = True
    type: PoolType = "docker"


def pools(gpu_classes: Sequence[str] = (), *, kubernetes: bool = False) -> tuple[Pool, ...]:
    """The pools that `prefect.yaml` deploys to, and those asked for.

    Args:
        gpu_classes: A pool more for each class of GPU, polled by the workers of the hosts that have it.
        kubernetes: A pool more whose flow runs are pods.
    """
    most = settings().max_containers
    cluster = Pool(
        "trigpoint-kubernetes", "Flow runs as pods, each with an engine of its own.", most, False, "kubernetes"
    )
    return (
        Pool(
            "trigpoint-light", "Flows that only start and watch others: no engine, no sandbox of their own.", 4, False
        ),
        # A container for each sandbox there may be at once: more would only wait for a slot.
        Pool("trigpoint-hosts", "Flows that open sandboxes on the engine of the host they run on.", most),
        Pool(GPU_POOL, "The same on hosts with GPUs; one flow run at a time unless you raise it.", 1),
        *(Pool(f"{GPU_POOL}-{name}", f"Flow runs on hosts with a GPU of class {name}.", 1) for name in gpu_classes),
        *([cluster] if kubernetes else []),
    )


def shared_names() -> dict[str, str]:
    """What flow runs must know of what hosts share, as environment variables: names of blocks, never an address."""
    storage, store = settings().storage, settings().store_url.get_secret_value()
    told = {STORAGE: storage, STORE: store if store.startswith(SAVED) else ""}
    return {name: value for name, value in told.items() if value}


def job_template(pool_type: PoolType = "docker", environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """How a worker of that type makes what a flow run is in: a container, or a Kubernetes job.

    Args:
        pool_type: Of the worker.
        environment: Variables more for every flow run.
    """
    path = Path(__file__).with_name(f"{pool_type}_pool.json")
    template: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    template["variables"]["properties"]["env"]["default"] |= environment or {}
    return template


def is_current(template: Mapping[str, Any]) -> bool:
    """Whether a pool's job template is the docker worker's of this version; what hosts share is the pool's own."""
    environment = template.get("variables", {}).get("properties", {}).get("env", {}).get("default") or {}
    shared = {name: environment[name] for name in (STORAGE, STORE) if name in environment}
    return template == job_template(environment=shared)


async def set_up(wanted: Sequence[Pool]) -> list[str]:
    """Create or update everything on the server that PREFECT_API_URL names; return what was done, in sentences."""
    # Opened here too: a wrong key or name shows now, and not in tonight's first run.
    await asyncio.to_thread(installed_store)
    async with shared_storage() as objects:
        shared = f"storage of flow runs: {objects.name}" if objects is not None else _ALONE
    async with get_client() as client:
        done = [await _put(client, pool, job_template(pool.type, shared_names())) for pool in wanted]
        await ensure_limit(settings().max_containers)
        limit = await client.read_global_concurrency_limit_by_name(LIMIT_NAME)
        done += await put_automations(client)
        done.append(f"concurrency limit {LIMIT_NAME}: at most {limit.limit} sandboxes at once")
    classes = [getattr(collection, name) for name in collection.__all__]
    for block in classes:
        await block.aregister_type_and_schema()
    return [*done, shared, f"block types: {', '.join(block.get_block_type_slug() for block in classes)}"]


_ALONE = "storage of flow runs: none, each home for itself (TRIGPOINT_STORAGE=TYPE/NAME names a block that hosts share)"


async def _put(client: PrefectClient, pool: Pool, template: dict[str, Any]) -> str:
    try:
        found = await client.read_work_pool(pool.name)
    except ObjectNotFound:
        await client.create_work_pool(
            WorkPoolCreate(
                name=pool.name,
                type=pool.type,
                description=pool.description,
                base_job_template=template,
                concurrency_limit=pool.limit,
            )
        )
        return f"work pool {pool.name}: made, at most {pool.limit} flow runs at once"
    if found.type != pool.type:
        raise UserError(
            f"The work pool {pool.name} exists and is of type {found.type}.",
            f"Delete it (`prefect work-pool delete {pool.name}`) and run this again.",
        )
    await client.update_work_pool(pool.name, WorkPoolUpdate(base_job_template=template))
    return f"work pool {pool.name}: there already, job template renewed"


def main(arguments: Sequence[str] | None = None) -> int:
    """Set up the server; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m blocks.work_pools", description="Tell a Prefect server of pools.")
    parser.add_argument("--gpu-class", action="append", default=[], metavar="NAME", help="a pool for hosts with it")
    parser.add_argument("--kubernetes", action="store_true", help="a pool for a Kubernetes cluster")
    given = parser.parse_args(arguments)

    def work() -> int:
        if not PREFECT_API_URL.value():
            raise UserError(
                "No Prefect server is named, and one that ends with this command would keep nothing.",
                "Start one with `prefect server start` and set PREFECT_API_URL=http://HOST:4200/api.",
            )
        for sentence in run_until_told(set_up(pools(given.gpu_class, kubernetes=given.kubernetes))):
            Console().print(sentence, soft_wrap=True, highlight=False)
        return DONE

    return run_work(work)


if __name__ == "__main__":
    sys.exit(main())
