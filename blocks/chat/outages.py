"""Which models are out of order, as far as a store knows: their breaker is open, or their server asks for a wait."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import Connection, select

from blocks.chat.breaker import Breaker, State
from blocks.chat.journal import Journal
from blocks.chat.patience import time_of_day
from blocks.chat.schema import breakers
from blocks.chat.sending import clock
from blocks.chat.server_waits import standing_waits
from blocks.frozen import Frozen


class Outage(Frozen):
    """A model that is not asked for now."""

    schema_version: Literal[1] = 1
    endpoint: str
    model: str
    """As its provider names it."""
    state: State | Literal["told to wait"]
    since: datetime
    """When its breaker opened last, or when its server was asked last, UTC."""
    trips: int
    """Openings in a row."""
    reason: str
    wait_s: float
    """Seconds until it is worth asking again; 0: the next call tries."""

    def sentence(self) -> str:
        """For people."""
        wait = f"the next try is in {self.wait_s:.0f} s" if self.wait_s >= 1 else "the next call tries"
        return f"{self.model} at {self.endpoint} is not asked for now: {self.reason}; {wait}"


async def outages(journal: Journal) -> tuple[Outage, ...]:
    """Every model whose breaker is not closed, or whose server has asked to send nothing for long.

    Args:
        journal: In the store that calls are made with.
    """
    return await journal.query(_outages)


def _outages(connection: Connection) -> tuple[Outage, ...]:
    now = clock(connection)
    query = select(breakers).where(breakers.c.state != "closed").order_by(breakers.c.endpoint, breakers.c.asked_model)
    broken = [
        Outage(
            endpoint=row.endpoint,
            model=row.asked_model,
            state=row.state,
            since=datetime.fromtimestamp(row.since, UTC),
            trips=row.trips,
            reason=row.reason,
            wait_s=Breaker.of(row).wait_s(now),
        )
        for row in connection.execute(query)
    ]
    told = [
        Outage(
            endpoint=wait.endpoint,
            model=wait.model,
            state="told to wait",
            since=datetime.fromtimestamp(wait.since, UTC),
            trips=0,
            reason=f"its server has asked to send nothing until {time_of_day(wait.until, now)} ({wait.said})",
            wait_s=wait.until - now,
        )
        for wait in standing_waits(connection, now)
    ]
    return (*broken, *told)
