"""The key goes into the request's header and nowhere else: not to disk, logs, errors, reprs or exports."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from pydantic import SecretStr

from blocks.chat.client import ModelClient
from blocks.chat.endpoints import parse_model
from blocks.chat.errors import ChatError
from blocks.chat.journal import Journal
from blocks.chat.retry import RetryPolicy
from tests.support.chat import KEY, Waits, ask
from tests.support.model_answers import Answer, Ask, error
from tests.support.model_server import ModelServer

PASSWORD = "pass-word-9876543210"
QUERY_KEY = "query-key-5555555555"


def _parrot(ask: Ask) -> Answer:
    """Repeats the caller's credentials wherever it can, in good replies and in errors."""
    said = f"{ask.headers.get('authorization')} {ask.path}"
    if ask.number < 3:
        return error(500, {"error": {"message": f"broken for {said}"}}, headers={"X-Echo": said})
    return Answer(content=f"you are {said}", model=said, headers={"X-Echo": said, "Set-Cookie": "track=1"})


@pytest.mark.parametrize("form", ["header", "url"])
async def test_no_secret_is_kept_or_shown(form: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with ModelServer(_parrot) as server, Journal(tmp_path / "store.db") as journal:
        address = server.base_url.replace("http://", f"http://me:{PASSWORD}@") + f"?key={QUERY_KEY}"
        endpoint = (
            parse_model("m", server.base_url, api_key=SecretStr(KEY)) if form == "header" else parse_model("m", address)
        ).endpoint
        client = ModelClient(endpoint, journal=journal, sleep=Waits())
        once = ModelClient(endpoint, journal=journal, retry=RetryPolicy(max_attempts=1))
        with pytest.raises(ChatError) as caught:
            await once.complete(ask("other"))
        reply = await client.complete(ask())
        await journal.export_jsonl(tmp_path / "export.jsonl")
        seen = [repr(client), repr(endpoint), repr(caught.value), repr(vars(caught.value)), str(caught.value)]
        seen += [repr(reply), caplog.text]
        await client.aclose()
        await once.aclose()
    on_disk = await asyncio.to_thread(lambda: b"".join(path.read_bytes() for path in tmp_path.rglob("*.*")))
    seen.append(on_disk.decode("latin-1"))
    assert "you are" in seen[-1], "the test reads what was stored"
    assert "you are" in repr(reply)
    for secret in (KEY, PASSWORD, QUERY_KEY, "bWU6cGFzcy13b3Jk"):
        assert [text for text in seen if secret in text] == []
    sent = server.asks[-1]
    assert (KEY in sent.headers["authorization"]) if form == "header" else (QUERY_KEY in sent.path)


async def test_cookies_do_not_tie_calls_together(tmp_path: Path) -> None:
    with ModelServer(lambda _: Answer(headers={"Set-Cookie": "track=1; Path=/"})) as server:
        with Journal(tmp_path / "store.db") as journal:
            client = ModelClient(parse_model("m", server.base_url).endpoint, journal=journal)
            await client.complete(ask("one"))
            await client.complete(ask("two"))
            await client.aclose()
        assert "cookie" not in server.asks[1].headers


async def test_the_environments_proxy_and_netrc_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with ModelServer() as server, Journal(tmp_path / "store.db") as journal:
        client = ModelClient(parse_model("m", server.base_url, environ={}).endpoint, journal=journal)
        await client.complete(ask())
        await client.aclose()
        assert "authorization" not in server.asks[0].headers
        proxied = ModelClient(
            parse_model("m", server.base_url, environ={}).endpoint,
            journal=journal,
            trust_proxy=True,
            retry=RetryPolicy(max_attempts=1),
        )
        # Where proxies are heeded too, this machine's own addresses need none; others: tests/blocks/test_proxies.py.
        await proxied.complete(ask("not through a proxy that is not there"))
        await proxied.aclose()
        assert len(server.asks) == 2
