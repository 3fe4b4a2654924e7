"""The GPU driver of a host, as its own tool tells it."""

from __future__ import annotations

import shutil
import subprocess

from blocks.host.findings import Finding, ok, wrong

TOOL = "nvidia-smi"
WHAT = "GPU driver"
PATIENCE_S = 20.0
"""A driver in trouble lets its tool hang."""
_QUESTION = ("--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
_DRIVER = "Install NVIDIA's driver for the running kernel, or reboot into the one it was built for."


def has_driver() -> bool:
    """Whether the driver's tool is on the path: then a GPU is meant to be used here."""
    return shutil.which(TOOL) is not None


def look_at_driver(asked: bool) -> list[Finding]:
    """Whether the driver answers; nothing where there is none and none was asked for."""
    tool = shutil.which(TOOL)
    if tool is None:
        return [wrong(WHAT, f"there is no {TOOL} on the path", _DRIVER)] if asked else []
    try:
        done = subprocess.run([tool, *_QUESTION], capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        return [wrong(WHAT, f"{TOOL} did not answer within {PATIENCE_S:g} s", _DRIVER)]
    except OSError as error:
        return [wrong(WHAT, f"{tool} could not be run: {error.strerror or error}", _DRIVER)]
    said = [line.strip() for line in (done.stdout if done.returncode == 0 else done.stdout + done.stderr).splitlines()]
    said = [line for line in said if line]
    if done.returncode != 0 or not said:
        words = said[0] if said else "it named no GPU"
        return [wrong(WHAT, f"{TOOL} failed (exit code {done.returncode}): {words}", _DRIVER)]
    return [ok(WHAT, "; ".join(said))]
