"""Scratch folders are measured truthfully and removed whatever is in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox_image.zygote.scratch import MAX_DEPTH, MAX_ENTRIES, Remover, measure


def remove(folder: Path) -> None:
    remover = Remover()
    remover.add(str(folder))
    remover.finish()


def deep(folder: Path, levels: int) -> None:
    here = os.getcwd()
    try:
        os.chdir(folder)
        for _ in range(levels):
            os.mkdir("d" * 100)
            os.chdir("d" * 100)
            Path("f").write_text("x")
    finally:
        os.chdir(here)


def test_a_tree_deeper_than_any_path_may_be_long_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    deep(folder, 1_200)
    remove(folder)
    assert not folder.exists()


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "link").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    (folder / "dangling").symlink_to("nowhere")
    remove(folder)
    assert not folder.exists()
    assert (outside / "precious").read_text() == "x"


def test_a_link_in_place_of_the_folder_leads_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (tmp_path / "s").symlink_to(outside)
    remove(tmp_path / "s")
    assert (outside / "precious").exists()


def test_folders_without_any_permission_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    (folder / "shut" / "inner").mkdir(parents=True)
    (folder / "shut" / "inner" / "f").write_text("x")
    (folder / "shut" / "inner").chmod(0)
    (folder / "shut").chmod(0o500)
    remove(folder)
    assert not folder.exists()


def test_removal_stops_when_its_time_is_up_and_goes_on_later(tmp_path: Path) -> None:
    folders = [tmp_path / f"s{number}" for number in range(3)]
    for folder in folders:
        folder.mkdir()
        for number in range(600):
            (folder / str(number)).touch()
    remover = Remover()
    for folder in folders:
        remover.add(str(folder))
    remover.work(0.0)
    assert remover.busy
    while remover.busy:
        remover.work(0.001)
    assert not any(folder.exists() for folder in folders)


def test_a_folder_that_is_gone_already_is_no_trouble(tmp_path: Path) -> None:
    remove(tmp_path / "never")


def test_measuring_counts_blocks_not_lengths(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"x" * 100_000)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10**9)
    usage = measure(str(tmp_path), stop_at_bytes=10**12)
    assert 100_000 <= usage.bytes < 1_000_000
    assert usage.entries == 2


def test_measuring_does_not_follow_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "big").write_bytes(b"x" * 1_000_000)
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "link").symlink_to(outside)
    assert measure(str(folder), stop_at_bytes=10**12).bytes < 100_000


def test_measuring_stops_at_its_bounds(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / str(number)).write_bytes(b"x" * 10_000)
    assert measure(str(tmp_path), stop_at_bytes=50_000).bytes < 100_000
    nested = tmp_path / "n"
    nested.mkdir()
    deep(nested, MAX_DEPTH + 5)
    assert measure(str(nested), stop_at_bytes=10**12).too_deep
    remove(nested)


def test_a_crowd_of_empty_files_is_seen(tmp_path: Path) -> None:
    for number in range(MAX_ENTRIES + 1):
        os.mknod(tmp_path / str(number))
    assert measure(str(tmp_path), stop_at_bytes=10**12).entries > MAX_ENTRIES


@pytest.mark.parametrize("name", ["a\nb", "a b", "-rf", "é", b"\xff\xfe".decode("utf-8", "surrogateescape")])
def test_names_of_any_kind_are_removed(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "s"
    (folder / name).mkdir(parents=True)
    (folder / name / name).touch()
    remove(folder)
    assert not folder.exists()
