"""Bombs: processes, threads, memory, disk, descriptors, output and recursion without end."""

from __future__ import annotations

import asyncio

from blocks.sandboxes.conformance.harness import LIMITS, Arena, answer, brief, check, expect, refused, snippets

FORKS = {
    "fork": "[os.fork() or time.sleep(3) or os._exit(0) for _ in range(6)]",
    "forkpty": "os.forkpty()[0] or os._exit(0)",
    "subprocess": "__import__('subprocess').run(['/bin/sleep', '1'])",
    "system": "0 if os.system('true') != 0x7f00 and os.system('true') != -1 else 1 / 0",
    "popen": "os.popen('true').read()",
    "posix_spawn": "os.posix_spawn(sys.executable, [sys.executable, '-c', '1'], {})",
    "execv": "os.execv(sys.executable, [sys.executable, '-c', '1'])",
    "multiprocessing": "multiprocessing.get_context('fork').Process(target=time.sleep, args=(1,)).start()",
    "spawn": "multiprocessing.get_context('spawn').Process(target=time.sleep, args=(1,)).start()",
    "pool": "multiprocessing.Pool(2).map(abs, [1, 2])",
    "executor": "__import__('concurrent.futures').futures.ProcessPoolExecutor(2).submit(time.sleep, 1)",
}


@check
async def no_process_can_be_started(arena: Arena) -> None:
    """fork, vfork, clone, spawn, exec and everything built on them are refused, so neither bombs nor daemons exist."""
    async with arena.scene() as scene:
        attempts = "\n".join(f"told[{name!r}] = tried(lambda: {code})" for name, code in FORKS.items())
        told = await scene.findings(
            f"import multiprocessing\ntold = {{}}\n{attempts}\n"
            + """
SIGCHLD = 17
me = os.getpid()

def born(*call):
    done = raw(*call)
    return os._exit(0) if os.getpid() != me else done

if X86:
    told["fork call"] = born(57)
    told["vfork call"] = born(58)
    told["clone call"] = born(56, SIGCHLD, 0, 0, 0, 0)
    told["clone sharing memory"] = born(56, SIGCHLD | 0x100 | 0x4000, 0, 0, 0, 0)
else:
    told["clone call"] = born(220, SIGCHLD, 0, 0, 0, 0)
told["clone3"] = born(435, ctypes.create_string_buffer(bytes(32) + SIGCHLD.to_bytes(8, "little") + bytes(48)), 88)
told["execveat"] = raw(322 if X86 else 281, -100, ctypes.c_char_p(b"/bin/true"), None, None, 0)
told["double fork"] = tried(lambda: os.fork() or (os.setsid(), os.fork(), os._exit(0)))
submit(told)
"""
        )
        # The last: what system() and the executor say when fork was refused to them.
        refused(told, frozenset({"ZeroDivisionError", "BrokenProcessPool"}))


# Bounded, so that it harms no machine on which a wall is missing.
FORK_BOMB = """
for _ in range(150):
    if os.fork() == 0:
        time.sleep(5)
        os._exit(0)
"""


@check
async def a_fork_bomb_is_an_error(arena: Arena) -> None:
    """Code that forks without looking ends in an ordinary error, the variables kept."""
    async with arena.scene() as scene:
        await scene.attack("kept = 5")
        result = await scene.ends(FORK_BOMB, "error")
        expect(result.error is not None and result.error.name == "PermissionError", brief(result))
        expect(result.namespace_kept and (await scene.attacker.run("kept")).value == "5", brief(result))


@check
async def a_thread_bomb_is_stopped(arena: Arena) -> None:
    """More threads than allowed end in an error or a kill that names threads; a few threads are honest work."""
    async with arena.scene() as scene:
        honest = await scene.ends(
            """
            import threading
            done = []
            workers = [threading.Thread(target=lambda n=n: done.append(n * n)) for n in range(8)]
            [worker.start() for worker in workers]
            [worker.join() for worker in workers]
            submit(sorted(done))
            """,
            "ok",
        )
        expect(answer(honest) == [n * n for n in range(8)], brief(honest))
        result = await scene.ends(
            """
            import threading
            for _ in range(600):
                threading.Thread(target=time.sleep, args=(20,), daemon=True).start()
            time.sleep(10)
            """,
            "error",
            "killed",
        )
        told = result.reason + (result.error.message if result.error else "")
        expect("thread" in told.lower(), f"the result does not name threads: {brief(result)}")
        await scene.attacker.reset()


MEMORY = snippets(
    r"""
### numpy
held = [np.ones(2**22) for _ in range(80)]
### one array
held = np.ones(2**28)
### bytearray
held = bytearray()
while len(held) < 2**31: held += bytes(2**20)
### many small
held = []
while len(held) < 4 * 10**7: held.append([len(held)])
### text
held = 'x' * 2**31
### join
held = pd.concat([df] * 200_000)
### threads
import threading
held = []
grab = lambda: held.extend(np.ones(2**20) for _ in range(60))
workers = [threading.Thread(target=grab) for _ in range(4)]
[w.start() for w in workers]; [w.join() for w in workers]
### shared mapping
import mmap
held = []
for _ in range(64):
    page = mmap.mmap(-1, 2**25)
    page.write(b'x' * 2**25)
    held.append(page)
### hidden pages
import mmap
zero = open('/dev/zero', 'r+b')
held = []
for _ in range(64):
    page = mmap.mmap(zero.fileno(), 2**25)
    page.write(b'x' * 2**25)
    # No page is mapped any more, yet all stay allocated.
    page.madvise(mmap.MADV_DONTNEED)
    held.append(page)
### memory file
held = os.memfd_create('held')
for _ in range(2048):
    os.write(held, bytes(2**20))
### repr
class Loud:
    def __repr__(self): return 'x' * 2**31
Loud()
"""
)
SHARED = {"shared mapping", "hidden pages", "memory file"}


@check
async def a_memory_bomb_is_told_as_memory(arena: Arena) -> None:
    """Memory taken in any way, past the ceiling of a session, ends as `memory`; the siblings' memory is untouched."""
    async with arena.scene() as scene:
        for name, code in MEMORY.items():
            # What it holds, it holds until somebody has looked.
            result = await scene.attack(code if name == "repr" else code + "\ntime.sleep(20)", timeout_s=60)
            # Memory that belongs to no process may be refused at once.
            fair = ("memory", "error") if name in SHARED else ("memory",)
            expect(result.status in fair, f"{name}: {brief(result)}")
            expect(result.reason or result.error, f"{name}: no reason is given")
            await scene.answers_again()


@check
async def an_impossible_allocation_keeps_the_namespace(arena: Arena) -> None:
    """An allocation the kernel refuses is told as `memory` and costs no variables."""
    async with arena.scene() as scene:
        await scene.attack("kept = 5")
        result = await scene.ends("np.ones(2**50)", "memory")
        expect(result.namespace_kept and result.error is not None, brief(result))
        expect((await scene.attacker.run("kept")).value == "5", brief(result))
        # Address space that is only reserved is no memory: OpenBLAS and numpy do it all the time.
        await scene.ends("held = np.empty(2**28); held[:10] = 1; float(held[:10].sum())", "ok")


@check
async def work_under_the_ceiling_is_left_alone(arena: Arena) -> None:
    """A session may use most of its memory; the peak it is told is about what it used."""
    async with arena.scene() as scene:
        used = LIMITS.memory_bytes // 2
        result = await scene.ends(f"held = np.ones({used} // 8); float(held.sum()); del held", "ok")
        expect(0.8 * used < result.peak_bytes < 1.6 * used, f"{used} bytes were used: {brief(result)}")
        small = await scene.attack("sum(range(1000))")
        expect(small.peak_bytes < used // 2, f"the peak of an earlier cell sticks: {brief(small)}")


DISK = snippets(
    r"""
### one file
file = open('big', 'wb')
for _ in range(200): file.write(bytes(2**20)); file.flush()
### many files
for n in range(200): open(f'part{n}', 'wb').write(bytes(2**20))
### unlinked
held = []
for n in range(200):
    held.append(open('gone', 'wb'))
    os.unlink('gone')
    held[-1].write(bytes(2**20)); held[-1].flush()
### deep
for n in range(200): os.mkdir('d'); os.chdir('d'); open('f', 'wb').write(bytes(2**20))
### entries
for n in range(60_000): open(f'e{n}', 'w').close()
### folders
for n in range(60_000): os.mkdir(f'd{n}')
### reserved
file = open('r', 'wb')
os.posix_fallocate(file.fileno(), 0, 200 * 2**20)
### mapped
import mmap
file = open('m', 'w+b')
file.truncate(15 * 2**20)
for n in range(20):
    other = open(f'm{n}', 'w+b')
    other.truncate(15 * 2**20)
    mmap.mmap(other.fileno(), 0).write(b'x' * 15 * 2**20)
"""
)


@check
async def a_full_disk_is_the_writers_own(arena: Arena) -> None:
    """Filling scratch, with bytes, entries or unlinked files, ends in an OSError or a kill that names the folder."""
    async with arena.scene() as scene:
        for name, code in DISK.items():
            result = await scene.attack(code + "\ntime.sleep(20)", timeout_s=60)
            expect(result.status in ("error", "killed"), f"{name}: {brief(result)}")
            if result.status == "error":
                expect(result.error is not None and "OSError" in result.error.name, f"{name}: {brief(result)}")
            else:
                told = result.reason.lower()
                expect("scratch" in told or "disk" in told or "files" in told, f"{name}: {brief(result)}")
            await scene.attacker.reset()
            fine = await scene.attacker.run("open('small', 'wb').write(bytes(2**20))")
            expect(fine.status == "ok", f"after {name} the folder is still full: {brief(fine)}")


@check
async def a_descriptor_flood_is_an_error(arena: Arena) -> None:
    """Opening files without end is an ordinary error, and the next cell can open one again."""
    async with arena.scene() as scene:
        result = await scene.ends("while True:\n    os.pipe()", "error")
        expect(result.error is not None and "OSError" in result.error.name, brief(result))
        await scene.attacker.reset()
        await scene.ends("open('again', 'w').close()", "ok")


FLOODS = snippets(
    r"""
### lines
for n in range(200_000): print('x' * 99)
### one line
import sys
sys.stdout.write('y' * 20_000_000)
### raw
for n in range(320): os.write(1, b'z' * 62_500)
### one write
data = b'q' * 20_000_000
while data: data = data[os.write(1, data):]
### two at once
import threading
pour = lambda: [os.write(1, b't' * 10_000) for _ in range(500)]
workers = [threading.Thread(target=pour) for _ in range(4)]
[w.start() for w in workers]; [w.join() for w in workers]
"""
)


@check
async def a_flood_of_output_never_stalls(arena: Arena) -> None:
    """20 MB of output in any shape ends as `ok`: head and tail kept, every byte cut out of the middle counted."""
    async with arena.scene() as scene:
        for name, code in FLOODS.items():
            result = await scene.attack("print('HEAD')\n" + code + "\nprint('TAIL')", timeout_s=60)
            expect(result.status == "ok", f"{name}: {brief(result)}")
            expect(result.stdout.startswith("HEAD\n") and result.stdout.endswith("TAIL\n"), f"{name}: {brief(result)}")
            kept = LIMITS.output_head_bytes + LIMITS.output_tail_bytes
            expect(len(result.stdout) <= kept + 200, f"{name}: {len(result.stdout)} characters were kept")
            whole = 20_000_000 + len("HEAD\nTAIL\n")
            cut = result.stdout_dropped
            expect(abs(whole - cut - kept) <= 16, f"{name}: {cut} of {whole} bytes dropped")
            expect(str(cut) in result.stdout, f"{name}: the cut is not marked")
        both = await scene.attack("for n in range(50_000): print('o' * 99); os.write(2, b'e' * 99 + b'\\n')")
        expect(both.status == "ok" and both.stdout_dropped and both.stderr_dropped, brief(both))
        expect(both.stdout.endswith("o\n") and both.stderr.endswith("e\n"), brief(both))


@check
async def an_endless_flood_ends_by_the_clock(arena: Arena) -> None:
    """Output without end, from the main thread or another, ends as `timeout` with its head and tail."""
    async with arena.scene() as scene:
        for code in (
            "while True: print('x' * 1000)",
            "import threading\n"
            "def flood():\n    while True: os.write(1, b'x' * 65536)\n"
            "threading.Thread(target=flood, daemon=True).start()\nwhile True: time.sleep(1)",
        ):
            for timeout_s in (1.0, 15.0):
                result = await scene.ends(code, "timeout", timeout_s=timeout_s)
                # Else the time may have been over before the flood had risen.
                if result.stdout_dropped:
                    break
                await scene.attacker.reset()
            expect(result.stdout.startswith("xxx") and result.stdout_dropped > 0, brief(result))
            await scene.attacker.reset()


RECURSION = snippets(
    r"""
### python
def f(n): return n if n > 4 * 10**6 else f(n + 1)
f(0)
### method
class A:
    def __getattr__(self, name): return getattr(self, name + 'x')
A().b
### json
import json
x = []
for _ in range(100_000): x = [x]
json.dumps(x)
### repr
x = []
for _ in range(100_000): x = [x]
repr(x)
### pickle
import pickle
x = []
for _ in range(100_000): x = [x]
pickle.dumps(x)
### deepcopy
import copy
x = []
for _ in range(100_000): x = [x]
copy.deepcopy(x)
### compile
eval('(' * 100_000 + ')' * 100_000)
### shown
x = []
for _ in range(100_000): x = [x]
x
"""
)


@check
async def deep_recursion_is_an_error(arena: Arena) -> None:
    """Python and C recursion past the interpreter's limit is an error with the variables kept."""
    async with arena.scene() as scene:
        for name, code in RECURSION.items():
            result = await scene.attack("kept = 5\n" + code)
            expect(result.status == "error" and result.error is not None, f"{name}: {brief(result)}")
            assert result.error is not None
            expect(result.error.name in ("RecursionError", "SyntaxError", "MemoryError"), f"{name}: {brief(result)}")
            expect(len(result.error.traceback) < 50_000, f"{name}: a traceback of {len(result.error.traceback)}")
            expect((await scene.attacker.run("kept")).value == "5", f"{name}: the variables are gone")


@check
async def recursion_without_a_limit_is_told_truly(arena: Arena) -> None:
    """With the limit lifted, recursion ends in an error, as memory, or as a kill that names the fault."""
    lifted = "import sys\nsys.setrecursionlimit(2**30)\n"
    async with arena.scene() as scene:
        for name in ("python", "repr", "json", "pickle"):
            code = lifted + RECURSION[name].replace("100_000", "3_000_000")
            result = await scene.attack(code, timeout_s=60)
            expect(result.status in ("error", "memory", "killed"), f"{name}: {brief(result)}")
            if result.status == "killed":
                expect("segmentation" in result.reason.lower(), f"{name}: the reason does not say it: {result.reason}")
            await scene.attacker.reset()
            await scene.answers_again()


@check
async def leftover_threads_rest_between_cells(arena: Arena) -> None:
    """Threads left running neither burn CPU nor write into another's output while no cell runs."""
    async with arena.scene() as scene:
        result = await scene.attack(
            """
            import threading
            def nag():
                while True:
                    print("LATE", flush=True)
            def burn():
                while True:
                    pass
            time.sleep(0.05)
            threading.Thread(target=burn, daemon=True).start()
            threading.Timer(0.05, nag).start()
            """
        )
        expect(result.status == "ok", brief(result))
        number = scene.attacker.number
        await asyncio.sleep(0.2)
        before = (await arena.sandbox.stats()).sessions[number].cpu_s
        await asyncio.sleep(1.5)
        after = (await arena.sandbox.stats()).sessions[number].cpu_s
        expect(after - before < 0.3, f"an idle session burnt {after - before:.2f} s of CPU in 1.5 s")
        await scene.answers_again()
        await scene.attacker.reset()
        clean = await scene.attacker.run("import time; time.sleep(0.3)")
        expect(clean.stdout == "", f"a thread of the session before the reset still prints: {brief(clean)}")
