"""A run's limits and budgets on a model's block, and the price that a cap on money needs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from blocks.budget import Budget
from blocks.chat.budget import Caps
from blocks.chat.errors import UnknownPrice
from blocks.chat.prices import Price
from blocks.chat_model import ChatModel
from blocks.model_desk import model_desk
from blocks.specs import Spending
from blocks.spending import limited
from tests.support.model_server import ModelServer

LISTED = {"id": "coder", "pricing": {"prompt": "0.00000022", "completion": "0.00000095"}}
DOLLAR = Spending(run_caps=Caps(usd=1.0))


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        server.pages["/v1/models"] = lambda body: {"data": [LISTED]}
        yield server


async def test_a_cap_on_money_takes_the_price_that_the_provider_lists(server: ModelServer) -> None:
    block = ChatModel(model="coder", base_url=server.base_url)
    chosen = await limited(block, DOLLAR)
    assert chosen.price == Price(input_usd_per_mtok=0.22, output_usd_per_mtok=0.95)
    await chosen.get_client().aclose()
    own = Price(input_usd_per_mtok=1, output_usd_per_mtok=2)
    assert (await limited(block.model_copy(update={"price": own}), DOLLAR)).price == own, "the user knows better"
    assert (await limited(block, Spending(run_caps=Caps(requests=5)))).price is None, "nobody needs to know"


async def test_models_wanted_at_once_ask_their_provider_for_its_list_once(server: ModelServer) -> None:
    asked: list[Any] = []

    def page(body: Any) -> Any:
        asked.append(body)
        return {"data": [{**LISTED, "context_length": 4096}]}

    server.pages["/v1/models"] = page
    desk_of = model_desk(
        base_url=server.base_url, timeout_s=600.0, in_flight=lambda provider: 4, warn=pytest.fail, spending=DOLLAR
    )
    async with desk_of as desk:
        seats = await asyncio.gather(*(desk.seat("compatible", "coder", {"top_k": n % 2}) for n in range(6)))
        assert [seat is seats[n % 2] for n, seat in enumerate(seats)] == [True] * 6
        assert {seat.block.price for seat in seats} == {Price(input_usd_per_mtok=0.22, output_usd_per_mtok=0.95)}
        assert await seats[0].window() == 4096
        assert await desk.listed("compatible", "coder") is True
        assert await desk.listed("compatible", "another") is False
    assert len(asked) == 1


async def test_where_nobody_knows_the_price_nothing_is_sent(server: ModelServer) -> None:
    for model in ("another", "coder"):
        chosen = await limited(ChatModel(model=model, base_url=server.base_url), DOLLAR)
        with pytest.raises(UnknownPrice, match=f"the price of {model} is unknown"):
            chosen.get_client()
        server.pages.clear()


async def test_a_runs_caps_never_loosen_those_of_a_budget() -> None:
    block = ChatModel(model="coder", base_url="http://127.0.0.1:9/v1", budget=Budget(run=Caps(requests=10, tokens=7)))
    chosen = await limited(block, Spending(run_caps=Caps(requests=99, tokens=5), requests_per_minute=3))
    assert chosen.budget is not None
    assert (chosen.budget.run.requests, chosen.budget.run.tokens) == (10, 5)
    assert chosen.requests_per_minute == 3
