"""The zygote as a program: greeting, loading, refusing, a slow host, and endings that leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks.sandboxes.models import SandboxLimits
from sandbox_image.zygote import __main__ as program
from sandbox_image.zygote.limits import Limits
from sandbox_image.zygote.protocol import PROTOCOL_VERSION, Kind, ProtocolError
from sandbox_image.zygote.upload import Upload
from sandbox_image.zygote.walls import enter, landlock
from tests.sandbox_image.driver import LIMITS, PATIENCE_S, QUICKLY, TABLE, Zygote


def gone(pids: list[int]) -> bool:
    """Whether all processes have ended, within a generous wait. A zombie has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def started(tmp_path: Path) -> tuple[Zygote, list[int]]:
    """A zygote with two sessions, one of them busy; and all its processes."""
    zygote = Zygote(tmp_path, *QUICKLY)
    template = zygote.receive(Kind.HELLO).json()["walls"]["template_pid"]
    zygote.load()
    pids = [zygote.open(number).json()["pid"] for number in (1, 2)]
    zygote.run(1, "open('left', 'w').write('x')")
    zygote.begin(2, "print('on')\nwhile True: pass", timeout_s=600)
    zygote.receive(Kind.STDOUT, session=2)
    return zygote, [zygote.process.pid, template, *pids]


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Zygote]:
    zygote = Zygote(tmp_path, *QUICKLY)
    yield zygote
    zygote.close()


def test_a_zygote_for_tables_has_them_alone_ready_and_the_rest_at_hand(fresh: Zygote) -> None:
    fresh.receive(Kind.HELLO)
    assert fresh.load().kind == Kind.LOADED
    assert fresh.open(1).kind == Kind.OPENED
    names = "('pandas', 'numpy', 'scipy', 'sklearn', 'matplotlib')"
    assert fresh.run(1, f"import sys\n[n for n in {names} if n in sys.modules]").value == "['pandas', 'numpy']"
    assert fresh.run(1, "[name for name in ('df', 'pd', 'np', 'plt', 'sm') if name in globals()]").value == (
        "['df', 'pd', 'np']"
    )
    code = "from sklearn.linear_model import LinearRegression\nfitted = LinearRegression().fit([[1], [2]], [2, 4])\n"
    assert fresh.run(1, code + "round(float(fitted.coef_[0]), 6)").value == "2.0"
    assert len(fresh.run(1, "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()").figures) == 1


def test_from_hello_to_hanging_up(tmp_path: Path) -> None:
    zygote = Zygote(tmp_path, *QUICKLY)
    hello = zygote.receive(Kind.HELLO).json()
    assert hello["protocol"] == PROTOCOL_VERSION
    assert hello["pid"] == zygote.process.pid
    assert set(hello["libraries"]) == {"pandas", "numpy", "scipy", "statsmodels", "scikit-learn", "matplotlib"}
    walls = hello["walls"]
    assert walls["landlock_abi"] == landlock.abi()
    assert (walls["seccomp"], walls["hash_seed"]) == (True, "fixed")

    zygote.send(Kind.OPEN, 1, {"limits": LIMITS})
    assert "no dataset is loaded" in zygote.receive(Kind.REFUSED, session=1).json()["message"]
    zygote.send(Kind.DATA, 0, b"x")
    assert "no dataset was announced" in zygote.receive(Kind.REFUSED).json()["message"]
    zygote.send(Kind.LOAD, 0, {"name": "t", "bytes": "many"})
    assert "a LOAD needs" in zygote.receive(Kind.REFUSED).json()["message"]

    zygote.send(Kind.PARK, 0, {"idle_s": 60})
    assert "not made to be kept" in zygote.receive(Kind.REFUSED).json()["message"]

    failed = zygote.load(b"a,b\n1,2\n1,2,3\n")
    assert failed.kind == Kind.LOAD_FAILED
    assert failed.json()["reason"] == "ragged"
    assert zygote.load(TABLE, bytes=5).json()["reason"] == "size"
    assert zygote.load(TABLE[:-2], bytes=len(TABLE)).json()["reason"] == "size"
    loaded = zygote.load()
    assert (loaded.json()["rows"], loaded.json()["columns"]) == (3, 2)
    assert "loaded already" in zygote.load().json()["message"]

    pids = [hello["pid"], walls["template_pid"], zygote.open(1).json()["pid"]]
    zygote.run(1, "open('left', 'w').write('x')")
    assert zygote.close() == 0
    assert gone(pids)
    assert not list(tmp_path.iterdir()) if tmp_path.exists() else True


def test_a_killed_switchboard_takes_everything_with_it(tmp_path: Path) -> None:
    zygote, pids = started(tmp_path)
    zygote.process.kill()
    assert gone(pids)
    zygote.close()


def test_a_killed_template_is_fatal_and_leaves_nothing(tmp_path: Path) -> None:
    zygote, pids = started(tmp_path)
    os.kill(pids[1], signal.SIGKILL)
    assert "the process that holds the dataset ended" in zygote.receive(Kind.FATAL).json()["message"]
    assert zygote.process.wait(PATIENCE_S) == 0
    assert gone(pids)
    assert not tmp_path.exists() or not list(tmp_path.iterdir())
    zygote.close()


def test_nonsense_on_the_channel_ends_the_program(tmp_path: Path) -> None:
    zygote, pids = started(tmp_path)
    zygote.send_raw(b"\xff" * 64)
    assert "malformed" in zygote.receive(Kind.FATAL).json()["message"]
    assert gone(pids)
    zygote.close()


def test_shutdown_ends_the_program(tmp_path: Path) -> None:
    zygote, pids = started(tmp_path)
    zygote.send(Kind.SHUTDOWN)
    assert zygote.process.wait(PATIENCE_S) == 0
    assert gone(pids)
    zygote.close()


def test_a_host_that_does_not_read_stops_nobody(tmp_path: Path) -> None:
    zygote = Zygote(tmp_path, *QUICKLY)
    zygote.receive(Kind.HELLO)
    zygote.load()
    for number in (1, 2, 3):
        zygote.open(number, max_event_bytes=2_000_000)
    # Together more than the pipe and all buffers hold; nobody reads until all have long been at it.
    for number in (1, 2, 3):
        zygote.begin(number, "for i in range(12): submit('x' * 1_500_000)\nprint('sent')\nopen('done', 'w').close()")
    time.sleep(2)
    for number in (1, 2, 3):
        outcome = zygote.finish(number)
        assert (outcome.status, outcome.stdout, len(outcome.events)) == ("ok", "sent\n", 12)
        assert outcome.end["events_dropped"] == 0
    assert zygote.close() == 0


def test_a_long_cell_of_code_arrives_whole(zygote: Zygote, session: int) -> None:
    code = "text = '" + "x" * 5_000_000 + "'\nlen(text)"
    assert zygote.run(session, code).value == "5000000"


def test_pings_are_answered_while_cells_run(zygote: Zygote, session: int) -> None:
    zygote.begin(session, "print('on')\nwhile True: pass")
    zygote.receive(Kind.STDOUT, session=session)
    zygote.send(Kind.PING, 0, {"n": 7})
    assert zygote.receive(Kind.PONG).json() == {"n": 7}
    zygote.send(Kind.RUN, session, {"cell": 1, "code": "1", "timeout_s": 1, "grace_s": 1})
    assert "still running" in zygote.receive(Kind.REFUSED, session=session).json()["message"]
    zygote.send(Kind.INTERRUPT, session)
    assert zygote.finish(session).kept


def test_a_run_sent_before_the_session_is_ready_waits_for_it(zygote: Zygote, session: int) -> None:
    zygote.send(Kind.RESET, session)
    assert zygote.run(session, "'early'").value == "'early'"


@pytest.mark.parametrize(
    ("kind", "payload", "words"),
    [
        (Kind.RUN, {"cell": 1}, "a RUN needs"),
        (Kind.RUN, {"cell": 1, "code": "1", "timeout_s": 0, "grace_s": 1}, "above 0"),
        (Kind.RUN, {"cell": 1, "code": "1", "timeout_s": True, "grace_s": 1}, "above 0"),
        (Kind.RUN, {"cell": 1, "code": "1", "timeout_s": 1, "grace_s": -1}, "from 0 up"),
        (Kind.RUN, b"\xff", "carries no JSON"),
        (Kind.OPEN, {"limits": LIMITS}, "the number is taken"),
        (Kind.OPEN, {"limits": {}}, "the limit max_sessions"),
        (Kind.OPEN, {}, "the limits are no JSON object"),
        (Kind.OPEN, {"limits": {**LIMITS, "max_sessions": 1}}, "which is the limit"),
        (33, b"", "no request of kind 33"),
        (Kind.HELLO, b"", "no request of kind 64"),
    ],
)
def test_requests_that_make_no_sense_are_refused(
    zygote: Zygote, session: int, kind: Kind, payload: bytes | dict[str, object], words: str
) -> None:
    number = 9_100 if "limit" in words and "taken" not in words else session
    zygote.send(kind, number, payload)
    assert words in zygote.receive(Kind.REFUSED, session=number).json()["message"]
    assert zygote.run(session, "1").value == "1"


def test_requests_for_a_session_that_is_not_there_are_refused(zygote: Zygote) -> None:
    for kind in (Kind.INTERRUPT, Kind.RESET, Kind.CLOSE):
        zygote.send(kind, 9_200, {})
        assert zygote.receive(Kind.REFUSED, session=9_200).json()["message"] == "there is no session 9200"
    zygote.send(Kind.OPEN, 0, {"limits": LIMITS})
    assert "number is taken" in zygote.receive(Kind.REFUSED).json()["message"]


def test_stats_show_what_sessions_share_and_own(zygote: Zygote, session: int) -> None:
    zygote.run(session, "own = np.ones(5_000_000)\nopen('f', 'wb').write(b'x' * 100_000)")
    zygote.send(Kind.STATS)
    reply = zygote.receive(Kind.STATS_REPLY).json()
    mine = reply["sessions"][str(session)]
    assert (mine["state"], mine["cells"]) == ("idle", 1)
    assert mine["private_bytes"] >= 40_000_000
    assert mine["rss_bytes"] - mine["private_bytes"] > 40_000_000
    assert mine["scratch_bytes"] >= 100_000
    assert mine["cpu_s"] > 0
    assert reply["template"]["rss_bytes"] > reply["switchboard"]["rss_bytes"]


def test_writing_to_the_shared_table_counts_as_memory(fresh: Zygote) -> None:
    fresh.receive(Kind.HELLO)
    rows = 4_000_000
    fresh.load(b"a,b\n" + b"1.5,2.5\n" * rows)
    fresh.open(1, memory_bytes=2**25)
    code = (
        "import time\nfor name in ('a', 'b'):\n    v = df[name].to_numpy()\n    v.flags.writeable = True\n    v += 1\n"
    )
    outcome = fresh.run(1, code + "time.sleep(600)")
    # The resident size never changed: only the private copies of shared pages did.
    assert outcome.status == "memory"
    assert fresh.run(1, "df['a'].sum()").value == "np.float64(6000000.0)"


def test_the_program_refuses_a_machine_without_landlock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    with pytest.raises(enter.WallsMissing, match="no Landlock"):
        enter.probe(allow_weak=False)
    assert enter.probe(allow_weak=True).report()["files"] == "none"
    monkeypatch.undo()
    monkeypatch.setattr(enter, "current", lambda: None)
    with pytest.raises(enter.WallsMissing, match="no seccomp filter"):
        enter.probe(allow_weak=False)


def test_the_hash_seed_is_fixed_by_starting_over(tmp_path: Path) -> None:
    zygote = Zygote(tmp_path, *QUICKLY, environment={"PYTHONHASHSEED": "77"})
    assert zygote.receive(Kind.HELLO).json()["walls"]["hash_seed"] == "fixed"
    zygote.load()
    zygote.open(1)
    assert zygote.run(1, "hash('a')").value == str(hash_with_seed_0())
    zygote.close()


def hash_with_seed_0() -> int:
    command = [sys.executable, "-c", "print(hash('a'))"]
    return int(subprocess.check_output(command, env={"PYTHONHASHSEED": "0"}, text=True))


def test_limits_are_read_from_the_hosts_model_and_none_is_guessed() -> None:
    limits = SandboxLimits(max_threads=7)
    assert Limits.parse(limits.model_dump()).max_threads == 7
    wrongs: list[object] = [
        None,
        [],
        {**LIMITS, "max_threads": -1},
        {**LIMITS, "max_threads": True},
        {"max_threads": 1},
    ]
    for wrong in wrongs:
        with pytest.raises(ProtocolError):
            Limits.parse(wrong)


def test_an_upload_lies_in_a_file_where_the_kernel_gives_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError("not here")

    monkeypatch.setattr(os, "memfd_create", refuse)
    upload = Upload({"bytes": 3, "rules": None, "max_columns": 5}, str(tmp_path))
    upload.write(b"abc")
    assert os.pread(upload.descriptor, 10, 0) == b"abc"
    assert upload.problem() == ""
    upload.write(b"more")
    assert "it changed meanwhile" in upload.problem()
    upload.close()
    assert list(tmp_path.iterdir()) == []


def test_the_channel_is_moved_out_of_reach() -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writer, 1)
        _, out = program._take_channel()
        os.write(1, b"lost")
        os.write(out, b"kept")
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    assert os.read(reader, 100) == b"kept"
    os.close(reader)
