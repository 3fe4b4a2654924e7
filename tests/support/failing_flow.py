"""A flow whose model is down, as a program: RUN-URL STORE; prints the run's id and how its calls ended."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect import flow
from prefect.context import FlowRunContext

from blocks.chat.errors import ChatError
from blocks.chat.retry import RetryPolicy
from blocks.chat_model import ChatModel
from tests.support.chat import MODEL, ask

ONCE = RetryPolicy(max_attempts=1, max_breaker_wait_s=0)


@flow(name="failing")
async def failing(url: str, store: str, calls: int) -> list[str]:
    """Ask so often."""
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    ends = [str(context.flow_run.id)]
    block = ChatModel(model=MODEL, base_url=url, journal=Path(store), retry=ONCE)
    async with block.get_client() as client:
        for number in range(calls):
            try:
                await client.complete(ask(f"question {number}"))
                ends.append("ok")
            except ChatError as error:
                ends.append(error.kind)
    return ends


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(failing(sys.argv[1], sys.argv[2], 21))) + "\n")
