"""A file that is replaced: whole or as before, in a folder that may not be there yet, with nothing left beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from blocks.replaced import UNFINISHED, replacing
from flows.tidying.retention import look

KILLED = """
import os, signal, sys
from pathlib import Path
from blocks.replaced import replacing
with replacing(Path(sys.argv[1])) as fresh:
    fresh.write_text("half of the n")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "report.json"
    for text in ("first", "second"):
        before = path.read_text() if path.exists() else None
        with replacing(path) as fresh:
            fresh.write_text(text)
            assert (path.read_text() if path.exists() else None) == before
        assert path.read_text() == text
    assert os.listdir(path.parent) == ["report.json"]


def test_a_body_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), replacing(path) as fresh:
        fresh.write_text("new, up to \udc80")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.json"]


def test_a_new_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("")
    with replacing(tmp_path / "report.json") as fresh:
        fresh.write_text("new")
    assert (tmp_path / "report.json").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_what_a_killed_writer_leaves_is_known_to_upkeep(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, timeout=60)
    assert path.read_text() == "old"
    (left,) = look(tmp_path)
    assert (left.kind, left.path.suffix, left.path.read_text()) == ("leftovers", UNFINISHED, "half of the n")


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"
    assert os.listdir(tmp_path) == ["report.json"]
