"""The options of a night: how much may be asked, until when datasets are begun, how many at once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from blocks.frozen import Frozen


class NightlyOptions(Frozen):
    """How much one night may do."""

    most_questions: Annotated[int, Field(ge=1, description="new questions asked in the whole night")] = 500
    most_per_dataset: Annotated[int, Field(ge=1, description="new questions asked of one dataset in a night")] = 100
    hours: Annotated[
        float, Field(gt=0, le=48, description="no dataset is begun later than this after the start; those begun end")
    ] = 6.0
    deployment: Annotated[
        str,
        Field(min_length=1, description="which deployments of download, question and episode the night starts"),
    ] = "hosts"
    crash_retries: Annotated[
        int, Field(ge=0, le=10, description="times a flow is started again that was lost with its container or host")
    ] = 1
    parallel_datasets: Annotated[
        int, Field(ge=1, le=64, description="datasets at once, a container each; run locally: one after the other")
    ] = 2
