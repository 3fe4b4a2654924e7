"""Which models are out of order, as far as a store knows: those whose breaker is open."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import Connection, select

from blocks.chat.breaker import Breaker, State
from blocks.chat.journal import Journal
from blocks.chat.schema import breakers
from blocks.chat.sending import clock
from blocks.frozen import Frozen


class Outage(Frozen):
    """A model that is not asked for now."""

    schema_version: Literal[1] = 1
    endpoint: str
    model: str
    """As its provider names it."""
    state: State
    since: datetime
    """When its breaker opened last, UTC."""
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
    """Every model whose breaker is not closed.

    Args:
        journal: In the store that calls are made with.
    """
    return await journal.query(_outages)


def _outages(connection: Connection) -> tuple[Outage, ...]:
    now = clock(connection)
    query = select(breakers).where(breakers.c.state != "closed").order_by(breakers.c.endpoint, breakers.c.asked_model)
    return tuple(
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
    )
