"""What a home takes and gives: unions by key, and datasets that go to their newest version and never back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from flows.sharing.deciding import Held, Manifest, Taken, datasets_to_take, exchange
from tests.support.properties import PATIENT

DAY = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = st.frozensets(st.sampled_from("abcdefgh"))


def manifest(name: str, slug: str = "sales", source: str = "https://x/sales.csv", day: int = 0) -> Manifest:
    return Manifest(slug=slug, key=name * 64, source=source, retrieved_at=DAY + timedelta(days=day))


@PATIENT
@given(KEYS, KEYS)
def test_after_an_exchange_both_sides_hold_the_union(here: frozenset[str], there: frozenset[str]) -> None:
    take, give = exchange(here, there)
    assert here | set(take) == there | set(give) == here | there
    assert not set(take) & here
    assert not set(give) & there
    assert exchange([*here, *take], [*there, *give]) == ([], [])


def test_an_empty_home_takes_the_newest_version_of_everything() -> None:
    offered = [manifest("a", day=1), manifest("b", day=2), manifest("c", slug="rain", source="https://x/rain.csv")]
    taken = datasets_to_take([], offered)
    assert {(each.manifest.key[0], each.folder) for each in taken} == {("b", "sales"), ("c", "rain")}


def test_a_home_follows_a_source_forwards_only() -> None:
    old, new = manifest("a", day=1), manifest("b", day=2)
    assert datasets_to_take([Held("my-sales", old)], [old, new]) == [Taken(new, "my-sales")]
    assert datasets_to_take([Held("my-sales", new)], [old, new]) == []


def test_another_dataset_of_the_same_name_stands_beside() -> None:
    mine, theirs = manifest("a"), manifest("b", source="https://y/sales.csv", day=1)
    assert datasets_to_take([Held("sales", mine)], [theirs]) == [Taken(theirs, "sales-bbbbbbbb")]
    assert [each.folder for each in datasets_to_take([], [theirs, mine])] == ["sales", "sales-bbbbbbbb"]


def test_what_was_made_by_hand_is_never_replaced() -> None:
    mine, theirs = manifest("a", source=""), manifest("b", source="", day=9)
    assert datasets_to_take([Held("sales", mine)], [theirs]) == []
    assert datasets_to_take([], [mine, theirs]) == [Taken(theirs, "sales")]


@PATIENT
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("xyz"), st.integers(0, 3)), max_size=8))
def test_taking_is_done_in_one_step_and_every_folder_holds_one(found: list[tuple[str, str, int]]) -> None:
    offered = list({key: manifest(key, source=source, day=day) for key, source, day in found}.values())
    taken = datasets_to_take([], offered)
    assert len({each.folder for each in taken}) == len(taken) == len({each.source for each in offered})
    assert datasets_to_take([Held(each.folder, each.manifest) for each in taken], offered) == []
