"""What a run works with: a saved model with its key, and the runtime that `auto` stands for on a host."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocks.chat.models import ChatRequest, Message
from blocks.chat_model import ChatModel
from blocks.errors import SandboxUnavailable, UserError
from blocks.settings import settings
from blocks.specs import ModelSpec, PoolSpec
from blocks.workbench import prewarm, workbench
from tests.support.model_server import ModelServer

KEY = "sk-of-the-block"


@pytest.mark.server
@pytest.mark.usefixtures("on_server")
async def test_a_saved_model_is_asked_with_its_key() -> None:
    with ModelServer() as model:
        saved = ChatModel(model="scripted", base_url=model.base_url, api_key=KEY)
        await saved.save("nightly", overwrite=True)
        async with workbench(PoolSpec(runtime="process"), ModelSpec("block:nightly", max_in_flight=3)) as bench:
            assert bench.model == "scripted"
            await bench.client.complete(ChatRequest(model=bench.model, messages=(Message(role="user", content="?"),)))
        assert model.asks[0].headers["authorization"] == f"Bearer {KEY}"
    store = (Path(settings().home) / "store.db").read_bytes()
    assert KEY.encode() not in store


@pytest.mark.server
@pytest.mark.usefixtures("on_server")
async def test_a_model_that_is_not_saved_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"No Chat Model block is saved as 'nobody'\. Make one on the Blocks page"):
        async with workbench(PoolSpec(runtime="process"), ModelSpec("block:nobody")):
            pass


def test_in_a_flows_container_auto_never_means_the_weaker_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIGPOINT_RUNTIME", "docker")
    settings.cache_clear()
    with pytest.raises(SandboxUnavailable, match=r"/nowhere/docker\.sock"):
        prewarm(PoolSpec(docker_host="unix:///nowhere/docker.sock"), 0)
