"""The options of upkeep."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from blocks.frozen import Frozen
from blocks.remains import SILENT_AT_LEAST_S


class UpkeepOptions(Frozen):
    """What upkeep may do, and how patient it is."""

    apply: Annotated[bool, Field(description="do it; without, upkeep only lists what it would do")] = False
    silent_minutes: Annotated[
        float,
        Field(
            ge=SILENT_AT_LEAST_S / 60,
            le=7 * 24 * 60,
            description="a run is dead when it was not heard of for so long, and is not found alive",
        ),
    ] = SILENT_AT_LEAST_S / 60
    grace: Annotated[
        float, Field(ge=1, le=600, description="seconds between asking something to end and killing it")
    ] = 30.0
    logs_days: Annotated[float, Field(ge=0, description="logs of runs are kept for so long")] = 90.0
    logs_gib: Annotated[float | None, Field(ge=0, description="the oldest go above this; empty: no bound")] = 5.0
    results_days: Annotated[float, Field(ge=0, description="results of tasks are kept for so long")] = 30.0
    results_gib: Annotated[float | None, Field(ge=0, description="and the oldest go above this; empty: no bound")] = (
        20.0
    )
    journal_days: Annotated[
        float, Field(ge=1, description="answered model calls are kept for so long; a rerun pays for older ones again")
    ] = 365.0
    docker_host: Annotated[
        str | None, Field(description="engine address unix://, tcp:// or ssh://; empty: DOCKER_HOST or the local one")
    ] = None
