"""The log of a dataset on a disk that is full: told where it matters, and no traceback in what the run shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.runs.logs import dataset_log, told


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A folder whose log of `t` has no room."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no device that is always full")
    (tmp_path / "t.log").symlink_to("/dev/full")
    return tmp_path


def test_a_log_without_room_is_silent(full: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with dataset_log(full, "t") as log:
        log.info("first")
        log.warning("second")
    assert capsys.readouterr().err == ""


def test_a_traceback_without_room_is_told_as_lost(full: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = told(ValueError("odd"), full, "t")
    assert said == "t: ValueError: odd (its log cannot be written: No space left on device)."
    assert capsys.readouterr().err == ""


def test_an_error_that_nobody_foresaw_is_told_on_one_line(tmp_path: Path) -> None:
    where = f"(the traceback is in {tmp_path / 't.log'})."
    assert told(ValueError("odd\n  and long"), tmp_path, "t") == f"t: ValueError: odd and long {where}"
    assert told(KeyError(), tmp_path, "t") == f"t: KeyError: no more is known {where}"
