"""A flow that does next to nothing, to be started by its entry point or by a deployment."""

from __future__ import annotations

from prefect import State, flow
from prefect.states import Completed, Failed


@flow(name="small")
async def small(number: int = 1) -> State[int]:
    """Complete, unless the number is negative, and say so."""
    return (Failed if number < 0 else Completed)(message=f"the number was {number}")


@flow(name="small-and-broken")
async def broken(number: int = 1) -> None:
    """Raise."""
    raise ValueError(f"{number} is no number")
