"""The process runtime: what the zygote's process is given, what keeps it, and what is cleared away behind the dead."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from blocks.errors import SandboxUnavailable
from blocks.sandboxes import ProcessRuntime, owner, process
from blocks.sandboxes.spawn import Order, spawn
from blocks.sandboxes.warden import GRACE_S
from tests.blocks.sandboxes.support import LIMITS, FakeRuntime, alive, tree
from tests.support.waiting import until, wait_until

WARDEN = Path(process.__file__).with_name("warden.py")


def proc(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def a_dead_pid() -> int:
    code = "import os; print(os.getpid())"
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def start_warden(folder: Path, code: str, parent: int | None = None) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    arguments = [str(parent or os.getpid()), str(folder), sys.executable, "-c", code]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(WARDEN), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


async def test_the_zygote_gets_nothing_of_the_users_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-secret")
    monkeypatch.setenv("SOME_PASSWORD", "hunter2")
    transport = await FakeRuntime().start(LIMITS)
    wait_until(lambda: len(tree(transport.pid)) == 2)
    wait_until(lambda: b"fake_zygote" in proc(tree(transport.pid)[1], "cmdline"))
    for pid in tree(transport.pid):
        environment = proc(pid, "environ")
        assert b"secret" not in environment
        assert b"hunter2" not in environment
        assert b"PYTHONHASHSEED=0" in environment
        assert b"OPENBLAS_NUM_THREADS=1" in environment
    await transport.close()


async def test_a_cancelled_start_leaves_neither_process_nor_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(tree(os.getpid()))
    for turns in range(6):
        starting = asyncio.create_task(FakeRuntime().start(LIMITS))
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await starting).close()
    await until(lambda: names(tmp_path) == set())
    await until(lambda: set(tree(os.getpid())) <= before)


async def test_no_landlock_is_refused_unless_weakness_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "landlock_abi", lambda: 0)
    with pytest.raises(SandboxUnavailable, match=r"Landlock.*docker runtime"):
        await ProcessRuntime().check()
    await ProcessRuntime(allow_weak=True).check()


async def test_another_system_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SandboxUnavailable, match="Linux"):
        await ProcessRuntime(allow_weak=True).check()


def test_numeric_kernels_are_fixed_only_where_the_cpu_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    monkeypatch.setattr(process, "_CPUINFO", cpuinfo)
    cpuinfo.write_text("flags\t\t: fpu avx\n")
    old = process.numeric_environment()
    assert old == {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    cpuinfo.write_text("flags\t\t: fpu avx avx2 avx512f\n")
    new = process.numeric_environment()
    assert new["OPENBLAS_CORETYPE"] == "Haswell"
    assert new["NPY_DISABLE_CPU_FEATURES"].split()[0] == "X86_V4"


def test_a_child_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    """The kernel takes the end of the starting thread for the end of the parent."""
    command = [sys.executable, "-I", "-S", str(WARDEN), str(os.getpid()), str(tmp_path / "w"), "/bin/sleep", "600"]
    (tmp_path / "w").mkdir()
    started: list[subprocess.Popen[bytes]] = []
    order = Order(command, {}, str(tmp_path))
    asking = threading.Thread(target=lambda: started.append(spawn(order).result()))
    asking.start()
    asking.join()
    wait_until(lambda: len(tree(started[0].pid)) == 2)
    time.sleep(GRACE_S + 0.5)
    assert len(tree(started[0].pid)) == 2
    started[0].terminate()
    with started[0]:
        assert started[0].wait(100) == 128 + signal.SIGKILL


def test_a_command_that_does_not_exist_is_reported() -> None:
    with pytest.raises(FileNotFoundError):
        spawn(Order(["/does/not/exist"], {}, "/")).result(100)


def test_the_warden_ends_everything_a_dead_zygote_leaves_and_the_folder(tmp_path: Path) -> None:
    # A daemon in a session of its own, which a process group or a parent-death signal would not reach.
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        time.sleep(600)\n"
        "    time.sleep(600)\n"
        "os.write(1, b'up'); os.read(0, 1); os._exit(7)\n"
    )
    warden = start_warden(tmp_path / "private", code)
    assert warden.stdin is not None
    assert warden.stdout is not None
    assert warden.stdout.read(2) == b"up"
    members = tree(warden.pid)
    warden.stdin.write(b"x")
    warden.stdin.flush()
    with warden:
        assert warden.wait(200) == 7
    assert len(members) >= 3
    assert not any(alive(pid) for pid in members)
    assert not (tmp_path / "private").exists()


def test_a_killed_warden_takes_the_zygote_along(tmp_path: Path) -> None:
    warden = start_warden(tmp_path / "private", "import time; time.sleep(600)")
    wait_until(lambda: len(tree(warden.pid)) == 2)
    zygote = tree(warden.pid)[1]
    warden.kill()
    wait_until(lambda: not alive(zygote))
    with warden:
        assert warden.wait(100) == -signal.SIGKILL


def test_a_warden_whose_owner_is_already_gone_starts_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "started"
    warden = start_warden(tmp_path / "private", f"open({str(marker)!r}, 'w')", parent=2**22 - 1)
    with warden:
        assert warden.wait(100) == 1
    assert not marker.exists()
    assert not (tmp_path / "private").exists()


async def test_reaping_takes_the_folders_of_the_dead_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead_tag = f"{owner.host_id()}/{a_dead_pid()}/12345"
    tags = {
        "dead": dead_tag,
        "alive": owner.owner_tag(),
        "reused-pid": f"{owner.host_id()}/{os.getpid()}/1",
        "other-host": dead_tag.replace(owner.host_id(), "elsewhere.1.2"),
        "nonsense": "x",
    }
    for name, tag in tags.items():
        folder = tmp_path / f"{process.FOLDER_PREFIX}{name}"
        folder.mkdir()
        (folder / "owner.json").write_text(json.dumps({"owner": tag}))
    (tmp_path / f"{process.FOLDER_PREFIX}unfinished").mkdir()
    outside = tmp_path / "precious"
    outside.mkdir()
    (outside / "owner.json").write_text(json.dumps({"owner": dead_tag}))
    (tmp_path / f"{process.FOLDER_PREFIX}link").symlink_to(outside)
    assert await ProcessRuntime().reap() == 2
    left = {name.removeprefix(process.FOLDER_PREFIX) for name in names(tmp_path)}
    assert left == {"alive", "other-host", "nonsense", "unfinished", "link", "precious"}
    assert (outside / "owner.json").exists()


def test_a_living_owner_is_never_taken_for_gone() -> None:
    assert not owner.owner_is_gone(owner.owner_tag())
    assert not owner.owner_is_gone("")
    assert not owner.owner_is_gone(f"{owner.host_id()}/1")
    assert owner.owner_is_gone(f"{owner.host_id()}/{os.getpid()}/{(owner.start_time(os.getpid()) or 0) + 1}")
