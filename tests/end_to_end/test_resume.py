"""kill -9 at any moment, run again: nothing finished is redone, nothing answered is asked again, nothing is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blocks.replaced import replacing
from flows.verification.store import read_episodes
from tests.support.dataset_files import file_of
from tests.support.model_server import ModelProcess
from tests.support.prefect_server import PrefectServer
from tests.support.stores import stored_keys
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.server, pytest.mark.timeout(5400)]

KILLS = 20
QUESTIONS = 24
BEHAVE = '''
import asyncio, hashlib, os, re
from pathlib import Path
from tests.support.model_server import Answer

async def behave(ask):
    """First look, then answer; what is asked about some limits is answered differently by every trace."""
    text = " ".join(str(message.get("content")) for message in ask.messages if message["role"] == "user")
    limit = int(re.search(r"above (\\d+)", text).group(1))
    while limit >= int(Path(os.environ["ALLOWED"]).read_text()):
        await asyncio.sleep(0.05)
    if sum(message["role"] == "assistant" for message in ask.messages) == 0:
        return Answer(content="Look first.\\n```python\\nseen = df.a.describe()\\nprint(seen)\\n```", delay_s=0.25)
    code = f"submit(int((df.a > {limit}).sum()))"
    if limit % 5 == 4:
        code = f"submit({int(hashlib.sha256(ask.key.encode()).hexdigest()[:6], 16)})"
    return Answer(content=f"Answer.\\n```python\\nassert len(seen)\\n{code}\\n```", delay_s=0.25)
'''


@pytest.fixture
def allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with the number of questions that the model answers for now, so that every kill finds work left."""
    path = tmp_path / "allowed"
    monkeypatch.setenv("ALLOWED", str(path))
    return path


@pytest.fixture
def model(tmp_path: Path, allowed: Path) -> Iterator[ModelProcess]:
    script = tmp_path / "behave.py"
    script.write_text(BEHAVE)
    with ModelProcess(tmp_path / "calls.jsonl", script) as model:
        yield model


class Runs:
    """Runs of the same command, undisturbed or killed."""

    def __init__(self, folder: Path, home: Path, model: ModelProcess, server: PrefectServer) -> None:
        self.home = home
        self._model = model
        self._environment = {**os.environ, "TRIGPOINT_HOME": str(home), "PREFECT_API_URL": server.api_url}
        dataset, questions = folder / "data.csv", folder / "questions.jsonl"
        if not dataset.exists():
            dataset.write_text("a,b\n" + "".join(f"{n},{n % 7}\n" for n in range(60)))
            lines = [
                {"id": f"q{n}", "text": f"How many rows have a above {n}?", "hint": "Compare."}
                for n in range(QUESTIONS)
            ]
            questions.write_text("".join(json.dumps({**line, "answer": {"type": "int"}}) + "\n" for line in lines))
        self._command = [
            sys.executable, "flows/episode.py", str(dataset), "--questions", str(questions), "--model", "scripted",
            "--base-url", model.base_url, "--runtime", "process", "--parallel-questions", "3",
        ]  # fmt: skip

    def start(self) -> subprocess.Popen[bytes]:
        root = Path(__file__).resolve().parents[2]
        return subprocess.Popen(self._command, cwd=root, env=self._environment, stderr=subprocess.DEVNULL)

    def undisturbed(self) -> int:
        return self.start().wait(timeout=1500)

    def killed(self, rng: random.Random) -> bool:
        """Kill a run at a random moment after its first sign of life; False when it had ended by itself."""
        seen, process = sum(self._model.tally.asked.values()), self.start()
        wait_until(lambda: sum(self._model.tally.asked.values()) > seen or process.poll() is not None, 600)
        time.sleep(rng.uniform(0.0, 1.0))
        alive = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        return alive

    def finished(self) -> dict[str, tuple[str, object]]:
        """Question -> (episode id, what it came to)."""
        path = file_of(self.home / "episodes", self.slug)
        return {
            episode.question.id: (episode.episode_id, (episode.verdict.verdict, episode.answer, episode.verdict.votes))
            for episode in read_episodes(path)
        }

    @property
    def slug(self) -> str:
        """The dataset's short name: its folder's."""
        found = [path.stem for path in (self.home / "episodes").glob("*.jsonl")]
        return found[0] if found else "none"

    def worked_on(self, runs_before: set[str]) -> tuple[set[str], set[str]]:
        """(questions that runs since then worked on, the runs there are now)."""
        folders = {path.name for path in (self.home / "logs").glob("*")}
        text = "".join(
            path.read_text() for name in folders - runs_before for path in (self.home / "logs" / name).glob("*.log")
        )
        return {line.split(": ")[0].split()[-1] for line in text.splitlines() if ": gold turn" in line}, folders


def tell(file: Path, questions: int) -> None:
    """How many the model answers from now on; whoever reads the file meanwhile finds it whole."""
    with replacing(file) as new:
        new.write_text(str(questions))


def test_kill_at_random_moments(
    tmp_path: Path,
    allowed: Path,
    model: ModelProcess,
    prefect_server: PrefectServer,
    record_property: Callable[[str, object], None],
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    record_property("seed", seed)
    rng = random.Random(seed)
    runs = Runs(tmp_path, tmp_path / "killed", model, prefect_server)
    kills, logs = 0, set[str]()
    finished: set[str] = set()
    for _ in range(3 * KILLS):
        answered_before, asked_before = stored_keys(runs.home / "store.db"), model.tally.asked
        tell(allowed, kills + 2)
        alive = runs.killed(rng)
        kills += alive
        asked_again = {key for key in answered_before if model.tally.asked[key] > asked_before[key]}
        assert not asked_again, "a call whose answer was in the journal was asked again"
        worked_on, logs = runs.worked_on(logs)
        assert not worked_on & finished, "a finished question was done again"
        finished = set(runs.finished())
        if kills >= KILLS or not alive:
            break
    assert kills >= KILLS, f"the work was done after {kills} kills: make it longer"
    assert 0 < len(finished) < QUESTIONS, "kills met a run that was really under way"

    tell(allowed, QUESTIONS)
    assert runs.undisturbed() == 0
    lines = file_of(tmp_path / "killed" / "episodes", runs.slug).read_bytes().splitlines()
    doubled = [key for key, count in Counter(json.loads(line)["episode_id"] for line in lines).items() if count > 1]
    assert not doubled, "an episode was written twice"
    assert len(runs.finished()) == QUESTIONS, "an episode was lost"

    calls = sum(model.tally.asked.values())
    assert runs.undisturbed() == 0
    assert sum(model.tally.asked.values()) == calls, "a run with nothing to do asks nothing"

    calm = Runs(tmp_path, tmp_path / "calm", model, prefect_server)
    assert calm.undisturbed() == 0
    assert runs.finished() == calm.finished(), "it ends where an undisturbed run ends"
    verdicts = Counter(outcome[0] for _, outcome in calm.finished().values())  # type: ignore[index]
    assert verdicts["verified"] >= QUESTIONS * 3 // 5
    assert verdicts["verified"] < QUESTIONS, "answers that disagree are not verified"
