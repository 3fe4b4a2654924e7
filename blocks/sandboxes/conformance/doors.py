"""What a session may not open: sockets of any family, and the kernel's other interfaces."""

from __future__ import annotations

import asyncio

from blocks.sandboxes.conformance.harness import Arena, answer, brief, check, expect, refused
from blocks.sandboxes.models import CellResult

NO_SUCH_FAMILY = frozenset({"EAFNOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EINVAL"})


@check
async def no_socket_of_any_family_opens(arena: Arena) -> None:
    """Internet, unix (path and abstract), netlink, vsock, packet, bluetooth, AF_ALG and all others are refused."""
    async with arena.scene() as scene:
        told = await scene.findings(
            """
            import itertools
            number = 41 if X86 else 198
            told = {}
            for family, kind in itertools.product(range(1, 47), (1, 2, 3, 5)):
                told[f"{family} {kind}"] = raw(number, family, kind, 0)
            submit(told)
            """
        )
        common = {str(family) for family in (1, 2, 10, 16, 17, 38, 40)}
        refused({name: error for name, error in told.items() if name.split()[0] in common})
        refused({name: error for name, error in told.items() if name.split()[0] not in common}, NO_SUCH_FAMILY)
        python = await scene.findings(
            """
            import socket
            told = {
                "inet": tried(socket.socket, socket.AF_INET, socket.SOCK_STREAM),
                "inet6": tried(socket.socket, socket.AF_INET6, socket.SOCK_DGRAM),
                "unix": tried(socket.socket, socket.AF_UNIX, socket.SOCK_STREAM),
                "connect": tried(socket.create_connection, ("127.0.0.1", 9), 1),
                "serve": tried(socket.create_server, ("127.0.0.1", 0)),
                "alg": tried(socket.socket, socket.AF_ALG, socket.SOCK_SEQPACKET),
                "vsock": tried(socket.socket, socket.AF_VSOCK, socket.SOCK_STREAM),
                "netlink": tried(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW),
                "packet": tried(socket.socket, socket.AF_PACKET, socket.SOCK_RAW),
            }
            submit(told)
            """
        )
        refused(python)


@check
async def a_socket_pair_leads_nowhere(arena: Arena) -> None:
    """The one socket asyncio needs, a pair, reaches no address: neither an abstract name, a path nor a datagram."""
    async with arena.scene() as scene:
        told = await scene.findings(
            """
            import socket
            told = {}
            names = [b"\\0trigpoint", b"\\0/tmp/.X11-unix/X0", "/run/docker.sock", "/var/run/docker.sock",
                     "/run/dbus/system_bus_socket", SIBLING_SCRATCH + "/s"]
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
                for name in names:
                    try:
                        one, two = socket.socketpair(socket.AF_UNIX, kind)
                    except OSError as failure:
                        told[f"pair {kind}"] = errno.errorcode[failure.errno]
                        break
                    told[f"connect {kind} {name}"] = tried(one.connect, name)
                    told[f"send {kind} {name}"] = tried(one.sendto, b"x", name)
                    told[f"bind {kind} {name}"] = tried(one.bind, name)
            for family in (socket.AF_INET, 30, 40):
                told[f"pair {family}"] = tried(socket.socketpair, family, socket.SOCK_STREAM)
            submit(told)
            """
        )
        # A connected pair says EISCONN to connect and sendto, EINVAL to a second bind; nothing may say DONE.
        useless = NO_SUCH_FAMILY | {"EISCONN", "ECONNREFUSED", "ENOENT", "EOPNOTSUPP", "EADDRINUSE", "EROFS", "ENOTDIR"}
        refused(told, useless)


@check
async def no_library_reaches_a_server(arena: Arena) -> None:
    """urllib, pandas, asyncio and ctypes cannot reach a server that listens on the host."""
    visits = 0

    async def visited(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal visits
        visits += 1
        writer.close()

    server = await asyncio.start_server(visited, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, arena.scene() as scene:
        told = await scene.findings(
            f"""
            import asyncio, http.client, urllib.request
            import pandas as pd
            url = "http://127.0.0.1:{port}/x.csv"
            async def dial():
                await asyncio.open_connection("127.0.0.1", {port})
            def ask():
                http.client.HTTPConnection("127.0.0.1", {port}, timeout=2).request("GET", "/")
            submit({{
                "urllib": tried(urllib.request.urlopen, url, timeout=2), "pandas": tried(pd.read_csv, url),
                "asyncio": tried(asyncio.run, dial()), "http": tried(ask),
            }})
            """
        )
        await asyncio.sleep(0.1)
        expect(not [name for name, error in told.items() if error.startswith("DONE")], f"a connection opened: {told}")
        expect(visits == 0, f"the host's server was reached {visits} times: {told}")


# Name to number on x86_64 and on aarch64 (-1: not there). Called with arguments that do no harm without a wall.
KERNEL_INTERFACES: dict[str, tuple[int, int]] = {
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "perf_event_open": (298, 241),
    "memfd_secret": (447, 447),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "chroot": (161, 51),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "sethostname": (170, 161),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "syslog": (103, 116),
    "acct": (163, 89),
    "iopl": (172, -1),
    "ioperm": (173, -1),
    "personality": (135, 92),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "inotify_init1": (294, 26),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "memfd_create": (319, 279),
}


@check
async def kernel_interfaces_are_closed(arena: Arena) -> None:
    """io_uring, bpf, userfaultfd, keyrings, perf, mounts, namespaces, modules, clocks, SysV IPC and the like refuse."""
    async with arena.scene() as scene:
        told = await scene.findings(
            f"""
            told = {{}}
            for name, pair in {KERNEL_INTERFACES!r}.items():
                number = pair[0 if X86 else 1]
                if number >= 0:
                    # Bad pointers, sizes and numbers: EFAULT or EINVAL, not a deed, where nothing refuses.
                    told[name] = raw(number, 1, 2**20 if name in ("sethostname", "kexec_load") else 0, 0, 0, 0, 0)
            told["personality of no randomness"] = raw({KERNEL_INTERFACES["personality"]}[0 if X86 else 1], 0x0040000)
            submit(told)
            """
        )
        refused(told)


@check
async def other_calling_conventions_are_closed(arena: Arena) -> None:
    """The 32-bit entry (int 0x80) and the x32 numbers open no socket and start no process that the filter forgot."""
    async with arena.scene() as scene:
        result = await scene.attack(
            """
            calls = (41, 57, 58, 101, 321, 425) if X86 else ()  # socket, fork, vfork, ptrace, bpf, io_uring_setup
            submit({"opened": [n for n in calls if raw(0x40000000 | n, 2, 1, 0).startswith("DONE")]})
            """
        )
        _none_opened(result)
        # mov eax, NUMBER; mov ebx, 2; mov ecx, 1; xor edx, edx; int 0x80; ret
        result = await scene.attack(
            """
            import mmap
            opened = []
            if X86:
                for number in (359, 2, 190, 26):  # socket, fork, vfork, ptrace of the 32-bit table
                    code = b"\\xb8" + number.to_bytes(4, "little") + bytes.fromhex("bb02000000b90100000031d2cd80c3")
                    page = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)  # and executable
                    page.write(b"\\x53" + code[:-1] + b"\\x5b\\xc3")  # rbx is the caller's
                    at = ctypes.addressof(ctypes.c_char.from_buffer(page))
                    done = ctypes.CFUNCTYPE(ctypes.c_int)(at)()
                    if done >= 0:
                        opened.append([number, done])
            submit({"opened": opened})
            """,
            timeout_s=45,
        )
        _none_opened(result)


def _none_opened(result: CellResult) -> None:
    """A strange call is refused, or ends its caller; it never succeeds."""
    if result.status == "ok":
        told = answer(result)
        expect(told == {"opened": []}, f"a call went past the filter: {told}")
    else:
        expect(result.status == "killed" and result.reason, f"a strange call ended in {brief(result)}")
