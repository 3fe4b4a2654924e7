"""Which runs are dead and which containers nobody needs: decided from plain records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from blocks.remains import Box, Run, ending, silence_s
from flows.tidying.zombies import leftovers, zombies

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
SILENCE_S = 600.0
LONG, SHORT = NOW - timedelta(minutes=11), NOW - timedelta(minutes=9)
OWNER = "host.0.0/41/7"


def run(**given: Any) -> Run:
    base = {"id": "r1", "name": "quick-fox", "flow": "episode", "state": "running", "state_id": "s", "since": LONG}
    return Run(**{**base, **given})


def box(**given: Any) -> Box:
    return Box(**{"id": "c1", "name": "quick-fox", "kind": "flow", "run": "r1", "state": "running", **given})


def dead(one: Run, boxes: list[Box] | None) -> list[str]:
    return [f"{zombie.silence}; {zombie.place}" for zombie in zombies([one], boxes, now=NOW, silence_s=SILENCE_S)]


@pytest.mark.parametrize("state", ["pending", "running", "cancelling"])
def test_a_silent_run_of_which_nothing_is_found_is_dead(state: str) -> None:
    assert dead(run(state=state), []) == [f"{state}, not heard of for 11 min; no container of it runs"]


@pytest.mark.parametrize(
    ("one", "boxes"),
    [
        (run(heard=SHORT), []),
        (run(since=SHORT, heard=LONG), []),
        (run(), [box()]),
        (run(), [box(state="paused")]),
        (run(id="part", part=True, container="c1"), [box()]),
        (run(owner=OWNER, process="alive"), []),
    ],
    ids=["heartbeat", "new state", "container", "paused", "part of a run whose container runs", "process"],
)
def test_any_sign_of_life_is_enough(one: Run, boxes: list[Box]) -> None:
    assert dead(one, boxes) == []


def test_the_container_of_another_run_is_no_sign_of_life() -> None:
    assert dead(run(), [box(run="r2")])
    assert dead(run(), [box(state="exited")])
    assert dead(run(), [box(kind="sandbox")]), "a sandbox may outlive its flow"


def test_where_no_engine_answers_only_a_process_that_is_gone_is_proof() -> None:
    assert dead(run(), None) == []
    assert dead(run(owner=OWNER, process="gone"), None) == ["running, not heard of for 11 min; its process 41 is gone"]


def left(boxes: list[Box], *runs: Run, dead: tuple[str, ...] = ()) -> list[str]:
    known = {each.id: each for each in runs}
    return [each.box.id for each in leftovers(boxes, known, dead, now=NOW, silence_s=SILENCE_S)]


def test_a_dead_runs_containers_go_and_those_of_the_run_beside_it_stay() -> None:
    boxes = [
        box(),
        box(id="s1", kind="sandbox"),
        box(id="c2", run="r2"),
        box(id="s2", kind="sandbox", run="r2"),
        box(id="s3", kind="sandbox", run=""),
    ]
    assert left(boxes, run(), run(id="r2", heard=NOW), dead=("r1",)) == ["c1", "s1"]


def test_containers_of_ended_runs_go_after_a_while() -> None:
    ended = {"state": "crashed", "final": True}
    assert left([box(state="exited"), box(id="c2")], run(**ended)) == ["c1", "c2"]
    assert left([box(state="created")], run(**ended, since=SHORT)) == [], "it gets time to end by itself"
    assert left([box()], run(**ended, heard=SHORT)) == [], "called dead by mistake: it still beats"
    assert left([box(kind="sandbox")], run(**ended, owner=OWNER, process="alive")) == []


def test_a_sandbox_without_an_owner_goes_whatever_run_it_served() -> None:
    assert left([box(kind="sandbox", run="", orphan=True)]) == ["c1"]


def test_containers_of_runs_that_the_server_does_not_know_are_anothers() -> None:
    assert left([box(state="exited"), box(kind="sandbox")]) == []


def test_silence_is_never_shorter_than_three_beats_or_ten_minutes() -> None:
    assert silence_s(30, 0) == 600
    assert silence_s(300, 600) == 900
    assert silence_s(30, 3600) == 3600


def test_a_run_has_its_own_container_and_its_own_sandboxes() -> None:
    one = run(container="c9", owner=OWNER)
    assert one.has(box())
    assert one.has(box(id="c9", run="root"))
    assert one.has(box(kind="sandbox", run="", owner=OWNER)), "started before the run had an id"
    assert not one.has(box(kind="sandbox", run="r2", owner="host.0.0/41/8"))
    assert not run().has(box(kind="sandbox", run="", owner=""))


def test_ends_are_told_apart() -> None:
    told = [
        ending(137, out_of_memory=True), ending(137, out_of_memory=False), ending(143, out_of_memory=False),
        ending(0, out_of_memory=True), ending(0, out_of_memory=False), ending(3, out_of_memory=False),
        ending(139, out_of_memory=False),
    ]  # fmt: skip
    assert len(set(told)) == len(told)
    assert "OOM, exit code 137" in told[0]
    assert "SIGKILL, not for memory" in told[1]
    assert "143, SIGTERM" in told[2]
    assert "OOM, exit code 0" in told[3], "the kernel killed the flow, and its runner went on to the end"
