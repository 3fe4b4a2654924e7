"""The conformance suite against runtimes that are broken on purpose: each fault must be found by a check."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from blocks.sandboxes import Session
from blocks.sandboxes.conformance import CHECKS, Arena, PromiseBroken, Subject
from blocks.sandboxes.conformance.harness import QUICK
from blocks.sandboxes.conformance.secrecy import SEARCH
from blocks.sandboxes.models import CellResult

FACTORY = "tests.blocks.sandboxes.weak_zygote:WeakRuntime"
NOTICED_BY = {
    "landlock": [
        "host_files_cannot_be_read",
        "sibling_files_cannot_be_read",
        "environments_hold_no_secret",
        "memory_of_others_cannot_be_touched",
        "descriptors_are_its_own",
    ],
    # One folder, the test's own, instead of all: what is written must not be the machine's.
    "hole in landlock": ["nothing_outside_scratch_can_be_written"],
    "seccomp": [
        "no_socket_of_any_family_opens",
        "a_socket_pair_leads_nowhere",
        "kernel_interfaces_are_closed",
        "no_process_can_be_started",
        "others_cannot_be_controlled",
        # This touches nothing but the test's own folder and sessions.
        "metadata_outside_scratch_cannot_be_changed",
    ],
    # Each of the two alone keeps connections from opening.
    "landlock and seccomp": ["no_library_reaches_a_server"],
    "signal walls": ["others_cannot_be_signalled", "input_output_signals_do_not_escape"],
    "closing": ["descriptors_are_its_own"],
    "watch": ["a_memory_bomb_is_told_as_memory", "a_thread_bomb_is_stopped", "a_full_disk_is_the_writers_own"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weak")
    for parent in (path, *path.parents[:3]):
        if parent.is_relative_to("/tmp") and parent.as_posix() != "/tmp":
            parent.chmod(0o755)
    return path


@pytest.mark.parametrize("fault", NOTICED_BY, ids=lambda value: value.replace(" ", "-"))
async def test_a_missing_wall_is_noticed(folder: Path, fault: str) -> None:
    unnoticed = []
    subject = Subject(factory=FACTORY, options={"without": fault, "hole": str(folder)})
    async with Arena.open(subject, folder, QUICK) as arena:
        for promise in NOTICED_BY[fault]:
            try:
                await asyncio.wait_for(CHECKS[promise](arena), 200)
            except PromiseBroken:
                continue
            unnoticed.append(promise)
    assert not unnoticed


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def arena(folder: Path) -> AsyncIterator[Arena]:
    async with Arena.open(Subject(factory="blocks.sandboxes:ProcessRuntime"), folder) as arena:
        yield arena


async def _reset_nothing(_: Session) -> None:
    return None


def _lie(field: str, value: Any) -> Callable[[Session, CellResult], CellResult]:
    def told(_: Session, result: CellResult) -> CellResult:
        return result.model_copy(update={field: value})

    return told


LIES: dict[str, tuple[str, Any, str]] = {
    "a reset that does nothing": ("reset", _reset_nothing, "a_reset_forgets_everything"),
    "variables are always said to be kept": ("_with_news", _lie("namespace_kept", True), "a_hang_ends_by_the_clock"),
    "everything ends well": ("_with_news", _lie("status", "ok"), "a_death_is_told_as_killed"),
    "no reason is given": ("_with_news", _lie("reason", ""), "a_death_is_told_as_killed"),
    "cuts are not counted": ("_with_news", _lie("stdout_dropped", 0), "a_flood_of_output_never_stalls"),
    "answers vanish": ("_with_news", _lie("submission", None), "answers_keep_their_type"),
    "figures vanish": ("_with_news", _lie("figures", ()), "plots_come_back_as_pictures"),
    "no cost is told": ("_with_news", _lie("cpu_s", 0.0), "what_a_cell_cost_is_told"),
    "errors vanish": ("_with_news", _lie("error", None), "evil_exceptions_are_ordinary_errors"),
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("lie", LIES, ids=lambda value: value.replace(" ", "-"))
async def test_an_untrue_result_is_noticed(arena: Arena, monkeypatch: pytest.MonkeyPatch, lie: str) -> None:
    name, replacement, promise = LIES[lie]
    monkeypatch.setattr(Session, name, replacement)
    with pytest.raises(PromiseBroken):
        await CHECKS[promise](arena)


PLANTED = {
    "a live object": "keep = {'x': [WORD + '-live']}",
    "a caller's local": "keep = None\nlocal = WORD + '-frame'",
    # What lies between them lives on, so that the allocator gives no page back.
    "freed memory": "keep = [(WORD + f'-freed{n}', bytes(50)) for n in range(20_000)]\nkeep = [b for _, b in keep]",
    "a buffer": "keep = bytearray((WORD + '-buffer').encode())",
}


@pytest.mark.parametrize("place", PLANTED, ids=lambda value: value.replace(" ", "-"))
def test_the_search_for_inherited_data_finds_it(place: str) -> None:
    program = f"""
HALVES = ["0123456789abcdef", "fedcba9876543210"]
WORD = "".join(HALVES)
def plant():
{"".join(f"    {line}" + chr(10) for line in PLANTED[place].splitlines())}
    del globals()["WORD"]
    exec(compile(SEARCH, "search", "exec"), {{"HALVES": HALVES, "report": print, "held": locals().get("keep")}})
SEARCH = {SEARCH!r} + "report(read, hits, found)"
plant()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300)
    read, hits, found = done.stdout.split(maxsplit=2)
    assert int(read) > 500
    assert int(hits) > 0
    assert "-" in found or "object" in found or "frame" in found, done.stdout
    assert found.strip() != "[]"
