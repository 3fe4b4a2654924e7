"""How cells are ended: each way truthfully, the session answering again, a sibling never noticing."""

from __future__ import annotations

import os
import signal
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox_image.zygote.protocol import Kind
from tests.sandbox_image.driver import PATIENCE_S, Outcome, Zygote
from tests.support.waiting import wait_until

Run = Callable[..., Outcome]
STUBBORN = (
    "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
)


def lost(zygote: Zygote, session: int, code: str, **options: float) -> Outcome:
    """Run a cell that costs the session its process; the next cell must find a fresh one."""
    zygote.run(session, "before = 1\nopen('left', 'w').close()")
    outcome = zygote.run(session, code, **options)
    assert not outcome.kept, outcome.end
    after = zygote.run(session, "import os\n('before' in globals(), 'df' in globals(), os.listdir('.'))")
    assert after.value == "(False, True, [])"
    return outcome


def has_stopped(pid: int) -> bool:
    """Whether all threads of a process have come to a stop."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return all((thread / "stat").read_text().rpartition(")")[2].split()[0] == "T" for thread in threads)


def test_a_timeout_interrupts_and_keeps_the_namespace(run: Run) -> None:
    run("kept = 1")
    outcome = run("print('partial')\nwhile True: pass", timeout_s=3)
    assert (outcome.status, outcome.kept) == ("timeout", True)
    assert outcome.reason == "the cell ran longer than 3 s and was interrupted"
    assert outcome.stdout == "partial\n"
    assert outcome.error["name"] == "KeyboardInterrupt"
    assert run("kept").value == "1"


def test_an_interrupt_that_is_caught_and_obeyed_is_still_a_timeout(run: Run) -> None:
    outcome = run("import time\ntry:\n    time.sleep(600)\nexcept KeyboardInterrupt:\n    print('bye')", timeout_s=3)
    assert (outcome.status, outcome.kept, outcome.stdout) == ("timeout", True, "bye\n")


@pytest.mark.parametrize(
    "code",
    [
        STUBBORN + "while True: pass",
        "import time\nwhile True:\n    try: time.sleep(600)\n    except KeyboardInterrupt: pass",
        "import collections, itertools; collections.deque(itertools.repeat(0), maxlen=0)",
        "sum(range(10 ** 13))",
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 60))\nwhile True: pass",
        "import os; os.write(4, b'\\0\\0\\1\\0')\nwhile True:\n    try: import time; time.sleep(1)\n    except: pass",
        "class B:\n    def __repr__(self):\n        while True:\n            try: __import__('time').sleep(9)\n"
        "            except BaseException: pass\nB()",
    ],
    ids=["ignores", "catches", "loops in C", "sums in C", "stops itself", "blocks", "half a frame", "in repr"],
)
def test_what_no_interrupt_ends_is_killed(zygote: Zygote, session: int, sibling: int, code: str) -> None:
    outcome = lost(zygote, session, code, timeout_s=2, grace_s=0.3)
    assert outcome.status == "timeout"
    assert "did not stop within 0.3 s of the interrupt; its process was killed" in outcome.reason


def test_no_grace_means_no_interrupt(zygote: Zygote, session: int) -> None:
    code = "try:\n    while True: pass\nexcept KeyboardInterrupt: print('never')"
    outcome = lost(zygote, session, code, timeout_s=0.2, grace_s=0)
    assert (outcome.status, outcome.stdout) == ("timeout", "")


def test_a_hosts_interrupt_that_is_ignored_ends_in_a_kill(zygote: Zygote, session: int) -> None:
    zygote.begin(session, STUBBORN + "print('deaf')\nwhile True: pass", grace_s=0.3)
    zygote.receive(Kind.STDOUT, session=session)
    zygote.send(Kind.INTERRUPT, session)
    outcome = zygote.finish(session)
    assert (outcome.status, outcome.kept) == ("killed", False)
    assert outcome.reason.startswith("interrupted by the host")


def test_an_interrupt_of_an_idle_session_does_nothing(zygote: Zygote, session: int) -> None:
    zygote.send(Kind.INTERRUPT, session)
    assert zygote.run(session, "import time; time.sleep(0.2); 'calm'").value == "'calm'"


def test_an_interrupt_strikes_a_cell_however_early_it_comes_and_no_other(zygote: Zygote, session: int) -> None:
    zygote.run(session, "kept = 5")
    for turn in range(30):
        zygote.begin(session, "while True: pass")
        time.sleep(turn / 10_000)
        zygote.send(Kind.INTERRUPT, session)
        outcome = zygote.finish(session)
        assert (outcome.status, outcome.kept, outcome.reason) == ("error", True, "interrupted by the host")
        zygote.begin(session, "kept")
        time.sleep(turn / 10_000)
        zygote.send(Kind.INTERRUPT, session)
        late = zygote.finish(session)
        assert late.kept
        assert zygote.run(session, "kept").value == "5", "an interrupt that came too late for its cell strikes no other"


def test_an_interrupt_never_tears_an_event(zygote: Zygote, session: int) -> None:
    code = "print('go')\nwhile True: submit('x' * 20_000)"
    for _ in range(5):
        zygote.begin(session, code)
        zygote.receive(Kind.STDOUT, session=session)
        time.sleep(0.01)
        zygote.send(Kind.INTERRUPT, session)
        outcome = zygote.finish(session)
        assert (outcome.status, outcome.kept, outcome.reason) == ("error", True, "interrupted by the host")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os._exit(3)", "ended itself with exit code 3"),
        ("import ctypes; ctypes.string_at(0)", "segmentation fault"),
        ("import os; os.abort()", "abort"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was killed"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "ended by SIGTERM"),
        ("import os; os.closerange(0, 256)", "broke the session"),
        ("import os; os.close(4)\nimport time; time.sleep(600)", "closed the pipe it reports on"),
        ("import os; os.write(4, b'garbage' * 100); import time; time.sleep(600)", "something malformed"),
        ("import os; os.write(4, bytes([0, 0, 0, 2, 4, 0, 0, 0, 0]) + b'{}'); 1", "something malformed"),
        (
            "import sys; sys.setrecursionlimit(10 ** 8)\ndef f(n): return [f(n + 1)] + []\n"
            "import functools\ng = functools.lru_cache(None)(lambda n: g(n + 1))\ng(0)",
            "segmentation fault",
        ),
        (
            "import threading, time\nfor _ in range(60): threading.Thread(target=time.sleep, args=(600,)).start()\n"
            "time.sleep(600)",
            "more than 32 threads",
        ),
        (
            "for i in range(10):\n    open(f'f{i}', 'wb').write(b'x' * 4_000_000)\nimport time; time.sleep(600)",
            "16 MiB",
        ),
        (
            "import os\nfor i in range(10):\n    f = open(f'f{i}', 'wb'); os.unlink(f'f{i}'); globals()[f'k{i}'] = f\n"
            "    f.write(b'x' * 4_000_000); f.flush()\nimport time; time.sleep(600)",
            "16 MiB",
        ),
        (
            "import os\nfor i in range(10_500): os.symlink('x', f'd{i}')\nimport time; time.sleep(600)",
            "more than 10000 files",
        ),
        ("import os\nfor i in range(90): os.mkdir('d'); os.chdir('d')\nimport time; time.sleep(600)", "64 deep"),
    ],
)
def test_deaths_and_breaches_are_named(zygote: Zygote, session: int, sibling: int, code: str, words: str) -> None:
    outcome = lost(zygote, session, code)
    assert outcome.status == "killed"
    assert words in outcome.reason


def test_a_cell_that_fills_the_folder_between_two_looks_is_ended(zygote: Zygote, session: int, sibling: int) -> None:
    fill = "before = 1\nfor i in range(10):\n    open(f'f{i}', 'wb').write(b'x' * 4_000_000)"
    for _ in range(3):
        outcome = zygote.run(session, fill)
        if not outcome.kept:
            break
        # Somebody else has freed as much in the same moment: the file system's free room, which prompts the look, is
        # that of all.
        zygote.run(session, "import os\nfor name in os.listdir(): os.remove(name)")
    assert (outcome.status, outcome.kept) == ("killed", False)
    assert "16 MiB" in outcome.reason
    after = zygote.run(session, "import os\n('before' in globals(), 'df' in globals(), os.listdir('.'))")
    assert after.value == "(False, True, [])"


def test_what_was_printed_before_death_is_there(zygote: Zygote, session: int) -> None:
    outcome = lost(zygote, session, "print('last words')\nsubmit(1)\nimport os; os._exit(0)")
    assert (outcome.stdout, len(outcome.events)) == ("last words\n", 1)
    assert "exit code 0" in outcome.reason


@pytest.mark.parametrize(
    "code",
    [
        "x = [np.ones(10_000_000) for _ in range(100)]",
        "x = bytearray()\nwhile True: x += bytes(10_000_000)",
        "x = []\nwhile True: x.append(str(len(x)) * 100)",
    ],
    ids=["arrays", "one growing block", "many small objects"],
)
def test_memory_over_the_limit_ends_the_session(zygote: Zygote, session: int, sibling: int, code: str) -> None:
    outcome = lost(zygote, session, code)
    assert (outcome.status, outcome.reason) == ("memory", "it used more than the 512 MiB of memory a session may have")
    assert outcome.end["peak_bytes"] >= 512 * 2**20


def test_an_allocation_the_kernel_refuses_keeps_the_session(run: Run) -> None:
    outcome = run("np.ones(10 ** 13)")
    assert (outcome.status, outcome.kept) == ("memory", True)
    assert "MemoryError" in outcome.reason
    assert run("1").value == "1"


def test_shared_memory_without_a_file_is_refused(run: Run) -> None:
    assert run("import mmap; mmap.mmap(-1, 1000)").error["name"] == "PermissionError"
    assert run("import mmap; len(mmap.mmap(-1, 1000, flags=mmap.MAP_PRIVATE))").value == "1000"


def test_one_file_cannot_outgrow_the_folder(run: Run) -> None:
    outcome = run("with open('f', 'wb') as f:\n    for _ in range(100): f.write(b'x' * 1_000_000)")
    assert (outcome.status, outcome.error["name"]) == ("error", "OSError")


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.fork()",
        "import subprocess; subprocess.run(['true'])",
        "import multiprocessing; multiprocessing.Process(target=print).start()",
        "import os; os.system('true') == 0 or 1 / 0",
        "import os; os.execv('/bin/true', ['true'])",
        "import socket; socket.create_connection(('127.0.0.1', 80))",
        "open('/etc/passwd')",
        "open('/proc/self/environ')",
        "import os; os.listdir('/')",
        "import os; os.listdir('..')",
        "open('/tmp/x', 'w')",
        "open('/dev/shm/x', 'w')",
        "open('/var/tmp/x', 'w')",
        "open(np.__file__, 'a')",
        "import os; os.chmod(np.__file__, 0o777)",
        "import os; os.utime(np.__file__)",
        "import os; os.kill(os.getppid(), 0)",
        "import os; os.kill(1, 0)",
    ],
)
def test_what_is_forbidden_is_an_ordinary_error(run: Run, code: str) -> None:
    outcome = run(code)
    assert (outcome.status, outcome.kept) == ("error", True)
    assert outcome.error["name"] in ("PermissionError", "OSError", "ZeroDivisionError", "ProcessLookupError")


def test_a_sibling_cannot_be_reached_by_any_of_its_names(zygote: Zygote, session: int, sibling: int) -> None:
    zygote.run(sibling, "open('secret', 'w').write('hush')")
    pid, folder = (zygote.run(sibling, code).value for code in ("import os; os.getpid()", "os.getcwd()"))
    attempts = [
        f"open({folder} + '/secret').read()",
        f"import os; os.listdir({folder})",
        f"import os; os.kill({pid}, 9)",
        f"open('/proc/{pid}/mem', 'rb')",
        f"open('/proc/{pid}/environ', 'rb')",
        f"import os; os.listdir('/proc/{pid}/fd')",
        f"open('/proc/{pid}/fd/1', 'w')",
        f"import os; os.readlink('/proc/{pid}/fd/1')",
        f"import resource; resource.prlimit({pid}, resource.RLIMIT_NOFILE)",
        f"import os; os.symlink({folder}, 'way'); open('way/secret').read()",
        f"import os; os.link({folder} + '/secret', 'mine')",
    ]
    for code in attempts:
        assert zygote.run(session, code).status == "error", code


def test_a_new_session_finds_nothing_of_what_others_sent_or_were_sent(zygote: Zygote, session: int) -> None:
    zygote.run(session, "x = 's3cr3t-of-a-sibling'\nprint(x)\nsubmit(x)\nnote('n', x)\nx")
    zygote.open(9_001)
    code = """
        import gc, sys

        needle = "-".join(["s3cr3t", "of", "a", "sibling"])
        def holds(value):
            return type(value) in (str, bytes, bytearray) and value is not needle and needle in str(value)

        hits = 0
        for thing in gc.get_objects():
            if type(thing) is dict:
                hits += any(map(holds, [*thing.keys(), *thing.values()]))
            elif type(thing) in (list, tuple, set):
                hits += any(map(holds, thing))
        frame = sys._getframe().f_back
        while frame is not None:
            hits += any(map(holds, frame.f_locals.values()))
            frame = frame.f_back
        hits
    """
    assert zygote.run(9_001, textwrap.dedent(code)).value == "0"
    assert zygote.run(session, textwrap.dedent(code)).value != "0"
    zygote.shut(9_001)


def test_a_forged_end_hurts_only_the_forger(zygote: Zygote, session: int, sibling: int) -> None:
    forged = (
        "import json, struct, os, time\n"
        "body = json.dumps({'cell': CELL, 'status': 'ok'}).encode()\n"
        "os.write(4, struct.pack('>IBI', len(body), 4, SIBLING) + body)\n"
        "time.sleep(600)"
    )
    cell = zygote._cells + 1
    outcome = zygote.run(session, forged.replace("CELL", str(cell)).replace("SIBLING", str(sibling)))
    assert outcome.end["cell"] == cell
    assert zygote.run(sibling, "mark").value == "42"


def test_threads_left_behind_neither_print_nor_compute_until_the_next_cell(zygote: Zygote, session: int) -> None:
    pid = zygote.run(
        session,
        "import os, threading, time\nn = 0\ndef spin():\n    global n\n    while True: n += 1\n"
        "threading.Thread(target=spin, daemon=True).start()\nos.getpid()",
    ).value
    wait_until(lambda: has_stopped(int(pid or 0)), PATIENCE_S)
    zygote.send(Kind.STATS)
    before = zygote.receive(Kind.STATS_REPLY).json()["sessions"][str(session)]["cpu_s"]
    time.sleep(0.5)
    zygote.send(Kind.STATS)
    after = zygote.receive(Kind.STATS_REPLY).json()["sessions"][str(session)]["cpu_s"]
    assert after - before < 0.05


def test_a_process_that_dies_between_cells_is_told_with_the_next(zygote: Zygote, session: int) -> None:
    def now_is() -> int:
        zygote.send(Kind.STATS)
        return int(zygote.receive(Kind.STATS_REPLY).json()["sessions"][str(session)]["pid"])

    pid = int(zygote.run(session, "import os; os.getpid()").value or 0)
    assert now_is() == pid
    os.kill(pid, signal.SIGKILL)
    # The process is gone some time before the switchboard hears of it.
    wait_until(lambda: now_is() != pid, PATIENCE_S)
    outcome = zygote.run(session, "ran = True")
    assert (outcome.status, outcome.kept) == ("killed", False)
    assert outcome.reason == "between cells the process was killed; the cell was not run"
    assert zygote.run(session, "'ran' in globals()").value == "False"


def test_a_reset_forgets_everything(zygote: Zygote, session: int) -> None:
    zygote.run(session, "x = 1\ndf['value'] = 0\ndf.loc[0, 'group'] = 'changed'\nopen('f', 'w').close()")
    zygote.send(Kind.RESET, session)
    zygote.receive(Kind.OPENED, session=session)
    code = "import os\n('x' in globals(), df['value'].tolist(), df['group'].tolist(), os.listdir('.'))"
    assert zygote.run(session, code).value == "(False, [1, 2, 3], ['a', 'b', 'a'], [])"


def test_a_reset_in_the_middle_of_a_cell_ends_the_cell_first(zygote: Zygote, session: int) -> None:
    zygote.begin(session, "print('on')\nwhile True: pass")
    zygote.receive(Kind.STDOUT, session=session)
    zygote.send(Kind.RESET, session)
    outcome = zygote.finish(session)
    assert (outcome.status, outcome.kept, outcome.reason) == ("killed", False, "the session was reset")
    zygote.receive(Kind.OPENED, session=session)
    assert zygote.run(session, "1").value == "1"


def test_a_close_in_the_middle_of_a_cell_ends_the_cell_first(zygote: Zygote) -> None:
    zygote.open(9_002)
    zygote.begin(9_002, "print('on')\nwhile True: pass")
    zygote.receive(Kind.STDOUT, session=9_002)
    zygote.send(Kind.CLOSE, 9_002)
    assert zygote.finish(9_002).reason == "the session was closed"
    zygote.receive(Kind.CLOSED, session=9_002)
    zygote.send(Kind.RUN, 9_002, {"cell": 1, "code": "1", "timeout_s": 1, "grace_s": 1})
    assert zygote.receive(Kind.REFUSED, session=9_002).json()["message"] == "there is no session 9002"
