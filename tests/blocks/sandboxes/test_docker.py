"""The docker runtime against a real engine: the wall as the engine sees it, orphans, losses, ways to reach one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError

from blocks.errors import SandboxUnavailable
from blocks.sandboxes import DockerRuntime, Sandbox, container, default_runtime, link, owner, sandbox
from blocks.sandboxes.container import LABEL_CONTAINER, LABEL_OWNER, LABEL_PROTOCOL
from blocks.settings import settings
from tests.blocks.sandboxes.engines import build, container_of, exists, gone, remove_image
from tests.blocks.sandboxes.support import LIMITS

pytestmark = pytest.mark.engine


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.csv"
    path.write_text("a,b\n1,2\n")
    return path


@pytest.fixture
async def box(fake_image: str, dataset: Path) -> AsyncIterator[Sandbox]:
    async with await Sandbox.open(DockerRuntime(image=fake_image), dataset, limits=LIMITS) as opened:
        yield opened


async def test_the_wall_is_the_one_the_engine_reports(box: Sandbox, client: docker.APIClient) -> None:
    found = client.inspect_container(await container_of(box))
    host, config = found["HostConfig"], found["Config"]
    assert host["NetworkMode"] == "none"
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["Privileged"] is False
    assert host["ReadonlyRootfs"] is True
    assert host["AutoRemove"] is True
    assert host["Init"] is True
    assert host["IpcMode"] == "private"
    assert host["LogConfig"]["Type"] == "none"
    assert host["Memory"] == host["MemorySwap"] > 0
    assert host["PidsLimit"] == (LIMITS.max_threads + 2) * container.SEATS + 32
    assert 0 < host["NanoCpus"] <= LIMITS.cpus * 1e9
    assert {limit["Name"]: limit["Hard"] for limit in host["Ulimits"]}["core"] == 0
    assert not host["Binds"]
    assert found["Mounts"] == []
    assert not host["Devices"]
    assert "noexec,nosuid,nodev" in host["Tmpfs"]["/tmp"]
    options = {option.split("=", 1)[0]: option.partition("=")[2] for option in host["SecurityOpt"]}
    assert "no-new-privileges" in options
    assert json.loads(options["seccomp"]) == json.loads(container.seccomp_profile())
    assert config["User"] == "65534:65534"
    assert (config["Tty"], config["OpenStdin"], config["StdinOnce"]) == (False, True, True)
    assert config["Labels"][LABEL_OWNER] == owner.owner_tag()
    walls = box.info.walls["outer"]
    assert walls["memory_bytes"] in (host["Memory"], None)
    assert walls["kind"] == "container"
    assert box.info.image_digest == found["Image"]


async def test_nothing_of_the_users_environment_or_proxies_enters(
    fake_image: str, dataset: Path, client: docker.APIClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    proxies = {"proxies": {"default": {"httpProxy": "http://user:hunter2@proxy:1"}}}
    (tmp_path / "config.json").write_text(json.dumps(proxies))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-secret")
    async with await Sandbox.open(DockerRuntime(image=fake_image), dataset, limits=LIMITS) as box:
        described = json.dumps(client.inspect_container(await container_of(box)))
    assert "hunter2" not in described
    assert "sk-secret" not in described


async def test_a_killed_container_is_rebuilt_and_its_end_told(box: Sandbox, client: docker.APIClient) -> None:
    live = await box.session()
    await live.run("count")
    running = asyncio.create_task(live.run("sleep 600"))
    await asyncio.sleep(0.3)
    victim = await container_of(box)
    await asyncio.to_thread(client.kill, victim)
    assert (await running).status == "lost"
    assert (await live.run("count")).stdout == "1"
    (incident,) = box.incidents
    assert "exit code 137" in incident.reason
    assert (incident.kind, incident.sandbox) == ("died", victim)
    assert incident.host == (await asyncio.to_thread(client.info))["Name"]
    assert await container_of(box) != victim
    assert gone(client, victim)


async def test_a_container_that_ran_out_of_memory_is_told_apart(box: Sandbox, client: docker.APIClient) -> None:
    live = await box.session()
    await live.run("count")
    victim = await container_of(box)
    await asyncio.to_thread(client.update_container, victim, mem_limit="96m", memswap_limit="96m")
    assert (await live.run("eat")).status == "lost"
    assert (await live.run("count")).status == "ok"
    (incident,) = box.incidents
    assert (incident.kind, incident.sandbox) == ("memory", victim)
    assert incident.recovered_s


async def test_a_frozen_container_is_found_out_and_replaced(
    fake_image: str, dataset: Path, client: docker.APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await Sandbox.open(DockerRuntime(image=fake_image), dataset, limits=LIMITS) as box:
        live = await box.session()
        victim = await container_of(box)
        await asyncio.to_thread(client.pause, victim)
        # Before and after, a container that is slow is not a frozen one.
        monkeypatch.setattr(sandbox, "HEALTH_PERIOD_S", 0.2)
        monkeypatch.setattr(link, "PONG_DEADLINE_S", 1.0)
        async with asyncio.timeout(300):
            assert (await live.run("count")).status == "lost"
            monkeypatch.setattr(link, "PONG_DEADLINE_S", 100.0)
            assert (await live.run("count")).status == "ok"
        assert box.incidents[0].kind == "stuck"
        assert gone(client, victim)


OWNER = """
import asyncio, sys
from pathlib import Path
from blocks.sandboxes import DockerRuntime, Sandbox
from tests.blocks.sandboxes.engines import build, container_of, exists, gone, remove_image
from tests.blocks.sandboxes.support import LIMITS
async def main():
    box = await Sandbox.open(DockerRuntime(image=sys.argv[2]), Path(sys.argv[1]), limits=LIMITS)
    session = await box.session()
    print((await box.ready_link()).transport.container_id, flush=True)
    if sys.argv[3] == "stay":
        await session.run("ignore")
asyncio.run(main())
"""


@pytest.mark.parametrize("end", ["stay", "leave"])
def test_an_owner_that_dies_or_just_ends_leaves_no_container(
    end: str, fake_image: str, dataset: Path, client: docker.APIClient
) -> None:
    command = [sys.executable, "-c", OWNER, str(dataset), fake_image, end]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        container_id = process.stdout.readline().strip()
        assert container_id
        if end == "stay":
            process.send_signal(signal.SIGKILL)
    assert gone(client, container_id)


async def test_reaping_removes_containers_of_the_dead_only(fake_image: str, client: docker.APIClient) -> None:
    tags = {
        "dead": f"{owner.host_id()}/{os.getpid()}/1",
        "alive": owner.owner_tag(),
        "elsewhere": f"other.0.0/{os.getpid()}/1",
    }
    made = {}
    for name, tag in tags.items():
        answer = client.create_container(fake_image, labels={LABEL_OWNER: tag}, command=["sleep"])
        made[name] = answer["Id"]
    try:
        await DockerRuntime(image=fake_image).reap()
        assert [name for name, made_id in made.items() if exists(client, made_id)] == ["alive", "elsewhere"]
    finally:
        for made_id in made.values():
            with contextlib.suppress(APIError):
                client.remove_container(made_id, force=True)


async def test_reaping_removes_what_the_flows_of_containers_that_are_gone_have_left(
    fake_image: str, client: docker.APIClient
) -> None:
    """The owner is a process in another container: only the engine can tell that it is dead."""
    homes = {name: client.create_container(fake_image, command=["sleep"])["Id"] for name in ("stopped", "gone")}
    homes["running"] = client.create_container(fake_image, entrypoint=["sleep", "300"], network_disabled=True)["Id"]
    client.start(homes["running"])
    client.remove_container(homes["gone"])
    labels = {name: {LABEL_OWNER: "other.0.0/7/1", LABEL_CONTAINER: home} for name, home in homes.items()}
    made = {name: client.create_container(fake_image, labels=each)["Id"] for name, each in labels.items()}
    try:
        await DockerRuntime(image=fake_image).reap()
        assert [name for name, made_id in made.items() if exists(client, made_id)] == ["running"]
    finally:
        for made_id in (*made.values(), *homes.values()):
            with contextlib.suppress(APIError):
                client.remove_container(made_id, force=True)


def test_a_process_finds_the_container_it_is_in(tmp_path: Path) -> None:
    container_id = "5f" * 32
    mounts = tmp_path / "mountinfo"
    lines = [
        "812 790 0:52 / / rw,relatime - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/AB",
        f"822 812 254:1 /var/lib/docker/containers/{container_id}/hostname /etc/hostname rw - ext4 /dev/vda rw",
    ]
    mounts.write_text("\n".join(lines))
    assert owner.container_id(mounts) == container_id
    shm = f"90 1 0:9 / /var/lib/docker/containers/{container_id}/mounts/shm rw - tmpfs shm rw"
    mounts.write_text(shm)
    assert owner.container_id(mounts) is None, "on the host, which sees the container's folder"
    assert owner.container_id(tmp_path / "none") is None


async def test_a_cancelled_start_leaves_no_container(fake_image: str, client: docker.APIClient) -> None:
    runtime = DockerRuntime(image=fake_image, labels={"trigpoint.test": "cancelled"})
    await runtime.check()
    for delay in (0.0, 0.05, 0.2):
        starting = asyncio.create_task(runtime.start(LIMITS))
        await asyncio.sleep(delay)
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await starting).close()
    mine = {"label": "trigpoint.test=cancelled"}
    async with asyncio.timeout(200):
        await asyncio.sleep(1.0)
        while await asyncio.to_thread(client.containers, all=True, filters=mine):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_what_is_missing_is_said_in_one_sentence(fake_image: str, dataset: Path) -> None:
    with pytest.raises(SandboxUnavailable, match=r"no image nowhere:1.*make sandbox-image"):
        await DockerRuntime(image="nowhere:1").check()
    build("trigpoint-sandbox-old:test", f"FROM {fake_image}\nLABEL {LABEL_PROTOCOL}=0")
    with pytest.raises(SandboxUnavailable, match=r"speaks protocol 0.*make sandbox-image"):
        await DockerRuntime(image="trigpoint-sandbox-old:test").check()
    remove_image("trigpoint-sandbox-old:test")
    with pytest.raises(SandboxUnavailable, match="no runtime gvisor-of-dreams"):
        await Sandbox.open(DockerRuntime(image=fake_image, runtime="gvisor-of-dreams"), dataset, limits=LIMITS)


async def test_auto_takes_the_engine() -> None:
    assert (await default_runtime("auto")).name == "docker"


PROBE = """
import ctypes, errno, json, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    answer = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) for a in arguments])
    return errno.errorcode.get(ctypes.get_errno(), "done") if answer < 0 else "done"
X86 = dict(io_uring_setup=425, ptrace=101, process_vm_readv=310, process_vm_writev=311, userfaultfd=323, keyctl=250,
    add_key=248, request_key=249, perf_event_open=298, bpf=321, mount=165, umount2=166, unshare=272, setns=308,
    memfd_create=319, shmget=29, msgget=68, semget=64, mq_open=240, clone3=435, pivot_root=155, chroot=161, swapon=167,
    reboot=169, init_module=175, finit_module=313, kexec_load=246, open_by_handle_at=304, personality=135,
    fsopen=430, move_mount=429, pidfd_getfd=438, memfd_secret=447, quotactl=179, settimeofday=164, vmsplice=278)
ARM = dict(io_uring_setup=425, ptrace=117, process_vm_readv=270, process_vm_writev=271, userfaultfd=282, keyctl=219,
    add_key=217, request_key=218, perf_event_open=241, bpf=280, mount=40, umount2=39, unshare=97, setns=268,
    memfd_create=279, shmget=194, msgget=186, semget=190, mq_open=180, clone3=435, pivot_root=41, chroot=51, swapon=224,
    reboot=142, init_module=105, finit_module=273, kexec_load=104, open_by_handle_at=265, personality=92,
    fsopen=430, move_mount=429, pidfd_getfd=438, memfd_secret=447, quotactl=60, settimeofday=170, vmsplice=75)
said = {name: call(number, 0, 0, 0, 0, 0) for name, number in (ARM if os.uname().machine == "aarch64" else X86).items()}
for name, family in dict(inet=2, inet6=10, netlink=16, packet=17, alg=38, vsock=40, xdp=44, unix=1).items():
    for kind in (socket.SOCK_STREAM, socket.SOCK_RAW):
        try:
            socket.socket(family, kind).close()
            said[f"socket {name}"] = "done"
            break
        except OSError as error:
            said[f"socket {name}"] = errno.errorcode[error.errno]
CLONE_NEWUSER = 0x10000000
said["clone namespace"] = call(220 if os.uname().machine == "aarch64" else 56, CLONE_NEWUSER | 17, 0, 0, 0, 0)
pid = os.fork()
if pid == 0:
    os._exit(3)
said["fork"] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
said["landlock"] = call(444, 0, 0, 1)
said["interfaces"] = sorted(os.listdir("/sys/class/net"))
for path in ("/x", "/tmp/x", "/dev/shm/x", "/var/tmp/x", "/etc/x", "/opt/trigpoint/x", "/opt/venv/x"):
    try:
        open(path, "w").close()
        said[f"write {path}"] = "done"
    except OSError as error:
        said[f"write {path}"] = errno.errorcode[error.errno]
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
said["status"] = {key: status[key].strip() for key in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")}
print(json.dumps(said))
"""


@pytest.fixture
def said(client: docker.APIClient) -> dict[str, Any]:
    """What a program without an inner wall can do in the container."""
    facts = container.Facts.of(client.info())
    options = container.host_options(container.Sizes.of(LIMITS, facts), None)
    options |= {"auto_remove": False, "log_config": {"type": "json-file", "config": {}}}
    made = client.create_container(
        settings().sandbox_image,
        entrypoint=["/opt/venv/bin/python", "-c", PROBE],
        user=container.USER,
        host_config=client.create_host_config(**options),
    )
    try:
        client.start(made["Id"])
        assert client.wait(made["Id"])["StatusCode"] == 0, client.logs(made["Id"])
        out: dict[str, Any] = json.loads(client.logs(made["Id"], stderr=False))
        return out
    finally:
        client.remove_container(made["Id"], force=True)


def test_the_outer_wall_alone_refuses_what_it_promises(said: dict[str, Any]) -> None:
    assert said.pop("clone3") == "ENOSYS"
    assert said.pop("fork") == 3, "the zygote must fork"
    assert said.pop("socket unix") == "done"
    assert said.pop("landlock") == "done", "the inner wall must be buildable"
    assert said.pop("write /tmp/x") == "done"
    assert said.pop("write /dev/shm/x") == "done", "a megabyte; the inner wall closes it to sessions"
    assert said.pop("interfaces") == ["lo"]
    status = said.pop("status")
    assert (int(status["CapEff"], 16), int(status["CapBnd"], 16)) == (0, 0)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    writes = {name: said.pop(name) for name in list(said) if name.startswith("write ")}
    assert len(writes) == 5
    assert set(writes.values()) <= {"EROFS", "EACCES"}, writes
    assert {name: answer for name, answer in said.items() if answer != "EPERM"} == {}
