"""Warm sandboxes on a real engine: found by the next run, shared by nobody, forgotten by none."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import APIError
from hypothesis import given
from hypothesis import strategies as st

from blocks.containers import Containers
from blocks.errors import SandboxError
from blocks.sandboxes import DockerRuntime, Sandbox, SandboxLimits, SandboxPool, owner, warm
from blocks.sandboxes.container import LABEL_OWNER
from blocks.sandboxes.holders import Holder, holder_of, lent_name, parked_name
from blocks.sandboxes.orphans import UNCLAIMED_S
from blocks.settings import settings
from sandbox_image.zygote.protocol import Kind
from tests.blocks.sandboxes.engines import exists, gone

engine = pytest.mark.engine
LIMITS = SandboxLimits(max_sessions=3, cell_timeout_s=60, start_timeout_s=300, load_timeout_s=120, preload="tables")
LONG_S = 600.0


@pytest.fixture(autouse=True)
def patient_welcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that stalls, one that is well may take long to answer; the tests want to see it taken."""
    monkeypatch.setattr(warm, "WELCOME_S", 200.0)


@pytest.fixture
def client() -> Iterator[docker.APIClient]:
    made = docker.APIClient()
    yield made
    made.close()


@pytest.fixture(scope="module")
def realm() -> Iterator[str]:
    """One for all tests here: what one leaves waiting, the next finds."""
    name = f"test {uuid.uuid4()}"
    yield name
    asyncio.run(runtime_of(name).trim(0))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.csv"
    path.write_text("a,b\n1,2\n3,4\n")
    return path


def runtime_of(realm: str) -> DockerRuntime:
    runtime = DockerRuntime()
    runtime.realm = realm
    return runtime


@pytest.fixture
async def kept(realm: str, dataset: Path) -> AsyncIterator[str]:
    """Id of a sandbox that waits with the dataset; used, and used badly, by the run before.

    It is what an earlier test left, if it left one: a new one takes long.
    """
    pool = SandboxPool(runtime_of(realm), limits=LIMITS, warm_s=LONG_S)
    async with pool.open(dataset) as sandbox, await sandbox.session() as session:
        left = await session.run("df['a'] = 0; secret = 7; open('mine.txt', 'w').write('x')")
        assert left.status == "ok", left
        place = await container_of(sandbox)
    yield place
    await pool.close()


async def container_of(sandbox: Sandbox) -> str:
    return (await sandbox.ready_link()).transport.place


LOOK = "import glob; print('secret' in globals(), int(df['a'].sum()), glob.glob('*'))"


@engine
async def test_the_next_run_finds_it_and_nothing_of_the_run_before(
    kept: str, realm: str, dataset: Path, client: docker.APIClient
) -> None:
    runtime = runtime_of(realm)
    runtime.serves = str(uuid.uuid4())
    pool = SandboxPool(runtime, limits=LIMITS, warm_s=LONG_S)
    assert await pool.count_warm([dataset, dataset.with_name("other.csv")]) == 1
    async with pool.open(dataset, slug="numbers") as sandbox, await sandbox.session() as session:
        assert await container_of(sandbox) == kept
        assert (await session.run(LOOK)).stdout == "False 4 []\n"
        assert sandbox.dataset.rows == 2
        assert sandbox.info.image_digest == await runtime.identity()
        assert sandbox.info.walls["outer"]["network"] == "none"
        assert await runtime.parked() == [], "it is taken"
        link = await sandbox.ready_link()
        with pytest.raises(SandboxError, match="without sessions only"):
            await link.request(Kind.PARK, 0, {"idle_s": 5}, Kind.PARKED)
        found = client.containers(filters={"id": kept})[0]
        assert holder_of(found) == Holder(owner.owner_tag(), runtime.serves)
        box = next(box for box in await Containers().boxes() if box.id == kept)
        assert (box.run, box.owner, box.orphan) == (runtime.serves, owner.owner_tag(), False)
    assert len(await runtime.parked()) == 1, "and waits again"
    # A run of other content, or with other limits, must not be given it.
    assert await pool.count_warm([_write(dataset, "a,b\n1,2\n3,5\n")]) == 0
    assert await runtime.revive(await runtime.fingerprint(LIMITS, "another"), LIMITS) is None
    more_columns = LIMITS.model_copy(update={"max_columns": 6_000})
    assert await runtime.fingerprint(more_columns, "x") != await runtime.fingerprint(LIMITS, "x")
    all_libraries = LIMITS.model_copy(update={"preload": "all"})
    assert await runtime.fingerprint(all_libraries, "x") != await runtime.fingerprint(LIMITS, "x")
    another_flow = LIMITS.model_copy(update={"max_sessions": 25, "cell_timeout_s": 5.0})
    assert await runtime.fingerprint(another_flow, "x") == await runtime.fingerprint(LIMITS, "x")
    assert await runtime_of("another realm").parked() == []


@engine
async def test_of_two_that_want_it_one_gets_it_whatever_the_names_say(
    kept: str, realm: str, dataset: Path, client: docker.APIClient
) -> None:
    pools = [SandboxPool(runtime_of(realm), limits=LIMITS, warm_s=LONG_S) for _ in range(2)]
    fingerprint = (await pools[0].runtime.parked())[0]
    taken = await asyncio.gather(*(pool.runtime.revive(fingerprint, LIMITS) for pool in pools))
    winner = next(transport for transport in taken if transport is not None)
    assert taken.count(None) == 1
    # Somebody who saw its old name stands at the door now: the zygote keeps the host it has.
    client.rename(kept, parked_name(fingerprint, time.time() + 60, kept))
    assert await runtime_of(realm).revive(fingerprint, LIMITS) is None
    sandbox = await Sandbox.open(pools[0].runtime, dataset, limits=LIMITS, transport=winner, kept=_sha256(dataset))
    async with sandbox, await sandbox.session() as session:
        assert (await session.run("print(len(df))")).stdout == "2\n"
        await sandbox.park(LONG_S)


INTRUDER = """
import os, sys
sys.argv = ["visit"]
sys.path.insert(0, "/opt/trigpoint/sandbox_image/zygote")
pid = os.fork()
if pid == 0:
    import visit
    os._exit(visit.main())
print("turned away" if os.waitpid(pid, 0)[1] == 0 else "no door")
"""


@engine
async def test_nobody_gets_in_from_inside(kept: str, realm: str, dataset: Path, client: docker.APIClient) -> None:
    """A process whose parent is in the container is none that the engine has put there."""
    intruder = client.exec_create(kept, ["/opt/venv/bin/python", "-c", INTRUDER])
    assert await asyncio.to_thread(client.exec_start, intruder["Id"]) == b"turned away\n"
    pool = SandboxPool(runtime_of(realm), limits=LIMITS, warm_s=LONG_S)
    async with pool.open(dataset) as sandbox:
        assert await container_of(sandbox) == kept, "and it is there for those who may"


@engine
async def test_only_what_ended_well_is_kept(kept: str, realm: str, dataset: Path, client: docker.APIClient) -> None:
    pool = SandboxPool(runtime_of(realm), limits=LIMITS, warm_s=LONG_S)

    async def fail() -> None:
        async with pool.open(dataset):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert gone(client, kept)
    assert await pool.runtime.parked() == []


OWNER = """
import asyncio, sys
from pathlib import Path
from blocks.sandboxes import DockerRuntime, SandboxLimits, SandboxPool, warm

async def main():
    warm.WELCOME_S = 200.0
    runtime = DockerRuntime()
    runtime.realm = sys.argv[2]
    pool = SandboxPool(runtime, limits=SandboxLimits.model_validate_json(sys.argv[3]), warm_s=600)
    async with pool.open(Path(sys.argv[1])) as sandbox:
        print((await sandbox.ready_link()).transport.place, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@engine
async def test_a_killed_owner_takes_it_along(kept: str, realm: str, dataset: Path, client: docker.APIClient) -> None:
    command = [sys.executable, "-c", OWNER, str(dataset), realm, LIMITS.model_dump_json()]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert (await process.stdout.readline()).decode().strip() == kept
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert gone(client, kept)


@engine
async def test_what_waits_makes_room_for_what_is_wanted(
    kept: str, realm: str, tmp_path: Path, client: docker.APIClient
) -> None:
    other = tmp_path / "other.csv"
    other.write_text("c\n5\n")
    asked: list[bool] = []

    async def all_taken() -> int:
        asked.append(exists(client, kept))
        return 0

    pool = SandboxPool(runtime_of(realm), limits=LIMITS, free_slots=all_taken, warm_s=1.0)
    started: list[bool] = []
    start = pool.runtime.start

    async def noted(limits: SandboxLimits) -> object:
        started.append(exists(client, kept))
        return await start(limits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool.runtime, "start", noted)
        async with pool.open(other) as sandbox:
            place = await container_of(sandbox)
    assert (asked, started) == ([True], [False]), "it is gone before the new one is made"
    assert gone(client, place), "nobody came in time: it ended itself"


@engine
async def test_reaping_knows_who_has_it(client: docker.APIClient, realm: str) -> None:
    """The label names its maker, who is dead in every case; the name says who has it."""
    now, dead, alive = time.time(), f"{owner.host_id()}/1/1", owner.owner_tag()
    names: dict[str, Callable[[str], str]] = {
        "waits": lambda made: parked_name("f" * 32, now + 60, made),
        "just over": lambda made: parked_name("f" * 32, now - UNCLAIMED_S / 2, made),
        "forgotten": lambda made: parked_name("f" * 32, now - UNCLAIMED_S - 2, made),
        "lent": lambda made: lent_name(made, Holder(alive)),
        "lent to the dead": lambda made: lent_name(made, Holder(dead)),
    }
    made = {}
    try:
        for kind, name in names.items():
            # Named from the start, lest somebody else's reaping takes it for what the dead have left.
            nobodys = lent_name(uuid.uuid4().hex, Holder(alive))
            made[kind] = client.create_container(settings().sandbox_image, labels={LABEL_OWNER: dead}, name=nobodys)[
                "Id"
            ]
            client.rename(made[kind], name(made[kind]))
        await runtime_of(realm).reap()
        assert [kind for kind, each in made.items() if exists(client, each)] == ["waits", "just over", "lent"]
    finally:
        for each in made.values():
            with contextlib.suppress(APIError):
                client.remove_container(each, force=True)


WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789.-_", min_size=1, max_size=20)


@given(WORD, st.integers(1, 2**22), st.integers(0, 2**40), st.sampled_from(["", str(uuid.uuid4())]), st.booleans())
def test_a_name_gives_back_whoever_was_written_into_it(host: str, pid: int, started: int, run: str, home: bool) -> None:
    holder = Holder(f"{host}.1a2b3c4d.4026531836/{pid}/{started}", run, "5f" * 32 if home else "")
    name = lent_name("ab" * 32, holder)
    assert holder_of({"Id": "ab" * 32, "Names": [f"/{name}"], "Labels": {LABEL_OWNER: "its maker"}}) == holder


def test_a_name_somebody_else_has_given_leaves_the_labels_word() -> None:
    for name in ("trigpoint-lent", "trigpoint-lent_1_2", "anything", "trigpoint-715e2fd76b3c-2"):
        found = {"Id": "ab" * 32, "Names": [f"/{name}"], "Labels": {LABEL_OWNER: "its maker"}}
        assert holder_of(found) == Holder("its maker")


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
