"""The settings of the installation: what a variable cannot mean is told in one sentence, by every command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from blocks.errors import UserError
from blocks.settings import Settings, settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERVER_TTL", "nonsense"), ("SERVER_TTL", "-1"), ("SERVER_TTL", "nan"), ("SERVER_TTL", "inf"),
        ("MAX_CONTAINERS", "0"), ("MAX_CONTAINERS", "2.5"), ("RUNTIME", "podman"), ("WARM_S", "-3"),
        ("TRUST_PROXY", "perhaps"),
    ],
)  # fmt: skip
def test_a_setting_of_nonsense_is_one_sentence(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"TRIGPOINT_{name}", value)
    settings.cache_clear()
    with pytest.raises(UserError, match=f"TRIGPOINT_{name} is '{value}'") as told:
        settings()
    default = Settings.model_fields[name.lower()].default
    assert f"unset it, then it is {default!r}" in told.value.remedy
    assert "\n" not in str(told.value)


def test_a_setting_of_nothing_is_as_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.setenv(f"TRIGPOINT_{name.upper()}", "")
    found = Settings()
    assert found.home == Path("data"), "not the current folder"
    assert (found.server_ttl, found.runtime, found.store_url) == (300.0, "auto", SecretStr(""))


FLOWS = sorted(path.stem for path in (ROOT / "flows").glob("[!_]*.py"))
COMMANDS = [f"flows/{name}.py" + (" no.csv" if name == "download" else "") for name in FLOWS]


@pytest.mark.parametrize("command", [*COMMANDS, "-m blocks.host_check", "-m blocks.work_pools"])
def test_a_command_says_it_and_ends(command: str, tmp_path: Path) -> None:
    # Pools are those of a server; this one is not asked.
    server = {"PREFECT_API_URL": "http://127.0.0.1:9/api"} if "pools" in command else {}
    done = subprocess.run(
        [sys.executable, *command.split()], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "TRIGPOINT_HOME": str(tmp_path), "TRIGPOINT_MAX_CONTAINERS": "many"} | server,
    )  # fmt: skip
    assert done.returncode == 2
    assert "TRIGPOINT_MAX_CONTAINERS is 'many'" in done.stderr
    assert "Traceback" not in done.stderr
