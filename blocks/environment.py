"""Process environment that must stand before Prefect is imported; importing this module sets it.

Loopback is spared from proxies, or Prefect would look for a server of this machine through one. Nothing phones
home: Prefect's analytics are off unless the user turns them on. Whatever the user has set stays.
"""

from __future__ import annotations

import os
from pathlib import Path

from blocks.proxies import spare_loopback

DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # What holds a run up stands in the run's log; what is noticed outside of a run, nowhere.
    "PREFECT_LOGGING_EXTRA_LOGGERS": "blocks.chat,blocks.slots",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    # A run that is silent for three beats is taken for dead. Prefect's own beat, three minutes, makes that ten.
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    # A first start migrates the database, which takes longer than Prefect's 20 s.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(Path(os.environ.get("TRIGPOINT_HOME") or "data", "results").absolute()),
}

for _name, _value in DEFAULTS.items():
    os.environ.setdefault(_name, _value)
spare_loopback(os.environ.get("PREFECT_API_URL"))
