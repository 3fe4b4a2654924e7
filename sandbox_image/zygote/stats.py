"""What a sandbox uses at the moment, read from /proc."""

from __future__ import annotations

from typing import Any

from sandbox_image.zygote import procfs
from sandbox_image.zygote.scratch import measure
from sandbox_image.zygote.slot import Slot


def resident(pid: int) -> int:
    """Resident memory of a process, shared pages included, bytes; 0 when it is gone."""
    status = procfs.read_status(pid)
    return 0 if status is None else status.anonymous + status.file + status.shared


def of_template(pid: int) -> dict[str, Any]:
    """The process that holds libraries and dataset."""
    return {"pid": pid, "rss_bytes": resident(pid), "pss_bytes": procfs.proportional_bytes(pid)}


def of_session(slot: Slot) -> dict[str, Any]:
    """One session; zeros while its process is being started."""
    worker = slot.worker
    if worker is None or not worker.ready:
        pid = worker.pid if worker is not None else 0
        zeros = dict.fromkeys(("rss_bytes", "private_bytes", "pss_bytes", "scratch_bytes"), 0)
        return {"pid": pid, "state": slot.state, "cells": 0, "cpu_s": 0.0, **zeros}
    return {
        "pid": worker.pid,
        "state": slot.state,
        "cells": worker.cells,
        "rss_bytes": resident(worker.pid),
        "private_bytes": procfs.private_bytes(worker.pid),
        "pss_bytes": procfs.proportional_bytes(worker.pid),
        "cpu_s": procfs.cpu_seconds(worker.pid) or 0.0,
        "scratch_bytes": measure(worker.scratch, stop_at_bytes=slot.limits.scratch_bytes).bytes,
    }
