"""Which files go, which stay, and that nothing goes that a run may still need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.tidying.retention import DAY_S, Found, Kind, Removal, Rule, look, plan, remove

NOW = 1_000 * DAY_S
GIB = 2**30


def found(name: str, age_days: float, size: int = GIB, kind: Kind = "logs") -> Found:
    return Found(kind, Path(name), size, NOW - age_days * DAY_S)


def names(removals: list[Removal]) -> list[str]:
    return [str(each.found.path) for each in removals]


def test_what_is_older_goes_oldest_first() -> None:
    things = [found("young", 1), found("old", 31), found("older", 90), found("edge", 30)]
    removals = plan(things, {"logs": Rule(days=30)}, now=NOW)
    assert names(removals) == ["older", "old"]
    assert removals[0].why == "older than 30 days"


def test_above_the_size_the_oldest_go_until_the_rest_fits() -> None:
    things = [found("a", 5), found("b", 4), found("c", 3), found("d", 2)]
    assert names(plan(things, {"logs": Rule(days=30, gib=2)}, now=NOW)) == ["a", "b"]
    assert names(plan(things, {"logs": Rule(days=4.5, gib=2)}, now=NOW)) == ["a", "b"]
    assert names(plan(things, {"logs": Rule(days=30, gib=4)}, now=NOW)) == []


def test_what_an_unfinished_run_may_need_stays() -> None:
    things = [found("before", 50), found("since", 39), found("now", 0)]
    keep = NOW - 40 * DAY_S
    assert names(plan(things, {"logs": Rule(days=30, gib=0)}, now=NOW, keep_since=keep)) == ["before"]


def test_a_kind_without_a_rule_stays() -> None:
    things = [found("log", 99), found("result", 99, kind="results")]
    assert names(plan(things, {"results": Rule(days=1)}, now=NOW)) == ["result"]


@given(
    st.lists(st.tuples(st.floats(0, 100), st.integers(0, 5 * GIB)), max_size=20),
    st.floats(0, 100),
    st.none() | st.floats(0, 20),
    st.none() | st.floats(0, 100),
)
def test_a_plan_keeps_what_it_must_and_no_more_than_it_may(
    sizes: list[tuple[float, int]], days: float, gib: float | None, keep_days: float | None
) -> None:
    things = [found(str(number), age, size) for number, (age, size) in enumerate(sizes)]
    keep = None if keep_days is None else NOW - keep_days * DAY_S
    gone = plan(things, {"logs": Rule(days=days, gib=gib)}, now=NOW, keep_since=keep)
    assert len({each.found for each in gone}) == len(gone)
    assert all(keep is None or each.found.touched < keep for each in gone)
    left = [each for each in things if each not in [removal.found for removal in gone]]
    free = [each for each in left if keep is None or each.touched < keep]
    assert all(NOW - each.touched <= days * DAY_S for each in free)
    if gib is not None and free:
        assert sum(each.bytes for each in left) <= gib * GIB + 1


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in (
        "logs/run-1/penguins.log", "logs/run-2/co2.log", "results/question-v1-abc", "episodes/co2.jsonl",
        "questions/co2.jsonl", "questions/.co2.jsonl.ab12cd_9", "datasets/x/data.csv.part", "slots/1.new", "store.db",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x" * 100)
    return tmp_path


def test_only_logs_results_and_leftovers_ever_go(home: Path) -> None:
    (home / "logs" / "link").symlink_to(home / "episodes")
    seen = {(each.kind, str(each.path.relative_to(home)), each.bytes) for each in look(home)}
    link = next(each for each in seen if each[1] == "logs/link")
    assert seen - {link} == {
        ("logs", "logs/run-1", 100), ("logs", "logs/run-2", 100), ("results", "results/question-v1-abc", 100),
        ("leftovers", "questions/.co2.jsonl.ab12cd_9", 100), ("leftovers", "datasets/x/data.csv.part", 100),
        ("leftovers", "slots/1.new", 100),
    }  # fmt: skip
    for each in plan(look(home), {"logs": Rule(days=0), "results": Rule(days=0), "leftovers": Rule(days=0)}, now=1e12):
        assert remove(each)
    left = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert left == {"episodes/co2.jsonl", "questions/co2.jsonl", "store.db"}, "a link goes, what it names does not"


def test_what_was_written_meanwhile_stays(home: Path) -> None:
    (removal,) = plan(look(home), {"results": Rule(days=0)}, now=1e12)
    os.utime(removal.found.path, (2e9, 2e9))
    assert not remove(removal)
    assert removal.found.path.exists()
    removal.found.path.unlink()
    assert not remove(removal), "gone already"


def test_an_empty_home_has_nothing(tmp_path: Path) -> None:
    assert look(tmp_path / "none") == []
