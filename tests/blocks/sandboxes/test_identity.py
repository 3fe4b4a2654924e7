"""What a sandbox is made of is known before one is started, so that finished work needs none."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocks.sandboxes import ProcessRuntime, Runtime, Sandbox, SandboxLimits
from blocks.sandboxes.docker import DockerRuntime


async def check(runtime: Runtime, folder: Path) -> None:
    dataset = folder / "data.csv"
    dataset.write_text("a,b\n1,2\n")
    foreseen = await runtime.identity()
    async with await Sandbox.open(runtime, dataset, limits=SandboxLimits(preload="tables")) as sandbox:
        assert sandbox.info.image_digest == foreseen
    assert foreseen.startswith("sha256:")


async def test_identity_of_the_process_runtime_is_that_of_its_sandboxes(tmp_path: Path) -> None:
    await check(ProcessRuntime(), tmp_path)


@pytest.mark.engine
async def test_identity_of_the_docker_runtime_is_that_of_its_sandboxes(tmp_path: Path) -> None:
    await check(DockerRuntime(), tmp_path)
