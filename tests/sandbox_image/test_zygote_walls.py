"""The walls themselves, each put up in a forked child that then tries what it must not do."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import functools
import json
import os
import resource
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_image.zygote.walls import landlock, libraries, privileges, seccomp, syscalls
from sandbox_image.zygote.walls.bpf import ALLOW, MAX_INSTRUCTIONS, Program, refuse
from sandbox_image.zygote.walls.libc import syscall
from tests.support.properties import PATIENT

ARCHITECTURE = syscalls.current()
needs_architecture = pytest.mark.skipif(ARCHITECTURE is None, reason="no filter for this processor family")
needs_landlock = pytest.mark.skipif(landlock.abi() < 1, reason="this kernel has no Landlock")


def in_child(body: Callable[[], Any]) -> Any:
    """What a function returns when a forked child runs it; the child's walls die with it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            answer = json.dumps({"value": body()})
        except BaseException as error:
            answer = json.dumps({"raised": f"{type(error).__name__}: {error}"})
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    assert data, f"the child died: {status}"
    answer = json.loads(data)
    assert "raised" not in answer, answer["raised"]
    return answer["value"]


def errno_of(call: Callable[[], Any]) -> str:
    """The name of the errno a call fails with; "" when it succeeds."""
    try:
        call()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return ""


def number(name: str) -> int:
    assert ARCHITECTURE is not None
    return ARCHITECTURE.numbers[name]


# A second opinion on programs: what the kernel's machine would do with them, run here on any arguments.


def execute(program: bytes, audit: int, nr: int, arguments: tuple[int, ...]) -> int:
    data = struct.pack("<IIQ6Q", nr & 0xFFFF_FFFF, audit, 0, *arguments)
    code = [struct.unpack_from("<HBBI", program, 8 * index) for index in range(len(program) // 8)]
    accumulator, index = 0, 0
    while True:
        operation, if_true, if_false, value = code[index]
        index += 1
        if operation == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif operation == 0x54:
            accumulator &= value
        elif operation == 0x06:
            return int(value)
        else:
            test = {0x15: accumulator == value, 0x25: accumulator > value, 0x45: accumulator & value != 0}[operation]
            index += if_true if test else if_false


PID = 4321
words = st.integers(0, 2**64 - 1)


@functools.cache
def compiled(name: str) -> bytes:
    """The session's filter for an architecture."""
    return seccomp.session_filter(syscalls._ARCHITECTURES[name], PID, 7).bytes()


def verdict(architecture: syscalls.Architecture, name: str, *arguments: int) -> int:
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    return execute(compiled(architecture.name), architecture.audit, architecture.numbers[name], padded)


BOTH = pytest.mark.parametrize("architecture", [syscalls._ARCHITECTURES["x86_64"], syscalls._ARCHITECTURES["aarch64"]])


@BOTH
def test_programs_fit_the_kernel(architecture: syscalls.Architecture) -> None:
    for program in (seccomp.session_filter(architecture, PID, 1), seccomp.zygote_filter(architecture)):
        assert len(program) < MAX_INSTRUCTIONS
        for index in range(len(program)):
            operation, if_true, if_false, _ = struct.unpack_from("<HBBI", program.bytes(), 8 * index)
            if operation in (0x15, 0x25, 0x45):
                assert index + 1 + max(if_true, if_false) < len(program)


def test_every_name_on_the_lists_is_known_to_some_table() -> None:
    known = set(syscalls._X86_64) | set(syscalls._AARCH64)
    for text in (seccomp._NEVER, seccomp._NEVER_IN_A_SESSION):
        for name in seccomp._names(text):
            assert name in known, name


@BOTH
@PATIENT
@given(arguments=st.tuples(words, words, words, words, words, words))
def test_a_session_never_signals_others(architecture: syscalls.Architecture, arguments: tuple[int, ...]) -> None:
    target = arguments[0] & 0xFFFF_FFFF
    for name in ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"):
        own = {PID} | ({0, -PID & 0xFFFF_FFFF} if name == "kill" else set())
        expected = ALLOW if target in own else refuse()
        assert verdict(architecture, name, *arguments) == expected


@BOTH
@PATIENT
@given(flags=words)
def test_only_threads_may_be_made(architecture: syscalls.Architecture, flags: int) -> None:
    thread = flags & 0x0001_0000 and not flags & 0x7E02_0000
    assert verdict(architecture, "clone", flags) == (ALLOW if thread else refuse())


@BOTH
@PATIENT
@given(address=words)
def test_a_datagram_never_gets_an_address(architecture: syscalls.Architecture, address: int) -> None:
    expected = ALLOW if address == 0 else refuse()
    assert verdict(architecture, "sendto", 3, 0, 0, 0, address) == expected


@BOTH
@PATIENT
@given(flags=words)
def test_no_shared_memory_without_a_file(architecture: syscalls.Architecture, flags: int) -> None:
    shared = flags & 0x20 and flags & 0xF in (1, 3)
    assert verdict(architecture, "mmap", 0, 4096, 3, flags) == (refuse() if shared else ALLOW)


@BOTH
@PATIENT
@given(nr=st.integers(0, 2**32 - 1))
def test_calls_from_the_future_do_not_exist(architecture: syscalls.Architecture, nr: int) -> None:
    answer = execute(compiled(architecture.name), architecture.audit, nr, (0,) * 6)
    if architecture.x32 and nr & (1 << 30):
        assert answer == refuse()
    elif nr > syscalls.NEWEST:
        assert answer == refuse(errno.ENOSYS)


@BOTH
@PATIENT
@given(audit=st.integers(0, 2**32 - 1), nr=st.integers(0, 500))
def test_other_entry_points_are_shut(architecture: syscalls.Architecture, audit: int, nr: int) -> None:
    if audit != architecture.audit:
        assert execute(compiled(architecture.name), audit, nr, (0,) * 6) == refuse()


@BOTH
def test_cutting_files_by_path_is_refused_where_landlock_cannot_see_it(architecture: syscalls.Architecture) -> None:
    old = seccomp.session_filter(architecture, PID, 2).bytes()
    truncate = architecture.numbers["truncate"]
    assert execute(old, architecture.audit, truncate, (0,) * 6) == refuse()
    assert verdict(architecture, "truncate") == ALLOW


def test_an_empty_program_allows() -> None:
    program = Program()
    program.end(ALLOW)
    assert execute(program.bytes(), 0, 1, (0,) * 6) == ALLOW


# The real kernel.


def enter_filter() -> None:
    assert ARCHITECTURE is not None
    seccomp.session_filter(ARCHITECTURE, os.getpid(), landlock.abi()).install()


REFUSED_CALLS = [
    "socket",
    "connect",
    "bind",
    "listen",
    "sendmsg",
    "io_uring_setup",
    "ptrace",
    "process_vm_readv",
    "pidfd_open",
    "pidfd_getfd",
    "pidfd_send_signal",
    "userfaultfd",
    "bpf",
    "perf_event_open",
    "keyctl",
    "add_key",
    "request_key",
    "execve",
    "execveat",
    "unshare",
    "setns",
    "mount",
    "umount2",
    "chroot",
    "fsopen",
    "memfd_create",
    "memfd_secret",
    "shmget",
    "msgget",
    "semget",
    "mq_open",
    "inotify_init1",
    "fanotify_init",
    "name_to_handle_at",
    "open_by_handle_at",
    "kcmp",
    "fchmod",
    "fchmodat",
    "fchownat",
    "utimensat",
    "setxattr",
    "capset",
    "seccomp",
    "setuid",
    "quotactl",
    "personality",
    "kexec_load",
    "init_module",
    "reboot",
    "sethostname",
    "acct",
    "syslog",
]


@needs_architecture
def test_the_kernel_refuses_what_the_list_names() -> None:
    def body() -> dict[str, str]:
        enter_filter()
        return {name: errno_of(functools.partial(syscall, number(name), 0, 0, 0, 0, 0)) for name in REFUSED_CALLS}

    assert in_child(body) == dict.fromkeys(REFUSED_CALLS, "EPERM")


@needs_architecture
def test_forks_end_and_threads_go_on() -> None:
    def body() -> list[Any]:
        enter_filter()
        seen: list[int] = []
        thread = threading.Thread(target=lambda: seen.append(1))
        thread.start()
        thread.join()
        return [errno_of(os.fork), errno_of(lambda: os.posix_spawn("/bin/true", ["true"], {})), seen]

    assert in_child(body) == ["EPERM", "EPERM", [1]]


@needs_architecture
def test_signals_reach_itself_only() -> None:
    def body() -> list[str]:
        enter_filter()
        parent = os.getppid()
        return [
            errno_of(lambda: os.kill(os.getpid(), 0)),
            errno_of(lambda: os.kill(parent, 0)),
            errno_of(lambda: os.kill(-1, 0)),
            errno_of(lambda: os.kill(1, 0)),
            errno_of(lambda: syscall(number("tgkill"), parent, parent, 0)),
            errno_of(lambda: resource.prlimit(parent, resource.RLIMIT_NOFILE)),
            errno_of(lambda: os.sched_setaffinity(parent, {0})),
            errno_of(lambda: os.setpriority(os.PRIO_USER, 0, 5)),
            errno_of(lambda: os.nice(1)),
        ]

    assert in_child(body) == ["", "EPERM", "EPERM", "EPERM", "EPERM", "EPERM", "EPERM", "EPERM", ""]


@needs_architecture
def test_signals_by_way_of_a_file_are_refused_too() -> None:
    def body() -> list[str]:
        enter_filter()
        reader, _ = os.pipe()
        parent = os.getppid()
        owner = struct.pack("i", parent)
        return [
            errno_of(lambda: fcntl.fcntl(reader, fcntl.F_SETOWN, parent)),
            errno_of(lambda: fcntl.fcntl(reader, 10, int(signal.SIGKILL))),
            errno_of(lambda: fcntl.ioctl(reader, 0x8901, owner)),
            errno_of(lambda: fcntl.ioctl(reader, 0x5412, b"x")),
            errno_of(lambda: fcntl.fcntl(reader, fcntl.F_GETFL)),
        ]

    assert in_child(body) == ["EPERM", "EPERM", "EPERM", "EPERM", ""]


@needs_architecture
def test_a_pair_of_streams_works_and_no_other_socket_does() -> None:
    def body() -> list[str]:
        enter_filter()
        ours, theirs = socket.socketpair()
        ours.send(b"x")
        answer = theirs.recv(1).decode()
        families = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK, 40, 38, 17)
        refusals = {errno_of(functools.partial(socket.socket, family)) for family in families}
        datagram = errno_of(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
        return [answer, *refusals, datagram]

    assert in_child(body) == ["x", "EPERM", "EPERM"]


@needs_architecture
def test_what_keeps_a_session_in_hand_cannot_be_undone() -> None:
    def body() -> list[str]:
        enter_filter()
        prctl = number("prctl")
        return [errno_of(functools.partial(syscall, prctl, option, 0, 0, 0, 0)) for option in (1, 4, 36)]

    assert in_child(body) == ["EPERM"] * 3


@needs_architecture
def test_the_zygotes_own_filter_lets_it_fork_and_signal_but_not_reach_out() -> None:
    def body() -> list[Any]:
        assert ARCHITECTURE is not None
        seccomp.zygote_filter(ARCHITECTURE).install()
        child = os.fork()
        if child == 0:
            signal.pause()
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        refused = [
            errno_of(functools.partial(syscall, number(name), 0, 0, 0)) for name in ("socket", "execve", "ptrace")
        ]
        return [os.WTERMSIG(status), *refused]

    assert in_child(body) == [9, "EPERM", "EPERM", "EPERM"]


@needs_landlock
def test_landlock_leaves_the_own_folder_and_the_libraries(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    for folder in (own, other):
        folder.mkdir()
        (folder / "file").write_text("x")

    def body() -> dict[str, str]:
        rules = landlock.open_rules(libraries.readable(), landlock.READ)
        rules += landlock.open_rules([own], landlock.SCRATCH)
        rules += landlock.open_rules(["/dev/null"], landlock.READ_FILE | landlock.WRITE_FILE)
        landlock.restrict(rules, landlock.abi())
        (own / "inner").mkdir()
        (own / "inner" / "new").write_text("y")
        (own / "inner" / "new").rename(own / "moved")
        (own / "way").symlink_to(other / "file")
        attempts: dict[str, Callable[[], Any]] = {
            "own read": lambda: (own / "moved").read_text(),
            "own link": lambda: (own / "l").symlink_to("moved"),
            "library": lambda: Path(os.__file__).read_bytes(),
            "null": lambda: Path("/dev/null").write_text("x"),
            "other read": lambda: (other / "file").read_text(),
            "other write": lambda: (other / "new").write_text("x"),
            "other list": lambda: os.listdir(other),
            "other truncate": lambda: os.truncate(other / "file", 0),
            "other remove": lambda: (other / "file").unlink(),
            "move out": lambda: (own / "moved").rename(other / "moved"),
            "link in": lambda: os.link(other / "file", own / "stolen"),
            "through a link": lambda: (own / "way").read_text(),
            "passwd": lambda: Path("/etc/passwd").read_text(),
            "environ": lambda: Path("/proc/self/environ").read_bytes(),
            "library write": lambda: os.open(os.__file__, os.O_WRONLY),
            "device": lambda: os.mknod(own / "dev", 0o020666, os.makedev(1, 1)),
        }
        return {name: errno_of(attempt) for name, attempt in attempts.items()}

    outcome = in_child(body)
    for name in ("own read", "own link", "library", "null"):
        assert outcome.pop(name) == "", name
    if landlock.abi() < 3:
        outcome.pop("other truncate")
    assert {name: code for name, code in outcome.items() if code not in ("EACCES", "EXDEV", "EPERM")} == {}
    assert (other / "file").read_text() == "x"


@pytest.mark.skipif(landlock.abi() < 6, reason="this kernel's Landlock does not scope signals")
def test_landlock_keeps_signals_inside_its_domain() -> None:
    def body() -> list[str]:
        parent = os.getppid()
        before = errno_of(lambda: os.kill(parent, 0))
        landlock.restrict([], landlock.abi())
        return [before, errno_of(lambda: os.kill(parent, 0)), errno_of(lambda: os.kill(os.getpid(), 0))]

    assert in_child(body) == ["", "EPERM", ""]


@needs_landlock
def test_an_outer_domain_still_signals_and_inspects_an_inner_one() -> None:
    def body() -> list[Any]:
        proc = landlock.open_rules(["/proc"], landlock.READ | landlock.WRITE_FILE)
        landlock.restrict(proc, landlock.abi())
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            landlock.restrict([], landlock.abi())
            os.write(writer, b"x")
            signal.pause()
        os.read(reader, 1)
        seen = bool(Path(f"/proc/{child}/smaps_rollup").read_text()) and bool(os.listdir(f"/proc/{child}/fd"))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        return [seen, os.WTERMSIG(status)]

    assert in_child(body) == [True, 9]


def test_limits_hold_and_capabilities_are_gone() -> None:
    def body() -> list[Any]:
        privileges.limit_resources(1_000_000)
        privileges.drop_capabilities(keep_reading=False)
        status = Path("/proc/self/status").read_text()
        effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
        raised = False
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
            raised = True
        except (ValueError, OSError):
            pass
        return [int(effective, 16), resource.getrlimit(resource.RLIMIT_FSIZE), raised]

    assert in_child(body) == [0, [1_000_000, 1_000_000], False]


def test_a_child_of_a_dead_parent_ends_itself() -> None:
    def body() -> int:
        child = os.fork()
        if child == 0:
            privileges.die_with_parent(os.getpid())
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert in_child(body) == 1


def test_the_users_own_folders_are_never_libraries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "lib")
    (tmp_path / "lib").mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    libraries.interpreter_folders.cache_clear()
    try:
        assert tmp_path / "lib" not in libraries.interpreter_folders()
        assert Path(os.__file__).resolve().parent in libraries.interpreter_folders()
    finally:
        libraries.interpreter_folders.cache_clear()


def test_a_system_call_that_fails_says_how() -> None:
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        syscall(number("fcntl") if ARCHITECTURE else 72, -1, 1, 0)
    assert caught.value.errno == errno.EBADF
    assert ctypes.get_errno() in (0, errno.EBADF)
