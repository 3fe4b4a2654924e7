"""The check of a host: each finding provoked for real, and told with its remedy."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import docker
import prefect
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks.host import engine as engine_room
from blocks.host import gpu
from blocks.host.engine import LABEL_SOURCE, look_at_engine
from blocks.host.findings import Finding, HostNeeds, HostReport, apart_s
from blocks.host.machine import look_at_machine
from blocks.host.server import look_at_server
from blocks.host_check import main
from blocks.sandboxes.container import LABEL_PROTOCOL, Facts
from blocks.settings import settings
from blocks.slots import LIMIT_NAME, ensure_limit
from blocks.work_pools import job_template
from sandbox_image.zygote.protocol import PROTOCOL_VERSION
from tests.support.answering import answering, only
from tests.support.waiting import settle

ROOT = Path(__file__).resolve().parents[2]
HEALTHY = {"/api/health": True, "/api/admin/version": prefect.__version__}
BARE_KERNEL = """
import ctypes, resource, struct
resource.setrlimit(resource.RLIMIT_NPROC, (500, 500))
# Landlock's first call is unknown to this kernel: answered with ENOSYS.
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7FFF0000)]
program = b"".join(struct.pack("HBBI", *line) for line in code)
buffer = ctypes.create_string_buffer(program, len(program))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, struct.pack("HxxxxxxP", len(code), ctypes.addressof(buffer)), 0, 0) == 0
from blocks.host.findings import HostNeeds
from blocks.host.machine import look_at_machine
print("[%s]" % ",".join(each.model_dump_json() for each in look_at_machine(HostNeeds())))
"""


# The command


def test_what_is_wrong_is_told_with_its_remedy_and_by_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["--no-server", "--free-gib", "0", "--memory-gib", "0"]) == 1
    said = capsys.readouterr().out
    assert "No Docker engine answers at unix:///nowhere/docker.sock." in said
    assert "→ Start one, set DOCKER_HOST" in said
    assert "is not fit: " in said
    assert main(["--no-server", "--json"]) == 1
    told = HostReport.model_validate_json(capsys.readouterr().out)
    assert only(list(told.findings), "engine").standing == "wrong"


def test_a_wrong_option_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--free-gib", "much"])
    assert ended.value.code == 2
    assert "--free-gib: Input should be a valid number" in capsys.readouterr().err


# The machine


def test_too_little_room_and_memory_are_wrong() -> None:
    found = look_at_machine(HostNeeds(free_gib=2**40, memory_gib=2**30))
    assert [only(found, what).standing for what in ("home", "memory")] == ["wrong", "wrong"]
    assert "upkeep.py" in only(found, "home").remedy
    found = look_at_machine(HostNeeds(free_gib=0, memory_gib=0))
    assert [only(found, what).standing for what in ("home", "memory")] == ["ok", "ok"]


def test_a_home_that_cannot_be_made_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TRIGPOINT_HOME", str(tmp_path / "file" / "home"))
    settings.cache_clear()
    _, found = [each for each in look_at_machine(HostNeeds(free_gib=0)) if each.what == "home"]
    assert (found.standing, found.found) == ("wrong", f"{tmp_path / 'file'} cannot be written to")


def test_few_processes_and_a_kernel_without_landlock_are_found() -> None:
    """In a process with that limit, whose kernel answers Landlock's call as an old one does."""
    done = subprocess.run([sys.executable, "-c", BARE_KERNEL], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [Finding.model_validate(each) for each in json.loads(done.stdout)]
    assert (only(found, "Landlock").standing, only(found, "seccomp").standing) == ("wrong", "ok")
    assert "lsm=" in only(found, "Landlock").remedy
    assert only(found, "processes").found.startswith("at most 500 of this user; 4 full sandboxes have up to 4096")
    assert only(found, "processes").standing == "note"


# The GPU


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a script on the path in place of the driver's tool."""

    def put(script: str) -> None:
        tool = tmp_path / gpu.TOOL
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return put


@pytest.mark.parametrize(
    ("script", "standing", "words"),
    [
        ("echo 'NVIDIA A100, 550.54.15, 40960 MiB'", "ok", "NVIDIA A100, 550.54.15"),
        ("echo 'couldn'\\''t communicate with the driver' >&2; exit 9", "wrong", "exit code 9): couldn't communicate"),
        ("exit 0", "wrong", "it named no GPU"),
        ("exec sleep 60", "wrong", "did not answer within 0.3 s"),
    ],
    ids=["answers", "fails", "says nothing", "hangs"],
)
def test_the_driver_is_asked_where_its_tool_is(
    stand_in: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, script: str, standing: str, words: str
) -> None:
    if "sleep" in script:
        monkeypatch.setattr(gpu, "PATIENCE_S", 0.3)
    stand_in(script)
    (found,) = gpu.look_at_driver(asked=False)
    assert found.standing == standing
    assert words in found.found


def test_no_driver_is_wrong_only_where_a_gpu_was_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.look_at_driver(asked=False) == []
    (found,) = gpu.look_at_driver(asked=True)
    assert (found.standing, found.found) == ("wrong", "there is no nvidia-smi on the path")


@pytest.mark.engine
def test_an_engine_that_hands_out_no_gpu_is_found_by_trying(stand_in: Callable[[str], None]) -> None:
    client = docker.APIClient()
    try:
        if "nvidia" in client.info()["Runtimes"]:
            pytest.skip("this engine does hand out GPUs")
        stand_in("echo 'NVIDIA A100, 550.54.15, 40960 MiB'")
        found, _ = look_at_engine(HostNeeds(free_gib=0))
        assert only(found, "GPU driver").standing == "ok"
        assert only(found, "GPU in containers").standing == "wrong"
        assert "nvidia-ctk" in only(found, "GPU in containers").remedy
        tried = {"label": engine_room.LABEL_PROBE}
        assert not settle(lambda: [each["Id"] for each in client.containers(all=True, filters=tried)], 60.0)
    finally:
        client.close()


def test_an_engine_that_hands_out_gpus_is_asked_for_all_of_them() -> None:
    """The engine is a server that answers as one with the toolkit does."""
    made = "c" * 64
    info = {"ServerVersion": "27.1.1", "CgroupVersion": "2", "NCPU": 2, "Runtimes": {"nvidia": {}, "runc": {}}}
    answers = {
        "/version": {"ApiVersion": "1.41", "Version": "27.1.1"},
        "/info": info,
        "/containers/create": {"Id": made, "Warnings": []},
        f"/containers/{made}/start": {},
    }
    sent: list[Any] = []
    with answering(answers, sent=sent) as address:
        found, _ = look_at_engine(HostNeeds(docker_host=f"tcp://{address}"))
    assert only(found, "GPU in containers").standing == "ok"
    (request,) = sent[0]["HostConfig"]["DeviceRequests"]
    assert (request["Count"], request["Capabilities"]) == (-1, [["gpu"]])
    assert not [each for each in found if each.what == "GPU driver"], "the GPU is another machine's"


# The engine


@pytest.mark.engine
def test_images_missing_and_stale_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    client = docker.APIClient()
    fresh = subprocess.run([ROOT / ".ci/flow-image", "--digest"], capture_output=True, text=True, check=True).stdout
    name = f"trigpoint-check-{uuid.uuid4().hex[:8]}"
    labels = {"old": "0" * 64, "new": fresh.strip()}
    empty = io.BytesIO()
    tarfile.open(fileobj=empty, mode="w").close()
    try:
        for tag, source in labels.items():
            changes = [f"LABEL {LABEL_SOURCE}={source} {LABEL_PROTOCOL}={PROTOCOL_VERSION + 1}"]
            client.import_image_from_data(empty.getvalue(), repository=name, tag=tag, changes=changes)
        told = {}
        for tag in (*labels, "never"):
            monkeypatch.setenv("TRIGPOINT_FLOW_IMAGE", f"{name}:{tag}")
            settings.cache_clear()
            told[tag] = only(look_at_engine(HostNeeds(free_gib=0))[0], "flow image")
        assert {tag: each.standing for tag, each in told.items()} == {"old": "wrong", "new": "ok", "never": "wrong"}
        assert "is stale" in told["old"].found
        assert told["never"].found == f"the engine has no image {name}:never"
        assert told["never"].remedy == "Build it: `make images`."
        monkeypatch.setenv("TRIGPOINT_SANDBOX_IMAGE", f"{name}:new")
        settings.cache_clear()
        spoken = only(look_at_engine(HostNeeds(free_gib=2**40))[0], "sandbox image")
        assert f"speaks protocol {PROTOCOL_VERSION + 1}" in spoken.found
    finally:
        for tag in labels:
            client.remove_image(f"{name}:{tag}", force=True)
        client.close()


@pytest.mark.engine
def test_the_engines_own_disk_is_looked_at() -> None:
    found, facts = look_at_engine(HostNeeds(free_gib=2**40))
    assert only(found, "engine's disk").standing == "wrong"
    assert "docker image prune" in only(found, "engine's disk").remedy
    assert only(found, "engine").standing == "ok"
    assert facts is not None


def test_limits_an_engine_cannot_enforce_are_found() -> None:
    """The engine is a server that answers as one without these control groups does."""
    info = {"ServerVersion": "19.03.5", "CgroupVersion": "1", "NCPU": 2, "MemTotal": 2**33, "DockerRootDir": "/d"}
    info |= {"MemoryLimit": False, "PidsLimit": True, "CpuCfsQuota": True, "SwapLimit": False}
    version = {"ApiVersion": "1.41", "Version": "19.03.5"}
    with answering({"/version": version, "/info": {**info, "SecurityOptions": ["name=seccomp"]}}) as address:
        found, _ = look_at_engine(HostNeeds(docker_host=f"tcp://{address}"))
    limits = {each.found: each.standing for each in found if each.what == "limits"}
    assert limits == {
        "the engine cannot limit memory (cgroup 1)": "wrong",
        "the engine cannot limit swap (cgroup 1)": "note",
    }
    assert only(found, "engine").remedy == "Install 20.10 or later."
    assert only(found, "engine's disk").standing == "note", "it lies on another machine"


# The server


def test_a_server_that_is_not_there_is_wrong() -> None:
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        (found,) = asyncio.run(look_at_server(HostNeeds(), None))
    assert found.standing == "wrong"
    assert "http://127.0.0.1:1/api does not answer" in found.found
    with temporary_settings({PREFECT_API_URL: None}):
        (found,) = asyncio.run(look_at_server(HostNeeds(), None))
    assert "--no-server" in found.remedy


@pytest.mark.parametrize(
    ("seconds", "words"), [(-3600, "ahead of the server"), (3600, "behind the server")], ids=["ahead", "behind"]
)
def test_a_clock_that_is_wrong_is_found(seconds: int, words: str) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    with (
        answering(HEALTHY, {"Date": date}) as address,
        temporary_settings({PREFECT_API_URL: f"http://{address}/api"}),
    ):
        found = asyncio.run(look_at_server(HostNeeds(), None))
    assert only(found, "clock").standing == "wrong"
    assert words in only(found, "clock").found
    assert "NTP" in only(found, "clock").remedy
    assert only(found, "pool trigpoint-hosts").remedy == "Run `make pools`."
    assert only(found, f"limit {LIMIT_NAME}").standing == "wrong"


def test_whole_seconds_are_no_difference() -> None:
    now = datetime(2030, 1, 1, 12, 0, 7, 900_000, tzinfo=UTC)
    assert apart_s(now.replace(microsecond=0), now) == 0
    assert apart_s(now.replace(microsecond=0) + timedelta(seconds=4), now) == pytest.approx(3.1)
    assert apart_s(now.replace(microsecond=0) - timedelta(seconds=4), now) == pytest.approx(-3.9)


@pytest.mark.parametrize(
    ("answer", "words"),
    [("2.20.1", "do not understand each other"), ("3.0.1", "must not be the older one"), (401, "wants a password")],
)
def test_a_server_that_does_not_fit_is_wrong(answer: object, words: str) -> None:
    with (
        answering({**HEALTHY, "/api/admin/version": answer}) as address,
        temporary_settings({PREFECT_API_URL: f"http://{address}/api"}),
    ):
        found = asyncio.run(look_at_server(HostNeeds(), None))
    assert only(found, "clock").standing == "ok"
    assert only(found, "server version").standing == "wrong"
    assert words in only(found, "server version").found


async def make_pool(client: PrefectClient, kind: str = "docker") -> str:
    name = f"check-{uuid.uuid4().hex[:8]}"
    template = job_template() if kind == "docker" else {}
    await client.create_work_pool(WorkPoolCreate(name=name, type=kind, base_job_template=template))
    return name


def start_worker(pool: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool], env={**os.environ, **environment},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


async def told(pool: str) -> list[Finding]:
    return [each for each in await look_at_server(HostNeeds(pool=(pool,)), None) if each.what == f"pool {pool}"]


@pytest.mark.server
async def test_pools_and_workers_are_found_wanting(client: PrefectClient) -> None:
    pool, other = await make_pool(client), await make_pool(client, "process")
    (found,) = await told(pool)
    assert (found.standing, found.found) == ("wrong", "no living worker polls it")
    assert found.remedy.startswith(f"Run `prefect worker start --pool {pool}` here")
    (found,) = await told(other)
    assert found.found == "it is of type process, not docker"
    await client.send_worker_heartbeat(pool, "elsewhere", heartbeat_interval_seconds=600)
    await client.update_work_pool(pool, WorkPoolUpdate(is_paused=True, base_job_template={}))
    worker, paused, template = await told(pool)
    assert worker.found == "1 living workers poll it, none of them from here"
    assert (paused.standing, template.standing) == ("note", "note")
    assert paused.remedy.startswith(f"`prefect work-pool resume {pool}`")


@pytest.mark.server
async def test_a_worker_of_this_host_is_found(client: PrefectClient, tmp_path: Path) -> None:
    pool = await make_pool(client)
    worker = start_worker(pool, {"PREFECT_API_URL": str(client.api_url), "PREFECT_HOME": str(tmp_path)})
    try:
        deadline = time.monotonic() + 200
        while (found := (await told(pool))[0]).standing != "ok" and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.3)
    finally:
        os.killpg(worker.pid, signal.SIGTERM)
        worker.wait(timeout=60)
    assert found.found == f"polled from here (process {worker.pid}), 1 workers alive in all"


@pytest.mark.server
async def test_the_cap_is_held_against_the_engine(client: PrefectClient) -> None:
    await ensure_limit(4)
    limit = await client.read_global_concurrency_limit_by_name(LIMIT_NAME)
    for memory, cpus, standing in ((limit.limit * 2**40, 1, "note"), (2**31, 64, "wrong"), (2**50, 2**10, "ok")):
        facts = Facts(memory=memory, cpus=cpus, cgroup="2", enforces={}, warnings=(), version="")
        found = only(await look_at_server(HostNeeds(), facts), f"limit {LIMIT_NAME}")
        assert found.standing == standing, found
        assert ("prefect gcl update" in found.remedy) is (standing != "ok")
