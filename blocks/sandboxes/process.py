"""The process runtime: a zygote as a child of this process, behind the inner wall alone.

The embedded default of a laptop without a Docker engine. What keeps a session in is Landlock and seccomp (see
`sandbox_image.zygote`); there is no container around them, and no limit on the sandbox as a whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import importlib.metadata
import json
import logging
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from blocks.errors import SandboxError, SandboxUnavailable
from blocks.sandboxes import owner
from blocks.sandboxes.models import SandboxLimits
from blocks.sandboxes.runtime import Diagnostics, Runtime, Transport, libraries_digest, program_options
from blocks.sandboxes.spawn import Order, spawn
from sandbox_image.zygote.preload import LIBRARIES

logger = logging.getLogger(__name__)

READ_SIZE = 256 * 1024
FOLDER_PREFIX = "trigpoint-sandbox-"
_OWNER_FILE = "owner.json"
_END_DEADLINE_S = 10.0
_POST_MORTEM_DEADLINE_S = 15.0
_SYS_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_CREATE_RULESET_VERSION = 1
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_IMAGE_FOLDER = _PACKAGE_ROOT / "sandbox_image"
_CPUINFO = Path("/proc/cpuinfo")
_WARDEN = Path(__file__).with_name("warden.py")
WALLS: Mapping[str, Any] = {"outer": {"kind": "none"}}
"""The inner wall stands alone: no limit on memory, processes and CPUs of the sandbox as a whole."""


class ProcessRuntime(Runtime):
    """Zygotes as child processes. Linux only.

    Args:
        allow_weak: Also run where the kernel has no Landlock. Sessions can then read the user's files: only for code
            one would run without a sandbox.
    """

    name = "process"

    def __init__(self, allow_weak: bool = False) -> None:
        self.allow_weak = allow_weak

    async def check(self) -> None:
        """Find out whether the kernel can build the inner wall.

        Raises:
            SandboxUnavailable: It is not Linux, or has no Landlock and `allow_weak` is not set.
        """
        if sys.platform != "linux":
            raise SandboxUnavailable("The process runtime needs Linux.", "Use the docker runtime.")
        if landlock_abi() < 1 and not self.allow_weak:
            raise SandboxUnavailable(
                f"The kernel ({platform.release()}) offers no Landlock, which keeps sessions from the user's files.",
                "Use the docker runtime, or allow_weak=True for code you trust.",
            )

    async def identity(self) -> str:
        """The versions of this interpreter and of the libraries installed beside it."""
        libraries = {name: importlib.metadata.version(name) for name in LIBRARIES}
        return libraries_digest(platform.python_version(), libraries)

    async def start(self, limits: SandboxLimits) -> ProcessTransport:
        """Start a zygote under a warden, in a private folder.

        Raises:
            SandboxUnavailable: See `check`.
            SandboxError: The process could not be started.
        """
        await self.check()
        folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
        try:
            scratch = folder / "scratch"
            scratch.mkdir(mode=0o700)
            (folder / _OWNER_FILE).write_text(json.dumps({"owner": owner.owner_tag()}))
            order = Order(self._command(folder, scratch, limits), _environment(scratch), str(scratch))
            starting = spawn(order)
            process = await asyncio.shield(asyncio.wrap_future(starting))
        except asyncio.CancelledError:
            starting.add_done_callback(lambda started: _end_unwanted(started, folder))
            raise
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise SandboxError(f"The sandbox process could not be started: {error.strerror or error}.") from error
        return ProcessTransport(process, folder)

    async def reap(self) -> int:
        """Remove private folders whose owner no longer lives. The processes ended with their owner."""
        return await asyncio.to_thread(_reap)

    def _command(self, folder: Path, scratch: Path, limits: SandboxLimits) -> list[str]:
        zygote = [sys.executable, "-s", "-P", "-B", "-m", "sandbox_image.zygote", "--scratch", str(scratch)]
        zygote += program_options(limits, allow_weak=self.allow_weak)
        return [sys.executable, "-I", "-S", str(_WARDEN), str(os.getpid()), str(folder), *zygote]


class ProcessTransport(Transport):
    """The pipes of a zygote that runs as a child process.

    Args:
        process: The warden, which shares its pipes with the zygote.
        folder: The private folder the warden removes.
    """

    runtime = "process"

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.place, self.host = str(process.pid), platform.node()
        self._process = process
        self._folder = folder
        self._stdin, self._stdout = process.stdin, process.stdout
        self._log = Diagnostics()
        self._lock = threading.Lock()
        # Each is held while its thread is inside a system call, so that no descriptor is closed, and its number given
        # to someone else, under a thread that is about to use it.
        self._reading, self._writing = threading.Lock(), threading.Lock()
        self._abandoned = False
        _widen(self._stdin.fileno())
        _widen(self._stdout.fileno())
        threading.Thread(target=_drain_log, args=(process.stderr, self._log), name="sandbox-log", daemon=True).start()

    @property
    def walls(self) -> Mapping[str, Any]:
        """There is no outer wall, and this says so."""
        return WALLS

    @property
    def started(self) -> bool:
        """Whether the warden, and so the zygote, still runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The warden, which leads the process group of the sandbox."""
        return self._process.pid

    def read(self) -> bytes:
        """The next bytes the zygote wrote; empty when the stream has ended."""
        with self._reading:
            try:
                return os.read(self._stdout.fileno(), READ_SIZE)
            except (OSError, ValueError):
                return b""

    def write(self, data: bytes) -> None:
        """Hand all bytes to the zygote.

        Raises:
            OSError: The stream has ended.
        """
        view = memoryview(data)
        with self._writing:
            if self._stdin.closed:
                raise BrokenPipeError("the stream is closed")
            while view:
                view = view[os.write(self._stdin.fileno(), view) :]

    def abandon(self) -> None:
        """Kill the zygote; the warden sees to the rest."""
        with self._lock:
            if self._abandoned or self._process.returncode is not None:
                return
            self._abandoned = True
        # The zygote is the warden's only child. Killing it ends both pipes, and so both threads that use them.
        # The second signal is for a warden that has not come to starting it yet.
        for pid in _children(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
            # Whoever stopped the zygote may have stopped the warden as well; it could not see the end of its child.
            self._process.send_signal(signal.SIGCONT)

    async def close(self) -> None:
        """End the zygote and wait until it, its sessions and its folder are gone."""
        await asyncio.to_thread(self.wait_until_gone)

    def diagnostics(self) -> str:
        """The end of the zygote's log."""
        return self._log.text()

    async def post_mortem(self) -> str:
        """How the zygote ended, in words."""
        try:
            code = await asyncio.to_thread(self._process.wait, _POST_MORTEM_DEADLINE_S)
        except subprocess.TimeoutExpired:
            return ""
        if code > 128:
            return f"killed by {signal.Signals(code - 128).name}"
        if code < 0:
            return f"its warden was killed by {signal.Signals(-code).name}"
        return f"it ended with exit code {code}"

    def wait_until_gone(self) -> None:
        """What `close` does, blocking."""
        self._await_end()
        for pipe, in_use in ((self._stdin, self._writing), (self._stdout, self._reading)):
            # With the zygote gone, a thread in a system call comes back at once.
            if in_use.acquire(timeout=_END_DEADLINE_S):
                pipe.close()
                in_use.release()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _await_end(self) -> None:
        for patience_s, last_word in ((1.0, self.abandon), (_END_DEADLINE_S, self._kill_group)):
            try:
                self._process.wait(patience_s)
            except subprocess.TimeoutExpired:
                last_word()
            else:
                return
        self._process.wait()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _end_unwanted(started: Future[subprocess.Popen[bytes]], folder: Path) -> None:
    """Whoever asked for a process was cancelled before it came up."""
    if started.cancelled() or started.exception() is not None:
        shutil.rmtree(folder, ignore_errors=True)
        return
    transport = ProcessTransport(started.result(), folder)
    transport.abandon()
    threading.Thread(target=transport.wait_until_gone, name="sandbox-end", daemon=True).start()


def landlock_abi() -> int:
    """The kernel's Landlock ABI version; 0 when it has none."""
    libc = ctypes.CDLL(None, use_errno=True)
    abi = libc.syscall(
        ctypes.c_long(_SYS_LANDLOCK_CREATE_RULESET),
        None,
        ctypes.c_size_t(0),
        ctypes.c_uint32(_LANDLOCK_CREATE_RULESET_VERSION),
    )
    return max(0, int(abi))


def _environment(scratch: Path) -> dict[str, str]:
    """What a zygote needs and nothing of the user's.

    One thread per numeric library and the same CPU kernels everywhere, so that numbers do not depend on the host.
    """
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "MPLCONFIGDIR": str(scratch / "matplotlib"),
        "MPLBACKEND": "Agg",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(_PACKAGE_ROOT),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        **numeric_environment(),
    }
    # A Python built outside the system may need this to find its own shared libraries.
    if "LD_LIBRARY_PATH" in os.environ:
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    return environment


def numeric_environment() -> dict[str, str]:
    """Variables that fix how many threads and which CPU kernels the numeric libraries use; the image sets the same."""
    files = ["numeric.env"]
    # Naming kernels the CPU cannot run would end the zygote with SIGILL.
    if re.search(r"\bavx2\b", _CPUINFO.read_text()):
        files.append("numeric-avx2.env")
    lines = [line for name in files for line in (_IMAGE_FOLDER / name).read_text().splitlines()]
    settings = [shlex.split(line, comments=True) for line in lines]
    return dict(setting[0].split("=", 1) for setting in settings if setting)


def _widen(descriptor: int) -> None:
    """Make a pipe a megabyte large, so that a burst does not wait for a thread switch. A wish, not a need."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, 1024 * 1024)


def _drain_log(stream: Any, log: Diagnostics) -> None:
    with stream:
        while data := os.read(stream.fileno(), 4096):
            log.add(data)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def left_folders() -> list[Path]:
    """Private folders of this user whose owner no longer lives."""
    found = []
    for folder in Path(tempfile.gettempdir()).glob(FOLDER_PREFIX + "*"):
        try:
            mine = folder.stat().st_uid == os.getuid() and not folder.is_symlink()
            tag = json.loads((folder / _OWNER_FILE).read_text())["owner"] if mine else ""
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if owner.owner_is_gone(str(tag)):
            found.append(folder)
    return found


def _reap() -> int:
    folders = left_folders()
    for folder in folders:
        logger.info("removing %s, its owner is gone", folder)
        shutil.rmtree(folder, ignore_errors=True)
    return len(folders)
