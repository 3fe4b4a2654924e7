"""Containers of flow runs on a real engine: found by their labels, ended, and how they ended told apart."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import docker
import pytest

from blocks.containers import FLOW_ROLE, PREFECT_RUN, Containers
from blocks.remains import Run
from blocks.sandboxes.container import LABEL_FLOW_RUN, LABEL_OWNER, LABEL_ROLE
from blocks.sandboxes.owner import owner_tag
from blocks.settings import settings
from tests.support.waiting import until

pytestmark = pytest.mark.engine

HUNGRY = "python3 -c 'x = [bytearray(2**20) for _ in range(500)]'"


class Boxes:
    """Makes containers that do what a shell is told, and removes them."""

    def __init__(self) -> None:
        self.client = docker.APIClient()
        self._made: list[str] = []

    def start(self, command: str, labels: dict[str, str], **host: Any) -> str:
        made: str = self.client.create_container(
            settings().sandbox_image, entrypoint=["sh", "-c", command], labels=labels, network_disabled=True,
            host_config=self.client.create_host_config(network_mode="none", **host),
        )["Id"]  # fmt: skip
        self._made.append(made)
        self.client.start(made)
        return made

    def is_up(self, made: str) -> bool:
        """Whether its shell has said so."""
        return b"up" in self.client.logs(made)

    def close(self) -> None:
        for each in self._made:
            with contextlib.suppress(docker.errors.APIError):
                self.client.remove_container(each, force=True)
        self.client.close()


@pytest.fixture
def boxes() -> Iterator[Boxes]:
    boxes = Boxes()
    try:
        yield boxes
    finally:
        boxes.close()


@pytest.fixture
def containers() -> Iterator[Containers]:
    containers = Containers()
    yield containers
    containers.close()


def run_of(run: str, container: str = "") -> Run:
    """A run as the server knows it."""
    return Run(
        id=run, name="fox", flow="episode", state="running", state_id="", since=datetime.now(UTC), container=container
    )


def flow_labels() -> dict[str, str]:
    return {PREFECT_RUN: str(uuid.uuid4()), LABEL_ROLE: FLOW_ROLE}


@pytest.mark.parametrize("kept", [True, False], ids=["container kept", "container removed"])
async def test_the_ends_of_a_flows_container_are_told_apart(boxes: Boxes, containers: Containers, kept: bool) -> None:
    """A removed container is told of by the engine's events."""
    patient = "trap 'exit 143' TERM; echo up; while :; do sleep 0.1; done"
    commands = {"KILL": "sleep 600", "TERM": patient, "": "exit 3"}
    runs = {}
    for signal, command in commands.items():
        labels = flow_labels()
        made = boxes.start(command, labels, auto_remove=not kept, init=True)
        # One that signed in names its container: a part of another run has no label of its own there.
        runs[signal] = run_of(str(uuid.uuid4()), made) if signal == "TERM" else run_of(labels[PREFECT_RUN])
        if signal:
            assert await containers.how_ended(run_of(labels[PREFECT_RUN])) == ""
            if signal == "TERM":
                await until(partial(boxes.is_up, made))
            boxes.client.kill(made, signal)
        with contextlib.suppress(docker.errors.NotFound):
            # The engine logs the end of a container before it removes it.
            boxes.client.wait(made, timeout=100, condition="not-running" if kept else "removed")
    told = {signal: await containers.how_ended(run) for signal, run in runs.items()}
    assert "exit code 137, SIGKILL, not for memory" in told["KILL"]
    assert "exit code 143, SIGTERM" in told["TERM"]
    assert told[""] == "ended with an error (exit code 3)"
    assert await containers.how_ended(run_of(str(uuid.uuid4()))) == "", "never seen on this engine"


async def test_a_container_that_ran_out_of_memory_was_not_killed_by_hand(boxes: Boxes, containers: Containers) -> None:
    labels = flow_labels()
    made = boxes.start(HUNGRY, labels, mem_limit="64m", memswap_limit="64m")
    boxes.client.wait(made, timeout=200)
    if not boxes.client.inspect_container(made)["State"]["OOMKilled"]:
        pytest.skip("this engine does not say that memory ran out")
    assert "ran out of memory" in await containers.how_ended(run_of(labels[PREFECT_RUN]))


async def test_only_the_named_container_is_ended(boxes: Boxes, containers: Containers) -> None:
    labels = [flow_labels(), flow_labels()]
    made = [boxes.start("sleep 600", each) for each in labels]
    serving = boxes.start("sleep 600", {LABEL_OWNER: owner_tag(), LABEL_FLOW_RUN: labels[0][PREFECT_RUN]})
    foreign = boxes.start("sleep 600", {PREFECT_RUN: labels[0][PREFECT_RUN]})
    found = {box.id: box for box in await containers.boxes()}
    assert foreign not in found, "another project's flow on the same engine"
    assert [found[each].kind for each in (*made, serving)] == ["flow", "flow", "sandbox"]
    assert found[serving].run == labels[0][PREFECT_RUN]
    assert not found[serving].orphan
    await containers.end(found[made[0]], grace_s=1.0)
    await containers.end(found[made[0]], grace_s=1.0)
    left = {box.id for box in await containers.boxes()}
    assert made[0] not in left
    assert {made[1], serving} <= left
