"""Ctrl-C in a real terminal, SIGTERM and a closed terminal end every flow, whatever it does, and leave nothing."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.support.file_server import FileServer, Reply, rows
from tests.support.machine import leftover_processes
from tests.support.model_server import Answer, ModelServer
from tests.support.proposing import code_block
from tests.support.silent_server import SilentServer
from tests.support.terminal import Terminal
from tests.support.waiting import settle, wait_until

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_home"), pytest.mark.timeout(1200)]

ROOT = Path(__file__).resolve().parents[2]
FLOWS = ("download", "question", "episode", "experiment", "nightly", "report", "upkeep")
TOLD = "Run the same command again: it goes on where it stopped."
INTERRUPTED, TERMINATED, HUNG_UP = 1, 143, 129
HANGS_S = 120.0
"""What has not ended by then waits for something that never comes; the seconds themselves are a benchmark's."""


class Scene:
    """A home, and servers that keep every flow waiting in the middle of its work."""

    def __init__(self, home: Path, folder: Path, model: ModelServer, files: FileServer, silent: SilentServer) -> None:
        self.home, self.model, self.files, self.silent = home, model, files, silent
        self.table, self.experiments, self.prompt = folder / "t.csv", folder / "e.csv", folder / "prompt.txt"
        self.table.write_bytes(rows(80))
        self.experiments.write_text("provider,model,topic\ncompatible,m,a\n")
        self.prompt.write_text("Say something about {{topic}}.")

    def command(self, flow: str, *more: str) -> list[str]:
        """A command of the flow that comes to wait for one of the servers."""
        table, asks = str(self.table), ["--model", "m", "--base-url", self.model.base_url]
        process = ["--runtime", "process"]
        arguments = {
            "download": [f"{self.files.url}/slow.csv", *process],
            "question": [table, "--source", "llm", *asks, *process],
            "episode": [table, "--ask", "How many rows?", *asks, *process],
            "experiment": ["-e", str(self.experiments), "-p", str(self.prompt), *asks[2:]],
            "nightly": [f"{self.files.url}/slow.csv", "--download.runtime", "process"],
            "report": [],
            "upkeep": ["--docker-host", f"tcp://127.0.0.1:{self.silent.port}"],
        }
        return [sys.executable, f"flows/{flow}.py", *arguments[flow], *more]

    def environment(self, flow: str, more: Mapping[str, str]) -> dict[str, str]:
        """The command's variables."""
        silent = {"TRIGPOINT_STORE_URL": f"postgresql+psycopg://u:p@127.0.0.1:{self.silent.port}/d"}
        named = {"TRIGPOINT_HOME": str(self.home), "COLUMNS": "120", "TERM": "xterm"}
        return {**os.environ, **named, **(silent if flow == "report" else {}), **more}

    def start(self, flow: str, *arguments: str, **more: str) -> Terminal:
        """The command in a terminal."""
        return Terminal(self.command(flow, *arguments), ROOT, self.environment(flow, more))

    def works(self, flow: str) -> bool:
        """Whether the flow waits in the middle of its work."""
        if flow in ("download", "nightly"):
            return bool(self.files.asked("/slow.csv"))
        if flow in ("report", "upkeep"):
            return bool(self.silent.connections)
        return bool(self.model.asks)

    def leftovers(self) -> list[str]:
        """Processes of the command that are still there after a while."""
        return settle(lambda: leftover_processes(str(self.home)), 100.0)


@pytest.fixture
def scene(own_home: Path, tmp_path: Path) -> Iterator[Scene]:
    drip = Reply(rows(80), stall_after=100, stall_s=900)
    with ExitStack() as stack:
        model = stack.enter_context(ModelServer(lambda ask: Answer(stall=True)))
        files = stack.enter_context(FileServer({"/slow.csv": drip}))
        silent = stack.enter_context(SilentServer())
        yield Scene(own_home, tmp_path, model, files, silent)


def ends_with(terminal: Terminal, sentence: str, code: int) -> None:
    """It ends with its one sentence, though what it waits for never comes."""
    found, seconds = terminal.ended()
    assert terminal.text.count(TOLD) == 1, terminal.text
    assert sentence in terminal.text
    assert "Traceback" not in terminal.text, terminal.text
    assert found == code
    assert seconds < HANGS_S


def has_started(terminal: Terminal, mark: str) -> Callable[[], bool]:
    """Whether the command, or what it has started, has mapped a library or runs a program with this in its name."""

    def look() -> bool:
        try:
            here = psutil.Process(terminal.process.pid)
            maps = Path(f"/proc/{here.pid}/maps").read_text()
            return mark in maps or any(mark in " ".join(each.cmdline()) for each in here.children(recursive=True))
        except (psutil.Error, OSError):
            return False

    return look


@pytest.mark.parametrize("flow", FLOWS)
def test_ctrl_c_while_it_is_imported(scene: Scene, flow: str) -> None:
    with scene.start(flow) as terminal:
        wait_until(has_started(terminal, "pydantic_core"))
        terminal.interrupt()
        ends_with(terminal, "Interrupted.", INTERRUPTED)
    assert not scene.leftovers()


@pytest.mark.parametrize("flow", [flow for flow in FLOWS if flow != "report"])
def test_ctrl_c_while_its_server_starts(scene: Scene, flow: str) -> None:
    with scene.start(flow) as terminal:
        wait_until(has_started(terminal, "uvicorn"))
        terminal.interrupt()
        ends_with(terminal, "Interrupted.", INTERRUPTED)
    assert not scene.leftovers()


@pytest.mark.parametrize("flow", FLOWS)
def test_ctrl_c_while_it_works(scene: Scene, flow: str) -> None:
    with scene.start(flow) as terminal:
        wait_until(lambda: scene.works(flow) or terminal.process.poll() is not None)
        assert scene.works(flow), terminal.text
        terminal.interrupt()
        ends_with(terminal, "Interrupted.", INTERRUPTED)
    assert not scene.leftovers()


@pytest.mark.parametrize("flow", ["download", "episode", "nightly", "upkeep"])
def test_terminated_while_it_works(scene: Scene, flow: str) -> None:
    with scene.start(flow) as terminal:
        wait_until(lambda: scene.works(flow) or terminal.process.poll() is not None)
        terminal.terminate()
        ends_with(terminal, "Terminated.", TERMINATED)
    assert not scene.leftovers()


@pytest.mark.parametrize("flow", ["download", "experiment"])
def test_a_closed_terminal_ends_it(scene: Scene, flow: str) -> None:
    with scene.start(flow) as terminal:
        wait_until(lambda: scene.works(flow) or terminal.process.poll() is not None)
        terminal.close()
        code, seconds = terminal.ended()
    assert code == HUNG_UP
    assert seconds < HANGS_S
    assert not scene.leftovers()


def test_ctrl_c_again_and_again_ends_it_with_one_sentence(scene: Scene) -> None:
    """Also where what was begun does not hear of the first: a thread that waits for an engine."""
    with scene.start("upkeep") as terminal:
        wait_until(lambda: scene.works("upkeep"))
        while terminal.process.poll() is None:
            terminal.interrupt()
            time.sleep(0.2)
        ends_with(terminal, "Interrupted.", INTERRUPTED)
    assert not scene.leftovers()


def test_ctrl_c_in_a_long_cell_and_the_rerun_goes_on(scene: Scene) -> None:
    scene.model.behave = lambda ask: Answer(content=code_block("while True: pass"))
    with scene.start("episode") as terminal:
        wait_until(lambda: scene.works("episode") and _computes(str(scene.home)))
        terminal.interrupt()
        ends_with(terminal, "Interrupted.", INTERRUPTED)
    assert not scene.leftovers()
    scene.model.behave = lambda ask: Answer(content=code_block("submit(len(df))"))
    # The endless reply is in the journal, and run again.
    with scene.start("episode", "--cell-timeout", "2") as again:
        assert again.process.wait(600) == 0, again.text


def test_ctrl_c_while_it_waits_for_a_sandbox(scene: Scene) -> None:
    with scene.start("episode", TRIGPOINT_MAX_CONTAINERS="1") as holder:
        wait_until(lambda: scene.works("episode"))
        with scene.start("question", TRIGPOINT_MAX_CONTAINERS="1") as waiting:
            wait_until(lambda: len(list((scene.home / "slots").glob("*.lock"))) == 2)
            waiting.interrupt()
            ends_with(waiting, "Interrupted.", INTERRUPTED)
        assert holder.process.poll() is None, "the other run goes on"
        holder.interrupt()
        ends_with(holder, "Interrupted.", INTERRUPTED)
    assert not scene.leftovers()


@pytest.mark.parametrize("module", ["blocks.host_check", "blocks.work_pools"])
def test_ctrl_c_in_the_other_commands(scene: Scene, module: str) -> None:
    silent = {"DOCKER_HOST": f"tcp://127.0.0.1:{scene.silent.port}"}
    silent["PREFECT_API_URL"] = f"http://127.0.0.1:{scene.silent.port}/api"
    with Terminal([sys.executable, "-m", module], ROOT, {**os.environ, **silent}) as terminal:
        wait_until(lambda: bool(scene.silent.connections) or terminal.process.poll() is not None)
        terminal.interrupt()
        ends_with(terminal, "Interrupted.", INTERRUPTED)


def test_ctrl_c_in_make_demo(scene: Scene) -> None:
    command = ["make", "demo", "ARGS=--runtime process", f"VENV={Path(sys.executable).parents[1]}"]
    with Terminal(command, ROOT, scene.environment("episode", {})) as terminal:
        wait_until(has_started(terminal, "uvicorn"))
        terminal.interrupt()
        terminal.ended()
        assert "Interrupted. " + TOLD in terminal.text
        assert "Traceback" not in terminal.text
    assert not scene.leftovers()


def _computes(mark: str) -> bool:
    """Whether a zygote's process of the run has computed for seconds, as nothing but a cell's endless loop does."""
    for process in psutil.process_iter():
        try:
            if "sandbox_image.zygote" in process.cmdline() and process.cpu_times().user > 6:
                return any(mark in each.environ().get("TRIGPOINT_HOME", "") for each in process.parents())
        except psutil.Error:
            continue
    return False
