"""Crashes, hangs and lost output: how a session may end, and what is said about it."""

from __future__ import annotations

from blocks.sandboxes.conformance.harness import Arena, brief, check, expect, snippets
from blocks.sandboxes.conformance.patience import patient
from blocks.sandboxes.models import CellStatus

DEATHS = snippets(
    r"""
### segmentation fault
ctypes.string_at(0)
### wild write
ctypes.memset(1, 0, 8)
### wild call
ctypes.CFUNCTYPE(None)(1)()
### abort
_libc.abort()
### _exit 0
os._exit(0)
### _exit 3
os._exit(3)
### libc exit
_libc.exit(7)
### exit_group
syscall(231 if X86 else 94, 5)
### exit in a thread
import threading
threading.Thread(target=lambda: os._exit(4)).start()
time.sleep(100)
### killed by itself
os.kill(os.getpid(), 9)
### terminated by itself
import signal
signal.signal(15, signal.SIG_DFL)
os.kill(os.getpid(), 15)
time.sleep(100)
### every descriptor closed
os.closerange(0, 65536)
time.sleep(100)
### spoilt heap
ctypes.memset(id(None), 0xff, 16)
None == None
[None] * 100
"""
)
"""Ways to die."""
REASONS = {
    "segmentation fault": "segmentation",
    "wild write": "segmentation",
    "wild call": "segmentation",
    "abort": "abort",
    "_exit 0": "0",
    "_exit 3": "3",
    "libc exit": "7",
    "exit_group": "5",
    "exit in a thread": "4",
}
"""What the reason must say."""


@check
async def a_death_is_told_as_killed(arena: Arena) -> None:
    """A crash, an exit past Python or closed descriptors end as `killed`: variables lost, output kept, cause named."""
    async with arena.scene() as scene:
        for name, code in DEATHS.items():
            result = await scene.attack(f"mine = 1\nprint('last words', flush=True)\n{code}", timeout_s=45)
            expect(result.status == "killed", f"{name}: {brief(result)}")
            expect(not result.namespace_kept and result.reason, f"{name}: {brief(result)}")
            word = REASONS.get(name, "")
            expect(word in result.reason.lower(), f"{name}: the reason does not say {word!r}: {result.reason}")
            expect("last words" in result.stdout, f"{name}: the output before it is lost: {brief(result)}")
            after = await scene.attacker.run("'mine' in globals()")
            expect(after.value == "False", f"{name}: {brief(after)}")
            await scene.answers_again()


EXITS = {
    "sys.exit(0)": "SystemExit",
    "sys.exit(3)": "SystemExit",
    "exit()": "SystemExit",
    "quit()": "SystemExit",
    "raise SystemExit('enough')": "SystemExit",
    "raise KeyboardInterrupt": "KeyboardInterrupt",
    "raise GeneratorExit": "GeneratorExit",
    "raise BaseException('base')": "BaseException",
}


@check
async def leaving_python_is_an_error_of_the_cell(arena: Arena) -> None:
    """sys.exit and bare BaseExceptions end the cell as an error; the session and its variables live on."""
    async with arena.scene() as scene:
        await scene.attack("kept = 5")
        for code, name in EXITS.items():
            result = await scene.attack("import sys\n" + code)
            if name == "SystemExit" and result.error is not None and result.error.name == "NameError":
                # exit and quit are the site module's; an interpreter without it has none.
                continue
            expect(result.status == "error" and result.error is not None, f"{code}: {brief(result)}")
            assert result.error is not None
            expect(result.error.name == name and result.namespace_kept, f"{code}: {brief(result)}")
        expect((await scene.attacker.run("kept")).value == "5", "the variables are gone")


# The loops stand in functions: CPython 3.11 may take a signal at a jump that no exception table covers, past the `try`.
HANGS = snippets(
    r"""
### loop
while True: pass
### sleep
time.sleep(1000)
### lock
import threading
lock = threading.Lock()
lock.acquire()
lock.acquire()
### select
import select
select.select([os.pipe()[0]], [], [])
### ignores SIGINT
import signal
signal.signal(2, signal.SIG_IGN)
while True: pass
### ignores all signals
import signal
for n in range(1, 65):
    try: signal.signal(n, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True: pass
### blocks all signals
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
while True: pass
### catches KeyboardInterrupt
def spin():
    while True: pass
while True:
    try: spin()
    except KeyboardInterrupt: pass
### catches everything
def spin():
    while True: pass
while True:
    try: spin()
    except BaseException: pass
### finally for ever
def spin():
    while True: pass
try: spin()
finally: spin()
### nested handler
import signal
def again(*_):
    while True: pass
signal.signal(2, again)
while True: pass
### stops itself
os.kill(os.getpid(), 19)
time.sleep(1000)
### own group
tried(os.setpgid, 0, 0)
tried(os.setsid)
import signal
signal.signal(2, signal.SIG_IGN)
while 1: pass
### GIL in sum
import itertools
sum(itertools.repeat(0))
### GIL in a deque
import itertools, collections
collections.deque(itertools.repeat(0), maxlen=0)
### GIL in a C call
gil = ctypes.PyDLL(None)
while True:
    gil.pthread_mutex_lock(mutex) if 'mutex' in globals() else None
    mutex = ctypes.create_string_buffer(64)
    gil.pthread_mutex_lock(mutex)
### GIL in int
x = 7 ** (10 ** 7)
while True: x = x * x
### GIL in a thread
import threading, itertools
threading.Thread(target=lambda: sum(itertools.repeat(0))).start()
while True: time.sleep(1)
### regular expression
import re
re.match(r'(a+)+$', 'a' * 60 + 'b')
### repr without end
class Slow:
    def __repr__(self):
        while True: pass
Slow()
### error without end
class Slow(Exception):
    def __str__(self):
        while True: pass
raise Slow
### joins a thread
import threading
t = threading.Thread(target=time.sleep, args=(1000,), daemon=True)
t.start()
t.join()
"""
)
HOPELESS = {
    "blocks all signals",
    "ignores SIGINT",
    "catches KeyboardInterrupt",
    "GIL in a thread",
    "ignores all signals",
    "GIL in a C call",
    "catches everything",
    "nested handler",
    "finally for ever",
    "stops itself",
    "GIL in sum",
    "own group",
    "GIL in a deque",
}


@check
async def a_hang_ends_by_the_clock(arena: Arena) -> None:
    """Code that never ends is told as `timeout`, in time; whether the variables survived is said and is true."""
    async with arena.scene() as scene:
        for name, code in HANGS.items():
            for timeout_s in (1.0, 15.0):
                result = await scene.attack(f"mine = 1\nprint('before', flush=True)\n{code}", timeout_s=timeout_s)
                after = await scene.attacker.run("'mine' in globals()")
                # Else the time may have been over before the cell had come to its hang.
                if "before" in result.stdout and not (name in HOPELESS and after.value == "True"):
                    break
            # The watch on memory may come first where a number grows without end.
            growing: tuple[CellStatus, ...] = ("timeout", "memory") if name == "GIL in int" else ("timeout",)
            expect(result.status in growing, f"{name}: {brief(result)}")
            expect(result.reason, f"{name}: no reason is given")
            expect("before" in result.stdout, f"{name}: the output is lost: {brief(result)}")
            expect(result.wall_s < 30, f"{name}: ended only after {result.wall_s:.1f} s")
            expect(
                name not in HOPELESS or not result.namespace_kept,
                f"{name}: nothing could survive this: {brief(result)}",
            )
            expect(after.status == "ok", f"{name}: {brief(after)}")
            told = "kept" if result.namespace_kept else "lost"
            expect((after.value == "True") == result.namespace_kept, f"{name}: variables were said to be {told}")
            await scene.answers_again()


@check
async def honest_hangs_keep_their_variables(arena: Arena) -> None:
    """An ordinary loop or sleep that runs out of time is interrupted, not killed: the variables are kept."""
    async with patient(arena), arena.scene() as scene:
        for name in ("loop", "sleep", "regular expression"):
            await scene.attack("kept = 5")
            result = await scene.ends(HANGS[name], "timeout", timeout_s=1.5)
            expect(result.namespace_kept, f"{name}: {brief(result)}")
            expect((await scene.attacker.run("kept")).value == "5", f"{name}: the variables are gone")


STREAMS = snippets(
    r"""
### close
import sys
sys.stdout.close(); sys.stderr.close()
### os.close
os.close(1); os.close(2)
### replaced
import io, sys
sys.stdout = io.StringIO(); sys.stderr = None
print('nowhere')
### broken
import sys
class Evil:
    def write(self, text): raise ValueError(text)
    flush = None
sys.stdout = Evil()
### deleted
import sys
del sys.stdout, sys.stderr, sys.__stdout__
### redirected
os.dup2(os.open('out.txt', os.O_CREAT | os.O_WRONLY), 1)
### detached
import sys
sys.stdout.detach()
### swapped
os.dup2(1, 2)
### nonblocking
os.set_blocking(1, False)
for _ in range(2000): tried(os.write, 1, b'x' * 4096)
"""
)


@check
async def output_comes_back_after_it_was_spoilt(arena: Arena) -> None:
    """A session that closed, replaced or redirected its output prints again in the next cell."""
    async with arena.scene() as scene:
        for name, code in STREAMS.items():
            result = await scene.attack(code)
            expect(result.status in ("ok", "error", "killed"), f"{name}: {brief(result)}")
            after = await scene.attacker.run("import sys\nprint('out')\nprint('err', file=sys.stderr)")
            expect(after.status == "ok", f"{name}: {brief(after)}")
            expect((after.stdout, after.stderr) == ("out\n", "err\n"), f"{name}: the output is gone: {brief(after)}")
        raw = await scene.attack(
            "import sys\nos.write(1, b'raw')\nsys.stdout.buffer.write(b'buffered')\nsys.__stdout__.write('x')"
        )
        expect(raw.status == "ok" and {"raw", "buffered"} <= set(_words(raw.stdout, "raw", "buffered")), brief(raw))


def _words(text: str, *wanted: str) -> list[str]:
    """Those words that a text holds."""
    return [word for word in wanted if word in text]
