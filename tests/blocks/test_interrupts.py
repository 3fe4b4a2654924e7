"""Signals at the very end of a command, when only the interpreter's exit is left."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXITING = """
import atexit, os, signal, sys, time
sys.argv[0] = "flows/small.py"

class Late:
    def __del__(self, kill=os.kill, own=os.getpid(), number=signal.Signals({number})):
        {late}

class Work:
    def early(self):
        {early}

from blocks import shell
from pathlib import Path
shell.begin(Path("flows/small.py"))
from blocks.interrupts import run_command
late = Late()
atexit.register(Work().early)

def work():
    print("all done")
    {work}
    return 0

sys.exit(run_command(work))
"""


def end(number: signal.Signals, *, work: str = "pass", early: str = "pass", late: str = "pass") -> tuple[int, str, str]:
    program = textwrap.dedent(EXITING).format(number=int(number), work=work, early=early, late=late)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


SEND = "os.kill(os.getpid(), signal.Signals({0}))"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 1), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_second_signal_while_the_interpreter_ends_changes_nothing(number: signal.Signals, code: int) -> None:
    told = SEND.format(int(number)) + "; time.sleep(0.2)"
    ended, out, err = end(number, work=told, late="kill(own, number)")
    assert (ended, out) == (code, "all done\n"), err
    assert err.count("Run the same command again") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_when_all_is_done_ends_the_exit_alone(number: signal.Signals) -> None:
    ended, out, err = end(number, early=SEND.format(int(number)) + "; time.sleep(60)")
    assert (ended, out, err) == (0, "all done\n", "")
