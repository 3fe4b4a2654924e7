"""The sandbox pool's block: its settings reach the pool, and Prefect finds its class."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from prefect_docker import DockerHost
from pydantic import ValidationError

from blocks.errors import SandboxUnavailable
from blocks.sandbox_pool import SandboxPoolBlock
from blocks.sandboxes import ProcessRuntime, SandboxLimits
from blocks.settings import settings
from blocks.slots import container_slot
from tests.blocks.sandboxes.support import FakeRuntime


async def test_settings_reach_the_pool() -> None:
    limits = SandboxLimits(max_sessions=3, cell_timeout_s=7)
    pool = await SandboxPoolBlock(runtime="process", limits=limits, max_sandboxes=2, allow_weak=True).get_pool()
    assert isinstance(pool.runtime, ProcessRuntime)
    assert pool.runtime.allow_weak
    assert pool.limits == limits
    assert pool._slots._value == 2
    assert pool._slot is container_slot, "the limit all processes share is the default"
    plain = await SandboxPoolBlock(runtime="process").get_pool(slot=None)
    assert plain._slot is None
    assert plain._slots._value == settings().max_containers


async def test_the_slot_is_held_for_the_life_of_the_sandbox(tmp_path: Path) -> None:
    held: list[str] = []

    @contextlib.asynccontextmanager
    async def slot() -> AsyncIterator[None]:
        held.append("taken")
        yield
        held.append("given back")

    pool = await SandboxPoolBlock(runtime="process").get_pool(slot=slot)
    pool.runtime = FakeRuntime()
    (tmp_path / "data.csv").write_text("a\n1\n")
    async with pool.open(tmp_path / "data.csv"):
        assert held == ["taken"]
    assert held == ["taken", "given back"]


async def test_an_engine_asked_for_by_name_is_never_replaced_by_another_runtime() -> None:
    nowhere = DockerHost(base_url="unix:///nowhere/docker.sock")
    with pytest.raises(SandboxUnavailable, match=r"/nowhere/docker\.sock"):
        await SandboxPoolBlock(runtime="docker", docker_host=nowhere).get_pool()
    fallback = await SandboxPoolBlock(runtime="auto", docker_host=nowhere).get_pool()
    assert fallback.runtime.name == "process"


async def test_the_runtime_of_the_machine_holds_for_saved_pools_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIGPOINT_RUNTIME", "docker")
    settings.cache_clear()
    with pytest.raises(SandboxUnavailable, match=r"/nowhere/docker\.sock"):
        await SandboxPoolBlock(docker_host=DockerHost(base_url="unix:///nowhere/docker.sock")).get_pool()


def test_nonsense_is_refused() -> None:
    for nonsense in ({"runtime": "chroot"}, {"max_sandboxes": 0}, {"limits": {"max_sessions": 0}}, {"image": ""}):
        with pytest.raises(ValidationError):
            SandboxPoolBlock(**nonsense)


def test_prefect_finds_the_class() -> None:
    (collection,) = [entry for entry in entry_points(group="prefect.collections") if entry.name == "trigpoint"]
    assert collection.load().SandboxPoolBlock is SandboxPoolBlock
    assert SandboxPoolBlock.get_block_type_slug() == "trigpoint-sandbox-pool"
