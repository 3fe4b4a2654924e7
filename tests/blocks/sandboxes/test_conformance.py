"""Both runtimes against the conformance suite: each promise of the sandbox, attempted by hostile code."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from blocks.sandboxes.conformance import CHECKS, Arena, Subject

SUBJECTS = [
    pytest.param(Subject(factory="blocks.sandboxes:ProcessRuntime"), id="process"),
    pytest.param(Subject(factory="blocks.sandboxes:DockerRuntime"), id="docker", marks=pytest.mark.engine),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=SUBJECTS)
async def arena(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Arena]:
    folder = tmp_path_factory.mktemp("arena")
    # The checks prove that a wall stands where file modes alone would let a session through.
    for path in (folder, *folder.parents[:3]):
        if path.is_relative_to("/tmp") and path.as_posix() != "/tmp":
            path.chmod(0o755)
    async with Arena.open(request.param, folder) as arena:
        yield arena


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("promise", CHECKS)
async def test_the_runtime_keeps_its_promise(arena: Arena, promise: str) -> None:
    await CHECKS[promise](arena)


def test_every_promise_is_said_in_a_sentence() -> None:
    assert len(CHECKS) > 40
    for name, check in CHECKS.items():
        promise = inspect.getdoc(check)
        assert promise, name
        assert promise.splitlines()[0].endswith("."), name
