"""What a session may not write and not leave behind: files, metadata, shared memory, module state."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from blocks.sandboxes.conformance.harness import Arena, answer, brief, check, expect, refused

WRITERS = """
import pathlib, shutil, stat, tempfile

NAME = "trigpoint-conformance"


def through_symlink(folder):
    tried(os.unlink, "way")
    os.symlink(folder, "way")
    try:
        open("way/" + NAME, "w").close()
    finally:
        os.unlink("way")


def moved(folder):
    open("mine", "w").close()
    os.rename("mine", folder + "/" + NAME)


def unnamed(folder):
    os.close(os.open(folder, os.O_RDWR | os.O_TMPFILE, 0o600))


def climbed(folder):
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.mkdir("../" * 30 + folder.lstrip("/") + "/" + NAME, dir_fd=here)
    finally:
        os.close(here)


def created(folder):
    with tempfile.NamedTemporaryFile(dir=folder):
        pass


WRITE = {
    "open": lambda folder: open(f"{folder}/{NAME}", "w").close(),
    "mkdir": lambda folder: os.mkdir(f"{folder}/{NAME}"),
    "symlink": lambda folder: os.symlink("x", f"{folder}/{NAME}"),
    "hard link": lambda folder: (open("mine", "w").close(), os.link("mine", f"{folder}/{NAME}")),
    "fifo": lambda folder: os.mkfifo(f"{folder}/{NAME}"),
    "device": lambda folder: os.mknod(f"{folder}/{NAME}", stat.S_IFCHR | 0o666, os.makedev(1, 3)),
    "through a symlink": through_symlink,
    "move": moved,
    "unnamed file": unnamed,
    "climb": climbed,
    "tempfile": created,
    "csv": lambda folder: df.to_csv(f"{folder}/{NAME}"),
}


def write_every_way(folder):
    told = {}
    for way, write in WRITE.items():
        told[f"{way} {folder}"] = tried(write, folder)
        # Where no wall stands, nothing may stay behind either.
        if told[f"{way} {folder}"].startswith("DONE"):
            tried(os.unlink, f"{folder}/{NAME}")
            tried(os.rmdir, f"{folder}/{NAME}")
    return told


def change(path):
    # Each changes nothing where no wall stands: the same size, the same name, a folder that is not empty.
    return {
        f"append {path}": tried(lambda: open(path, "a").close()),
        f"update {path}": tried(lambda: open(path, "r+b").close()),
        f"truncate {path}": tried(lambda: os.truncate(path, os.path.getsize(path))),
        f"rename {path}": tried(os.rename, path, path),
        f"rmdir {path}": tried(os.rmdir, os.path.dirname(path)),
    }
"""


@check
async def nothing_outside_scratch_can_be_written(arena: Arena) -> None:
    """Home, /tmp, /dev/shm, /var/tmp, the parents of scratch, the libraries and the host's folder take no entry."""
    async with arena.scene() as scene:
        told = await scene.findings(
            WRITERS
            + """
import numpy
library = os.path.dirname(numpy.__file__)
scratch = os.getcwd()
folders = {"/", "/tmp", "/var/tmp", "/dev/shm", "/dev", "/home", "/root", "/etc", "/run", "/var", "/usr/lib", library,
           os.path.dirname(scratch), os.path.dirname(os.path.dirname(scratch)), os.path.dirname(os.__file__),
           HOST_FOLDER, "/proc", "/sys", "/dev/mqueue"}
told = {}
for folder in sorted(folder for folder in folders if os.path.isdir(folder)):
    told |= write_every_way(folder)
for path in (numpy.__file__, os.__file__, HOST_FOLDER + "/data.csv", HOST_FOLDER + "/secret.txt"):
    if os.path.exists(path):
        told |= change(path)
for name in ("/dev/sda", "/dev/vda", "/dev/mem", "/dev/kmsg", "/dev/tty"):
    if os.path.exists(name):
        told[f"device {name}"] = tried(lambda: os.close(os.open(name, os.O_WRONLY)))
submit(told)
"""
        )
        # EROFS: a read-only root is a wall too. EXDEV: a move between file systems never is a write.
        # EOPNOTSUPP: not every file system has unnamed files. /proc and /sys make no entries for anybody.
        real = {name: error for name, error in told.items() if " /proc" not in name and " /sys" not in name}
        refused(real, frozenset({"EROFS", "EXDEV", "EOPNOTSUPP", "ENOTSUP"}))
        written = [name for name, error in told.items() if error.startswith("DONE")]
        expect(not written, f"written outside of scratch: {written}")
    intact = (arena.folder / "secret.txt").read_text() == arena.secret and (arena.folder / "data.csv").stat().st_size
    expect(intact, "a host file was changed")


@check
async def metadata_outside_scratch_cannot_be_changed(arena: Arena) -> None:
    """Modes, owners, times and extended attributes of host files stay, whatever chmod and the like say."""
    targets = [arena.folder / "secret.txt", arena.folder]
    before = [_metadata(path) for path in targets]
    async with arena.scene() as scene:
        told = await scene.findings(
            """
            paths = [HOST_FOLDER + "/secret.txt", HOST_FOLDER]
            was = [tuple(os.stat(path))[:9] if os.path.exists(path) else None for path in paths]
            for path in paths:
                tried(os.chmod, path, 0o777)
                tried(os.chown, path, 12345, 12345)
                tried(os.lchown, path, 12345, 12345)
                tried(os.utime, path, (1, 1))
                tried(os.setxattr, path, "user.trigpoint", b"x")
                handle = None
                try:
                    handle = os.open(path, os.O_RDONLY)
                except OSError:
                    continue
                tried(os.fchmod, handle, 0o777)
                tried(os.fchown, handle, 12345, 12345)
                tried(os.utime, handle, (1, 1))
                tried(os.setxattr, handle, "user.trigpoint", b"x")
                os.close(handle)
            now = [tuple(os.stat(path))[:9] if os.path.exists(path) else None for path in paths]
            changed = []
            for path, old, new in zip(paths, was, now):
                # Access times move by reading.
                if old and old[:7] + old[8:] != new[:7] + new[8:]:
                    changed.append(path)
            submit({"changed": changed})
            """
        )
        expect(told["changed"] == [], f"metadata changed: {told['changed']}")
    expect([_metadata(path) for path in targets] == before, "metadata of a host file changed")


def _metadata(path: Path) -> tuple[object, ...]:
    """What chmod, chown, utime and setxattr would change."""
    told = path.stat()
    names = os.listxattr(path)
    return told.st_mode, told.st_uid, told.st_gid, told.st_mtime_ns, names


@check
async def nothing_is_left_for_the_next_session(arena: Arena) -> None:
    """Files, folders, shared memory, semaphores, queues and locks of a session are gone after a reset or a close."""
    leave = (
        WRITERS
        + """
import multiprocessing.shared_memory
for number in range(5):
    open(f"left{number}", "w").write("left")
os.makedirs("a/b/c")
tried(os.mkfifo, "pipe")
os.symlink("/tmp", "link")
os.makedirs("closed")
open("closed/file", "w").close()
os.chmod("closed", 0)
tempfile.mkdtemp()
def shared_memory():
    memory = multiprocessing.shared_memory.SharedMemory("trigpoint", True, 4096)
    memory.close()
    memory.unlink()
# Looked up, not made: ENOENT would say that nothing refuses.
told = {
    "shared memory": tried(shared_memory),
    "semaphore": tried(multiprocessing.Semaphore),
    "mqueue": raw(240 if X86 else 180, ctypes.c_char_p(b"trigpoint"), os.O_RDWR, 0o600, None),
    "shm": raw(29 if X86 else 194, 0x7419, 4096, 0o600),
    "sem": raw(64 if X86 else 190, 0x7419, 1, 0o600),
    "msg": raw(68 if X86 else 186, 0x7419, 0o600),
}
for folder in ("/tmp", "/var/tmp", "/dev/shm"):
    told[folder] = tried(created, folder)
submit(told)
"""
    )
    look = """
import os
held = {name: os.listdir(name) for name in [os.getcwd(), os.environ.get("TMPDIR", "."), os.path.expanduser("~")]}
submit([os.getcwd(), sorted({entry for entries in held.values() for entry in entries})])
"""
    async with arena.scene() as scene:
        await scene.attacker.run("1")
        first = await scene.attacker.run(look)
        born_with = answer(first)[1]
        expect(not [name for name in born_with if not name.startswith(".")], f"scratch is not empty: {born_with}")
        refused(await scene.findings(leave), frozenset({"EROFS"}))
        await scene.attacker.reset()
        again = await scene.attacker.run(look)
        expect(answer(again)[1] == born_with, f"left after a reset: {brief(again)}")
        await scene.findings(leave)
        async with await arena.sandbox.session() as other:
            seen = await other.run(look)
            expect(answer(seen)[1] == born_with, f"seen by another session: {brief(seen)}")
    place = answer(again)[0]
    if arena.runtime.name == "process":
        # A full folder is removed little by little, so that nobody waits for it.
        vanished = await asyncio.to_thread(_vanishes, place, 100.0)
        expect(vanished, f"the scratch folder {place} is still there after the close")


def _vanishes(folder: str, seconds: float) -> bool:
    """Whether a folder goes away in time."""
    deadline = time.monotonic() + seconds
    while os.path.exists(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not os.path.exists(folder)


@check
async def a_lost_session_leaves_nothing(arena: Arena) -> None:
    """After a session was killed, its successor starts with an empty scratch folder and an untouched dataset."""
    async with arena.scene() as scene:
        await scene.ends("open('left', 'w').write('x'); df['half'] = 0; mine = 1; os._exit(9)", "killed")
        told = await scene.findings(
            "submit({'files': os.listdir(), 'sum': df['half'].sum(), 'mine': 'mine' in globals()})"
        )
        files = [name for name in told["files"] if not name.startswith(".")]
        expect(not files and told["sum"] == 9950.0 and not told["mine"], f"a killed session left {told}")


@check
async def a_reset_forgets_everything(arena: Arena) -> None:
    """Changes to df, options, modules, builtins, random state, figures and variables end with the session."""
    read = """
import builtins, random, sys
submit([
    list(df.columns), float(df["half"].sum()), pd.get_option("display.max_rows"), sorted(set(dir(builtins))),
    np.random.random(), random.random(), plt.get_fignums(), "mine" in globals(), len(np.__doc__ or ""),
    "conformance_module" in sys.modules, pd.DataFrame.sum.__name__, pd.DataFrame.sum.__module__,
])
"""
    spoil = """
import builtins, sys, types, warnings
df.drop(columns=["half"], inplace=True)
df.loc[:, "n"] = -1
df.columns = [c.upper() for c in df.columns]
pd.set_option("display.max_rows", 3)
builtins.conformance = 1
np.random.seed(5); np.random.random()
plt.figure()
mine = 1
np.__doc__ = ""
sys.modules["conformance_module"] = types.ModuleType("conformance_module")
pd.DataFrame.sum = lambda self: 0
warnings.simplefilter("error")
"""
    async with arena.scene() as scene:
        session = scene.attacker
        await session.reset()
        first = await session.run(read)
        expect(first.submission is not None, brief(first))
        await session.run(spoil)
        await session.reset()
        second = await session.run(read)
        expect(second.submission is not None, brief(second))
        expect(first.submission == second.submission, f"a reset session differs: {second.submission}")
