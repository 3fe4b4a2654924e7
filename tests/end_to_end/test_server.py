"""The server setup that is shipped, on real PostgreSQL and Redis: a restart loses neither records nor slots."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from redis.asyncio import Redis

from tests.support.postgres_server import PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.shipped_server import ROOT, ShippedServer, completed, run_tasks, wait_for_records

TASKS = 200
LEASE_S = 3600.0
"""So long that no slow machine lets it run out by itself."""


@pytest.mark.server
@pytest.mark.postgres
@pytest.mark.redis
@pytest.mark.timeout(900)
async def test_a_restart_loses_neither_records_nor_slots(postgres: PostgresServer, tmp_path: Path) -> None:
    with RedisServer() as redis:
        server = ShippedServer(tmp_path / "prefect", postgres, redis)
        with server:
            async with PrefectClient(server.api_url) as client:
                for name in ("kept", "left"):
                    await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
                kept, left = [await _take(client, name) for name in ("kept", "left")]
            run = run_tasks(server.api_url, TASKS)
            before = completed(server.api_url, run)
        with server:
            found = wait_for_records(server.api_url, run, TASKS, patience_s=300)
            assert found == TASKS, f"{before} were recorded when the server was stopped"
            async with PrefectClient(server.api_url) as client:
                renewed = await client.renew_concurrency_lease(kept, LEASE_S)
                assert renewed.is_success, "the holder goes on renewing its lease"
                assert await _taken(client, "kept") == 1
                await _pass_time(redis, left)
                for _ in range(120):
                    if not await _taken(client, "left"):
                        break
                    await asyncio.sleep(0.5)
                assert await _taken(client, "left") == 0, "the slot of a holder that is gone comes back"
                assert await _taken(client, "kept") == 1
                await client.release_concurrency_slots_with_lease(kept)
                assert await _taken(client, "kept") == 0


async def _take(client: PrefectClient, name: str) -> UUID:
    reply = await client.increment_concurrency_slots_with_lease([name], 1, "concurrency", LEASE_S)
    return UUID(reply.json()["lease_id"])


async def _taken(client: PrefectClient, name: str) -> int:
    return (await client.read_global_concurrency_limit_by_name(name)).active_slots


async def _pass_time(redis: RedisServer, lease: UUID) -> None:
    """What too long without renewal does to a lease."""
    client = Redis(port=redis.port)
    (expirations,) = await client.keys("*concurrency:expirations")
    (stored,) = await client.keys(f"*concurrency:lease:{lease}")
    held = json.loads(await client.get(stored) or "")
    await client.set(stored, json.dumps(held | {"expiration": "2026-01-01T00:00:00+00:00"}))
    assert await client.zadd(expirations, {str(lease): 1.0}, xx=True, ch=True) == 1
    await client.aclose()


def test_without_the_driver_or_a_password_the_script_says_what_to_do(tmp_path: Path) -> None:
    said = subprocess.run([ROOT / "server" / "start"], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (2, "")
    assert "POSTGRES_PASSWORD" in said.stderr
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\nexit 1\n")
    bare.chmod(0o755)
    told = {**os.environ, "POSTGRES_PASSWORD": "x", "PYTHON": str(bare)}
    said = subprocess.run([ROOT / "server" / "start"], env=told, capture_output=True, text=True, check=False)
    assert said.returncode == 2
    assert "[server]" in said.stderr
