"""A file that only grows: what was appended is there at the place that was told, what was not leaves no trace."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.appended import AppendedFile

LINES = st.lists(st.binary(max_size=200).map(lambda data: data.replace(b"\n", b"")), max_size=20)


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file grows beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@given(lines=LINES)
def test_every_line_is_found_where_it_was_said_to_begin(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    with AppendedFile(tmp_path_factory.mktemp("appended") / "new" / "file") as file:
        places = [file.append(line + b"\n") for line in lines]
        assert [file.line_at(place) for place in places] == lines
        with file.reader() as whole:
            assert whole.read() == b"".join(line + b"\n" for line in lines)


def test_a_long_line_is_read_whole(tmp_path: Path) -> None:
    with AppendedFile(tmp_path / "file") as file:
        file.append(b"short\n")
        place = file.append(b"x" * 200_000 + b"\n")
        file.append(b"behind\n")
        assert file.line_at(place) == b"x" * 200_000


def test_where_there_is_no_room_the_file_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with AppendedFile(path) as file:
        file.append(b"one\n")
        with room_for(8), pytest.raises(OSError, match="File too large"):
            file.append(b"much too long\n")
        assert path.read_bytes() == b"one\n"
        assert file.append(b"two\n") == 4
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_closed_file_takes_nothing(tmp_path: Path) -> None:
    file = AppendedFile(tmp_path / "file")
    file.close()
    file.close()
    assert file.closed
    with pytest.raises(OSError, match="closed"):
        file.append(b"late\n")


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with AppendedFile(tmp_path / "file") as first, AppendedFile(tmp_path / "file") as second:
        first.lock()
        with pytest.raises(BlockingIOError):
            second.lock()
        first.close()
        second.lock()
