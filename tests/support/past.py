"""Turns a Prefect server's clock: what it knows of some runs is moved into the past, in its own records."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

_BACK = "strftime('%Y-%m-%d %H:%M:%f000', {}, '-30 minutes')"
_RUNS = """
    select id from flow_run
    where id = '{0}' or parent_task_run_id in (select id from task_run where flow_run_id = '{0}')
"""
_BEATS = """
    event = 'prefect.flow-run.heartbeat' and resource_id in (select 'prefect.flow-run.' || id from ({runs}))
"""
_LATE = """
    create trigger "late_{run}" after insert on events
    begin update events set occurred = {back} where id = new.id and {beats}; end
"""


def half_an_hour_ago(home: Path, *runs: str) -> None:
    """As though the runs and their parts had begun, and last been heard of, thirty minutes before.

    Their heartbeats that the server has not written down yet, for it does so every few seconds, are moved when it does.

    Args:
        home: PREFECT_HOME of the server, which goes on.
        runs: Their ids.
    """
    with closing(sqlite3.connect(home / "prefect.db", timeout=30)) as records, records:
        for run in runs:
            chosen = _RUNS.format(UUID(run))
            beats = _BEATS.format(runs=chosen)
            for table, column, where in (
                ("flow_run_state", "timestamp", f"flow_run_id in ({chosen})"),
                ("flow_run", "state_timestamp", f"id in ({chosen})"),
                ("events", "occurred", beats),
            ):
                records.execute(f"update {table} set {column} = {_BACK.format(column)} where {where}")
            records.execute(_LATE.format(run=run, back=_BACK.format("occurred"), beats=beats))
