"""The demo as a newcomer runs it: no key, no server, no network; every reply replayed, every cell run anew."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from flows.samples import SLUGS
from flows.samples.recording import JOURNAL
from flows.verification.records import Episode
from flows.verification.store import read_episodes
from tests.support.dataset_files import file_of

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_home"), pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
WATCH = """
import json, os, sys

def _watch(event, arguments):
    if event == "socket.connect":
        _write(repr(arguments[1]))
    elif event == "socket.getaddrinfo":
        _write(repr((str(arguments[0]), arguments[1])))
    elif event in ("socket.sendto", "socket.sendmsg") and arguments[-1] is not None:
        _write(repr(arguments[-1]))

def _write(address):
    handle = os.open(os.environ["WATCH_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, (address + "\\n").encode())
    os.close(handle)

sys.addaudithook(_watch)
"""


def run(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return command(home, sys.executable, "flows/episode.py", *arguments, **environment)


def command(home: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "TRIGPOINT_HOME": str(home), "COLUMNS": "120", **environment}
    return subprocess.run(
        words, cwd=ROOT, env=settings, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )


def episodes(home: Path) -> list[Episode]:
    return [episode for slug in SLUGS for episode in read_episodes(file_of(home / "episodes", slug))]


def check_demo(home: Path, done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    made = episodes(home)
    verdicts = Counter(episode.verdict.verdict for episode in made)
    assert verdicts["verified"] >= 8
    assert len(verdicts) >= 3, "the recording holds disagreement and failure too"
    assert all(call.replayed for episode in made for call in calls_of(episode))
    recorded = {json.loads(line)["key"] for line in JOURNAL.read_text().splitlines()}
    assert {call.key for episode in made for call in calls_of(episode)} == recorded
    for episode in made:
        assert episode.question.id in done.stdout
    assert f"{verdicts['verified']} of {len(made)} verified" in done.stdout
    assert "OPENROUTER_API_KEY" in done.stdout
    assert "Traceback" not in done.stderr


def calls_of(episode: Episode) -> list[Any]:
    return [message.call for trace in episode.attempts for message in trace.messages if message.call is not None]


def test_demo_makes_no_connection_that_leaves_the_machine_and_keeps_what_is_done(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    watched = tmp_path / "connections.txt"
    home = tmp_path / "home"
    done = run(home, "--runtime", "process", PYTHONPATH=str(tmp_path), WATCH_FILE=str(watched))
    check_demo(home, done)
    addresses = set(watched.read_text().splitlines())
    assert addresses, "the watch saw the connections to the temporary server"
    strangers = {address for address in addresses if not re.search(r"'(127\.0\.0\.1|localhost|::1|/[^']*)'", address)}
    assert not strangers

    again = run(home, "--runtime", "process")
    assert again.returncode == 0, again.stderr
    assert "14 done by earlier runs, 0 model calls" in again.stdout
    assert len(episodes(home)) == 14

    # Should the episode files be lost, the results that Prefect has kept make them again.
    before = {episode.episode_id: episode.verdict for episode in episodes(home)}
    for slug in SLUGS:
        file_of(home / "episodes", slug).unlink()
    assert run(home, "--runtime", "process").returncode == 0
    assert {episode.episode_id: episode.verdict for episode in episodes(home)} == before


@pytest.mark.engine
def test_make_demo_in_containers(tmp_path: Path) -> None:
    """The README's own command."""
    home = tmp_path / "home"
    check_demo(home, command(home, "make", "demo", "ARGS=--runtime docker", f"VENV={Path(sys.executable).parents[1]}"))
    digests = {episode.provenance.sandbox.image_digest for episode in episodes(home)}
    assert len(digests) == 1
    assert {episode.provenance.sandbox.runtime for episode in episodes(home)} == {"docker"}
