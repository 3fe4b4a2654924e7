"""The scripted model server keeps its own promises: tests of others lean on its counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.model_answers import Answer, error, in_turn
from tests.support.model_server import ModelProcess, ModelServer, Tally

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def _post(url: str, body: dict[str, Any] = BODY, key: str = "k1", timeout: float = 100.0) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=timeout) as client:
        return client.post(f"{url}/chat/completions", json=body, headers={"Idempotency-Key": key})


def test_answers_in_turn_and_counts_by_key() -> None:
    with ModelServer(in_turn(error(500), Answer(content="second"))) as server:
        assert _post(server.base_url).status_code == 500
        assert _post(server.base_url).json()["choices"][0]["message"]["content"] == "second"
        assert _post(server.base_url, key="other").status_code == 500
        assert server.tally.asked == {"k1": 2, "other": 1}
        assert server.tally.answered == {"k1": 1}


def test_the_log_outlives_the_server_and_ignores_a_torn_line(tmp_path: Path) -> None:
    log = tmp_path / "calls.jsonl"
    with ModelProcess(log) as first:
        _post(first.base_url)
    with log.open("ab") as file:
        file.write(b'{"event": "ask')
    assert Tally.read(log).answered == {"k1": 1}


def test_a_script_sees_earlier_runs_in_the_ask_number(tmp_path: Path) -> None:
    script, log = tmp_path / "behave.py", tmp_path / "calls.jsonl"
    script.write_text(
        "from tests.support.model_answers import Answer, Ask\n"
        "async def behave(ask: Ask) -> Answer:\n    return Answer(content=f'time {ask.number}')\n"
    )
    for run in (1, 2):
        with ModelProcess(log, script) as server:
            assert _post(server.base_url).json()["choices"][0]["message"]["content"] == f"time {run}"


@pytest.mark.parametrize("answer", [Answer(drop=True), Answer(cut_at=5)])
def test_a_broken_answer_is_asked_but_not_answered(answer: Answer) -> None:
    with ModelServer(lambda ask: answer) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            _post(server.base_url)
        assert server.tally.asked["k1"] == 1
        assert server.tally.answered["k1"] == 0


def test_a_stalled_answer_ends_with_the_client() -> None:
    with ModelServer(lambda ask: Answer(stall=True)) as server, pytest.raises(httpx.ReadTimeout):
        _post(server.base_url, timeout=0.2)


def test_speaks_ollama() -> None:
    with ModelServer(lambda ask: Answer(content="x", tool_calls=(("run", '{"a": 1}'),))) as server:
        url = f"{server.ollama_url}/api/chat"
        reply = httpx.post(url, content=json.dumps(BODY), trust_env=False, timeout=100).json()
    assert reply["message"]["tool_calls"] == [{"function": {"name": "run", "arguments": {"a": 1}}}]
    assert reply["done"] is True
