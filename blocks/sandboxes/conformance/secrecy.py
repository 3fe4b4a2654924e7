"""What a session may not learn: host and sibling files, environments, memory and descriptors."""

from __future__ import annotations

import secrets
import textwrap

from blocks.sandboxes.conformance.harness import (
    PRELUDE,
    SECRET_VARIABLE,
    Arena,
    answer,
    brief,
    check,
    expect,
    refused,
)
from blocks.sandboxes.session import Session

READERS = """
import io, mmap, pathlib, shutil
import numpy as np, pandas as pd


def by_mapping(path):
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)[:]


def by_link(path):
    os.symlink(path, "link")
    try:
        return open("link").read()
    finally:
        os.unlink("link")


def by_hard_link(path):
    os.link(path, "hard")
    try:
        return open("hard").read()
    finally:
        os.unlink("hard")


def by_climbing(path):
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        return os.read(os.open("../" * 30 + path.lstrip("/"), os.O_RDONLY, dir_fd=here), 100)
    finally:
        os.close(here)


def by_moving_there(path):
    os.chdir(os.path.dirname(path))
    return open(os.path.basename(path)).read()


def by_path_descriptor(path):
    handle = os.open(path, 0o10000000)  # O_PATH
    try:
        return os.read(os.open(f"/proc/self/fd/{handle}", os.O_RDONLY), 100)
    finally:
        os.close(handle)


READ = {
    "open": lambda path: open(path, "rb").read(100),
    "os.open": lambda path: os.read(os.open(path, os.O_RDONLY), 100),
    "update": lambda path: open(path, "r+b").read(100),
    "pathlib": lambda path: pathlib.Path(path).read_bytes(),
    "pandas": lambda path: pd.read_csv(path),
    "numpy": lambda path: np.fromfile(path, dtype="u1"),
    "mapping": by_mapping,
    "symlink": by_link,
    "hard link": by_hard_link,
    "climbing": by_climbing,
    "chdir": by_moving_there,
    "O_PATH": by_path_descriptor,
    "copy": lambda path: shutil.copyfile(path, "copy"),
}


def read_every_way(paths):
    home = os.getcwd()
    told = {}
    for path in paths:
        for way, read in READ.items():
            told[f"{way} {path}"] = tried(read, path)
            os.chdir(home)
    return told
"""


@check
async def host_files_cannot_be_read(arena: Arena) -> None:
    """No file of the host or the container outside the libraries can be opened, listed, mapped, linked or copied."""
    foreign = f"{arena.folder}/secret.txt"
    async with arena.scene() as scene:
        known = await scene.findings(
            READERS
            + """
paths = ["/etc/passwd", "/etc/hostname", "/proc/self/environ", "/proc/self/maps", f"/proc/{os.getppid()}/environ",
         f"/proc/{os.getppid()}/cmdline", f"/proc/{os.getppid()}/maps", "/proc/1/environ", "/proc/meminfo"]
told = read_every_way(paths)
for folder in ("/", "/etc", "/proc", "/root", "/tmp", "/home", "/dev", "/sys", "/var", os.path.dirname(os.getcwd())):
    told[f"list {folder}"] = tried(os.listdir, folder)
    told[f"scan {folder}"] = tried(lambda: list(os.scandir(folder)))
for device in ("/dev/mem", "/dev/kmsg", "/dev/tty", "/dev/ptmx", "/dev/fuse", "/dev/kvm", "/dev/vda", "/dev/sda"):
    if os.path.exists(device):
        told[f"device {device}"] = tried(os.open, device, os.O_RDONLY)
submit(told)
"""
        )
        # EXDEV: a hard link that leaves its file system never was a way in. EISDIR, ENOTDIR cannot happen here.
        refused(known, frozenset({"EXDEV"}))
        aimed = await scene.findings(
            READERS
            + f"""
submit(read_every_way([{foreign!r}, {str(arena.folder / "data.csv")!r}]))
"""
        )
        # In a container the host's path does not exist at all.
        refused(aimed, frozenset({"ENOENT", "EXDEV"}))
        expect(arena.secret not in repr(aimed), "the host's secret file was read")


@check
async def sibling_files_cannot_be_read(arena: Arena) -> None:
    """A sibling's scratch folder can be neither listed nor entered, and nothing in it can be opened by any way."""
    async with arena.scene() as scene:
        told = await scene.findings(
            READERS
            + """
told = read_every_way([SIBLING_SCRATCH + "/keepsake.txt"])
told["list"] = tried(os.listdir, SIBLING_SCRATCH)
told["list above"] = tried(os.listdir, os.path.dirname(SIBLING_SCRATCH))
told["create"] = tried(open, SIBLING_SCRATCH + "/mine", "w")
told["append"] = tried(open, SIBLING_SCRATCH + "/keepsake.txt", "a")
told["truncate"] = tried(os.truncate, SIBLING_SCRATCH + "/keepsake.txt", 0)
told["unlink"] = tried(os.unlink, SIBLING_SCRATCH + "/keepsake.txt")
told["steal"] = tried(os.rename, SIBLING_SCRATCH + "/keepsake.txt", "stolen")
told["replace"] = tried(lambda: (open("fake", "w").close(), os.rename("fake", SIBLING_SCRATCH + "/keepsake.txt")))
told["move all"] = tried(os.rename, SIBLING_SCRATCH, SIBLING_SCRATCH + "2")
told["cwd"] = tried(os.listdir, f"/proc/{SIBLING}/cwd")
told["root"] = tried(os.listdir, f"/proc/{SIBLING}/root")
submit(told)
"""
        )
        refused(told, frozenset({"EXDEV"}))


@check
async def environments_hold_no_secret(arena: Arena) -> None:
    """Neither the host's environment nor a sibling's is seen, through Python, through C or through /proc."""
    async with arena.scene() as scene:
        told = await scene.findings(
            f"""
            _libc.getenv.restype = ctypes.c_char_p
            environ = ctypes.POINTER(ctypes.c_char_p).in_dll(_libc, "environ")
            held, index = [], 0
            while environ and environ[index]:
                held.append(environ[index].decode(errors="replace"))
                index += 1
            submit({{
                "names": sorted(os.environ), "all": repr(dict(os.environ)) + repr(held),
                "secret": _libc.getenv({SECRET_VARIABLE.encode()!r}),
                "proc": {{str(pid): tried(lambda: open(f"/proc/{{pid}}/environ", "rb").read())
                         for pid in ("self", 1, os.getppid(), SIBLING)}},
            }})
            """
        )
        expect(told["secret"] is None and arena.secret not in told["all"], "the host's secret is in the environment")
        tokens = [sibling.token for sibling in scene.siblings]
        expect(not any(token in told["all"] for token in tokens), "a sibling's variable is in the environment")
        names = told["names"]
        telling = [name for name in names if any(word in name for word in ("KEY", "TOKEN", "SECRET", "PREFECT"))]
        expect(not telling and len(names) < 30, f"the environment is not the fixed small one: {names}")
        refused(told["proc"])


@check
async def memory_of_others_cannot_be_touched(arena: Arena) -> None:
    """A living sibling's and the zygote's memory can be neither read nor written, at an address that is known."""
    async with arena.scene() as scene:
        told = await scene.findings(
            """
            vm_readv, vm_writev, ptrace = (310, 311, 101) if X86 else (270, 271, 117)

            class Span(ctypes.Structure):
                _fields_ = [("start", ctypes.c_void_p), ("length", ctypes.c_size_t)]

            mine = ctypes.create_string_buffer(16)
            here, there = Span(ctypes.addressof(mine), 16), Span(SIBLING_SECRET_AT, 16)
            told = {}
            for pid in (SIBLING, OTHER, os.getppid()):
                told[f"readv {pid}"] = raw(vm_readv, pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
                told[f"writev {pid}"] = raw(vm_writev, pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
                for name, request in (("attach", 16), ("seize", 0x4206)):
                    told[f"ptrace {name} {pid}"] = raw(ptrace, request, pid, 0, 0)
                for name in ("mem", "maps", "smaps", "auxv", "stack", "clear_refs", "pagemap", "syscall"):
                    told[f"{name} {pid}"] = tried(open, f"/proc/{pid}/{name}", "rb")
                told[f"mem for writing {pid}"] = tried(open, f"/proc/{pid}/mem", "r+b")
                told[f"mem of a thread {pid}"] = tried(open, f"/proc/{pid}/task/{pid}/mem", "rb")
                told[f"oom_score_adj {pid}"] = tried(open, f"/proc/{pid}/oom_score_adj", "w")
            told["traceme"] = raw(ptrace, 0, 0, 0, 0)
            told["own mem"] = tried(open, "/proc/self/mem", "r+b")
            told["own oom_score_adj"] = tried(open, "/proc/self/oom_score_adj", "w")
            submit(told)
            """
        )
        refused(told)


LEAVE_A_TRACE = """
kept = "{token}-variable"
print("{token}-printed", flush=True)
note("step", "{token}-noted", code_line="{token}-line")
submit({{"answer": "{token}-submitted"}})
"{token}-shown"
"""

SEARCH = (
    PRELUDE
    + """
import gc, types

# Put together at run time, so that this cell's own text does not hold the word.
NEEDLE = "".join(HALVES)
needle = NEEDLE.encode()
control = bytearray(needle + b"-control")
own = {id(NEEDLE), id(needle), id(control), id(globals())}
found = []


def seen(thing):
    if isinstance(thing, str):
        return NEEDLE in thing
    if isinstance(thing, (bytes, bytearray, memoryview)):
        return needle in bytes(thing)
    return False


frame, depth = sys._getframe().f_back, 0
while frame is not None:
    for name, value in list(frame.f_locals.items()):
        if id(value) not in own and (seen(value) or seen(repr(value)[:100_000])):
            found.append(f"frame {frame.f_code.co_name}.{name}")
    frame = frame.f_back
for thing in gc.get_objects():
    for held in gc.get_referents(thing):
        if id(held) not in own and seen(held):
            found.append(f"object {type(thing).__name__}")

# Raw memory: a write() of unmapped memory to a pipe answers EFAULT, so any address may be tried.
reading, writing = os.pipe()
PAGE = 4096


def page(address):
    got = _libc.write(writing, ctypes.c_void_p(address), ctypes.c_size_t(PAGE))
    return os.read(reading, PAGE) if got == PAGE else None


_libc.write.restype = ctypes.c_ssize_t
_libc.sbrk.restype = ctypes.c_void_p
# The C library's heap, and every block of addresses in which any Python object lives.
BLOCK = 2**20
blocks, known, layer = set(), set(), [sys.modules, *gc.get_objects()]
# Through references, because the collector does not list what was frozen before the fork.
while layer and len(known) < 1_000_000:
    layer = [thing for thing in gc.get_referents(*layer) if id(thing) not in known]
    known.update(map(id, layer))
    blocks.update(id(thing) // BLOCK for thing in layer)
top = _libc.sbrk(0) // BLOCK
blocks = {near for block in blocks for near in range(block - 2, block + 3)} | set(range(top - 256, top + 1))
read = hits = 0
deadline = time.monotonic() + 150
for block in sorted(blocks):
    for address in range(block * BLOCK, (block + 1) * BLOCK, PAGE):
        if time.monotonic() > deadline:
            break
        content = page(address)
        if content is not None:
            read += 1
            mark = content.find(needle)
            while mark != -1:
                # Without an ending it is this search's own copy of the word; the endings were given by the sibling.
                ending = content[mark + len(needle):mark + len(needle) + 10]
                if ending.startswith(b"-control"):
                    hits += 1
                elif ending[:1] == b"-":
                    found.append(f"memory ...{ending!r}")
                mark = content.find(needle, mark + 1)
"""
)


@check
async def nothing_of_a_finished_sibling_is_inherited(arena: Arena) -> None:
    """A session opened or reset later finds no trace of what a sibling wrote, printed, noted or submitted.

    The later session looks where a fork could have inherited it: the frames below its own, every object the garbage
    collector knows, and the raw memory of its heap.
    """
    token = secrets.token_hex(16)
    half = len(token) // 2
    async with arena.scene() as scene:
        later = scene.attacker
        async with await arena.sandbox.session() as gold:
            for _ in range(3):
                result = await gold.run(LEAVE_A_TRACE.format(token=token))
                expect(result.status == "ok" and result.submission, f"the sibling could not work: {brief(result)}")
            async with await arena.sandbox.session() as beside:
                await _search(beside, token[:half], token[half:])
        await later.reset()
        await _search(later, token[:half], token[half:])
        async with await arena.sandbox.session() as after:
            await _search(after, token[:half], token[half:])


async def _search(session: Session, first: str, second: str) -> None:
    """Search a session for the word made of two halves."""
    result = await session.run(f"HALVES = {[first, second]!r}\n{SEARCH}submit([read, hits, found])", timeout_s=200)
    expect(result.status == "ok" and result.submission is not None, f"the search did not end: {brief(result)}")
    read, hits, found = answer(result)
    expect(read > 500 and hits, f"the search cannot find its own word ({hits} hits in {read} pages)")
    expect(not found, f"a later session found a finished sibling's data: {found[:10]} ({len(found)} places)")


@check
async def descriptors_are_its_own(arena: Arena) -> None:
    """A session holds its own output and channel pipes and nothing else, and can take no descriptor of another."""
    async with arena.scene() as scene:
        listing = """
            import stat
            held = {}
            for number in range(4096):
                try:
                    told = os.fstat(number)
                except OSError:
                    continue
                kind = next(name for name in ("REG", "DIR", "CHR", "FIFO", "SOCK", "BLK", "LNK")
                            if getattr(stat, "S_IS" + name)(told.st_mode)) if stat.S_IFMT(told.st_mode) else "ANON"
                held[str(number)] = [kind, told.st_dev, told.st_ino]
            """
        mine = await scene.findings(listing + "\n            submit(held)")
        theirs = await scene.siblings[0].session.run("import os\n" + textwrap.dedent(listing) + "submit(held)")
        others = {tuple(entry[1:]) for entry in answer(theirs).values() if entry[0] != "CHR"}
        kinds = [entry[0] for entry in mine.values()]
        expect(set(kinds) <= {"FIFO", "CHR", "SOCK"}, f"a session holds strange descriptors: {mine}")
        expect(len(mine) <= 8, f"a session holds more descriptors than its own channel needs: {mine}")
        shared = [n for n, entry in mine.items() if entry[0] != "CHR" and tuple(entry[1:]) in others]
        expect(not shared, f"descriptors {shared} are open in a sibling too")
        told = await scene.findings(
            """
            pidfd_open, pidfd_getfd = 434, 438
            told = {}
            for pid in (SIBLING, os.getppid()):
                told[f"list {pid}"] = tried(os.listdir, f"/proc/{pid}/fd")
                for number in (0, 1, 2, SIBLING_FD):
                    for mode in (os.O_RDONLY, os.O_WRONLY):
                        told[f"open fd {number} of {pid} {mode}"] = tried(os.open, f"/proc/{pid}/fd/{number}", mode)
                handle = syscall(pidfd_open, pid, 0)
                told[f"pidfd {pid}"] = raw(pidfd_open, pid, 0)
                handle = handle if isinstance(handle, int) else 0
                for number in (0, 1, 2, SIBLING_FD):
                    told[f"getfd {number} of {pid}"] = raw(pidfd_getfd, handle, number, 0)
            submit(told)
            """
        )
        refused(told)
