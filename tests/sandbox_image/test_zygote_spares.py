"""Processes forked ahead: who takes them, who may not, and that they count against no session."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox_image.zygote.protocol import Kind
from tests.sandbox_image.driver import LIMITS, PATIENCE_S, QUICKLY, TABLE, Zygote
from tests.sandbox_image.test_zygote_lifecycle import alive, gone
from tests.support.waiting import wait_until


class Spared:
    """A zygote that keeps two spares, and what its template has forked."""

    def __init__(self, zygote: Zygote, limits: dict[str, int]) -> None:
        self.zygote = zygote
        self.limits = limits
        self.template = zygote.receive(Kind.HELLO).json()["walls"]["template_pid"]
        zygote.load(TABLE, limits=limits)

    def children(self) -> set[int]:
        """Processes of sessions and spares that live and have stopped or wait."""
        pids = Path(f"/proc/{self.template}/task/{self.template}/children").read_text().split()
        return {int(pid) for pid in pids if alive(int(pid))}

    def settled(self, count: int) -> set[int]:
        """The children, once there are this many and all are stopped, as ready ones are."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            pids = self.children()
            if len(pids) == count and all(state(pid) == "T" for pid in pids):
                return pids
            time.sleep(0.01)
        raise AssertionError(f"{count} stopped processes were awaited, {self.children()} are there")

    def open(self, session: int, **limits: int) -> int:
        pid = self.zygote.open(session, **{**self.limits, **limits}).json()["pid"]
        assert isinstance(pid, int)
        return pid


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "gone"


@pytest.fixture
def spared(tmp_path: Path) -> Iterator[Spared]:
    zygote = Zygote(tmp_path)
    yield Spared(zygote, {**LIMITS, "spare_sessions": 2})
    assert zygote.close() == 0
    assert not tmp_path.exists() or not list(tmp_path.iterdir())


def test_a_session_takes_a_spare_and_another_one_is_forked(spared: Spared) -> None:
    ahead = spared.settled(2)
    first = spared.open(1)
    assert first in ahead
    assert spared.zygote.run(1, "len(df)").value == "3"
    assert len(spared.settled(3) - ahead) == 1
    second, third, fourth = (spared.open(number) for number in (2, 3, 4))
    assert len({first, second, third, fourth}) == 4
    assert [spared.zygote.run(number, "mark = 7; mark").value for number in (2, 3, 4)] == ["7"] * 3


def test_two_takers_share_nothing(spared: Spared) -> None:
    spared.settled(2)
    spared.open(1)
    spared.open(2)
    spared.zygote.run(1, "secret = 1; df['new'] = 0; open('mine', 'w').write('x')")
    seen = spared.zygote.run(2, "import os; ('secret' in globals(), 'new' in df.columns, os.listdir('.'))")
    assert seen.value == "(False, False, [])"


def test_a_reset_and_a_killed_process_are_followed_by_a_spare(spared: Spared) -> None:
    spared.settled(2)
    spared.open(1)
    ahead = spared.settled(3)
    spared.zygote.run(1, "mark = 1")
    spared.zygote.send(Kind.RESET, 1)
    after_reset = spared.zygote.receive(Kind.OPENED, session=1).json()["pid"]
    assert after_reset in ahead
    assert spared.zygote.run(1, "'mark' in globals()").value == "False"

    ahead = spared.settled(3)
    spared.zygote.begin(1, "import os; os._exit(3)")
    assert not spared.zygote.finish(1).kept
    assert spared.zygote.run(1, "len(df)").value == "3"
    assert spared.zygote.run(1, "import os; os.getpid()").value in {str(pid) for pid in ahead}


def test_a_hung_cell_that_is_killed_is_followed_by_a_spare(spared: Spared) -> None:
    spared.settled(2)
    spared.open(1)
    ahead = spared.settled(3)
    code = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
    outcome = spared.zygote.run(1, code, timeout_s=1, grace_s=0)
    assert (outcome.status, outcome.kept) == ("timeout", False)
    assert spared.zygote.run(1, "import os; os.getpid()").value in {str(pid) for pid in ahead}


def test_a_session_with_other_limits_gets_its_own_process(spared: Spared) -> None:
    ahead = spared.settled(2)
    assert spared.open(1, max_figures=1) not in ahead
    assert gone(list(ahead)), "spares that fit nobody were kept"
    plot = "for _ in range(3):\n    plt.figure(); plt.plot([1])"
    assert len(spared.zygote.run(1, plot).figures) == 1
    spared.settled(3)


def test_spares_and_sessions_together_stay_within_the_limit(tmp_path: Path) -> None:
    zygote = Zygote(tmp_path, *QUICKLY)
    spared = Spared(zygote, {**LIMITS, "spare_sessions": 2, "max_sessions": 2})
    spared.settled(2)
    spared.open(1)
    spared.settled(2)
    spared.open(2)
    spared.settled(2)
    assert zygote.open(3, **spared.limits).kind == Kind.REFUSED
    zygote.close()


def test_a_spare_that_dies_costs_no_session_anything(spared: Spared) -> None:
    ahead = spared.settled(2)
    folders = list(spared.zygote.scratch.glob("s*"))
    assert len(folders) == 2
    for pid in ahead:
        os.kill(pid, signal.SIGKILL)
    assert gone(list(ahead))
    # The switchboard removes their folders when it has heard of their death; a session is asked for after that.
    wait_until(lambda: not any(folder.exists() for folder in folders), PATIENCE_S)
    spared.open(1)
    outcome = spared.zygote.run(1, "len(df)")
    assert (outcome.status, outcome.value) == ("ok", "3")
