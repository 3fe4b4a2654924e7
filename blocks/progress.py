"""A run's progress as a Prefect artifact, written at most about once a second: each update is an API call."""

from __future__ import annotations

import time
from uuid import UUID

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect.artifacts import acreate_progress_artifact, aupdate_progress_artifact

PERIOD_S = 1.0


class ProgressArtifact:
    """Counts finished pieces and shows the share in the UI, in place.

    Args:
        total: Pieces there are.
        description: What is counted.
    """

    def __init__(self, total: int, description: str) -> None:
        self._total = max(total, 1)
        self._description = description
        self._done = 0
        self._id: UUID | None = None
        self._shown = 0.0

    async def advance(self, count: int = 1, description: str | None = None) -> None:
        """Some more pieces are done; with a description, that is shown from now on."""
        self._done += count
        self._description = description or self._description
        now = time.monotonic()
        if self._done < self._total and now - self._shown < PERIOD_S:
            return
        self._shown = now
        percent = min(100.0, 100.0 * self._done / self._total)
        if self._id is None:
            artifact = await acreate_progress_artifact(percent, description=self._description)
            self._id = artifact if isinstance(artifact, UUID) else artifact.id
        else:
            await aupdate_progress_artifact(self._id, percent, self._description)
