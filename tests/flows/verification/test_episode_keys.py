"""Episode keys: finished work is found again under the key that it was written with; what a record takes over."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from blocks.chat.models import Sampling
from blocks.sandboxes.models import LoadedDataset, SandboxLimits
from blocks.sandboxes.reading import ReadingRules
from flows.tables.dataset import Dataset
from flows.verification.attempts import PromptId, TraceConfig
from flows.verification.records import DatasetRef, EpisodePlan, make_episode, to_json
from flows.verification.triangulation import TriangulationRule
from tests.support.attempts import task_on
from tests.support.episodes import SANDBOX, episode_on, equal_episode

SETTINGS: dict[str, Any] = {
    "question_key": "ab" * 32,
    "config": TraceConfig(model="vendor/m-1", sampling=Sampling(temperature=0.5)),
    "endpoint": "http://127.0.0.1/v1",
    "prompt": PromptId(style="full", version="1", sha256="cd" * 32),
    "planned": 3,
    "accept": "tolerance",
    "image_digest": "sha256:0",
    "comparator_version": "1",
}


def plan(**changes: Any) -> EpisodePlan:
    return EpisodePlan(**{**SETTINGS, **changes})


def test_episodes_are_found_again_under_the_keys_they_were_written_with() -> None:
    """Should this fail, an upgrade asks a model again for every episode that a home already has."""
    keys = [
        plan().key,
        plan(equal=True).key,
        plan(program_timeout_s=30.0).key,
        plan(opening="ef" * 32, limits={"memory_mb": 1}).key,
    ]
    assert [key[:16] for key in keys] == [
        "64a978cf38070440",
        "bf8d31d4e49b4f46",
        "b284912e038f0ba2",
        "afc6ea2d44f9e89e",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"question_key": "ba" * 32},
        {"config": TraceConfig(model="vendor/m-2")},
        {"endpoint": "http://elsewhere/v1"},
        {"prompt": PromptId(style="full", version="2", sha256="cd" * 32)},
        {"planned": 4},
        {"equal": True},
        {"accept": "exact"},
        {"image_digest": "sha256:1"},
        {"comparator_version": "2"},
        {"program_timeout_s": 1.0},
        {"opening": "fe" * 32},
        {"limits": {"memory_mb": 2}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_each_part_of_a_plan_counts(changes: dict[str, Any]) -> None:
    sent = {"opening": "ef" * 32, "limits": {"memory_mb": 1}}
    assert plan(**{**sent, **changes}).key != plan(**sent).key


def plan_of(question: dict[str, Any], rule: TriangulationRule | None = None, **options: Any) -> EpisodePlan:
    task = task_on()
    return EpisodePlan.of(
        task._replace(question=task.question.model_copy(update=question)), SETTINGS["config"],
        rule or TriangulationRule(), endpoint="e", image_digest="d", limits=SandboxLimits(), **options,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("question", "planned", "equal"),
    [
        ({"hint": "Count."}, 3, False),
        ({"hint": "Count.", "difficulty": "very_hard"}, 6, False),
        ({"hint": None}, 4, True),
        ({"hint": " "}, 4, True),
        ({"ground_truth": 4}, 1, False),
        ({"reference_program": "submit(4)"}, 1, False),
    ],
)
def test_a_plan_has_as_many_traces_as_its_question_needs(question: dict[str, Any], planned: int, equal: bool) -> None:
    found = plan_of(question)
    assert (found.planned, found.equal) == (planned, equal)


def test_a_plan_takes_over_what_decides_and_the_time_of_a_program_only_where_there_is_one() -> None:
    found = plan_of({"reference_program": "submit(4)"}, TriangulationRule(accept="exact"), program_timeout_s=9.0)
    assert (found.accept, found.endpoint, found.image_digest, found.program_timeout_s) == ("exact", "e", "d", 9.0)
    assert found.config == SETTINGS["config"]
    assert found.limits == SandboxLimits().deciding()
    assert plan_of({}, program_timeout_s=9.0).program_timeout_s is None


def test_a_record_takes_over_everything_that_is_known_of_its_dataset() -> None:
    dataset = Dataset(
        slug="cities", key="ab" * 32, path=Path("somewhere/cities.csv"), bytes=60, title="Cities", description="All.",
        licence="CC0", source="https://example.org", column_notes={"n": "inhabitants"},
    )  # fmt: skip
    loaded = LoadedDataset(
        name="cities.csv", rows=4, columns=3, encoding="latin-1", delimiter=";", bytes=60, sha256="ab" * 32,
        seconds=0.1, warnings=("One line was empty.",),
    )  # fmt: skip
    found = DatasetRef.of(dataset, loaded)
    assert (found.slug, found.key, found.file, found.bytes) == ("cities", "ab" * 32, "cities.csv", 60)
    assert (found.rows, found.columns, found.encoding, found.delimiter) == (4, 3, "latin-1", ";")
    assert (found.warnings, found.column_notes) == (("One line was empty.",), {"n": "inhabitants"})
    assert (found.title, found.description, found.licence, found.source) == (
        "Cities", "All.", "CC0", "https://example.org",
    )  # fmt: skip
    assert (found.content, found.table) == ("", "ab" * 32)
    ruled = dataset.model_copy(update={"reading": ReadingRules(delimiter=";")})
    by_rules = DatasetRef.of(ruled, loaded)
    assert by_rules.reading == ruled.reading
    assert by_rules.content == by_rules.table == ruled.content != ruled.key


async def test_an_episode_began_with_its_first_attempt_unless_told_otherwise() -> None:
    whole = await episode_on()
    assert whole.started == min(trace.started for trace in whole.attempts)
    assert whole.started <= whole.ended
    assert whole.episode_id == whole.provenance.plan.key
    assert whole.question_key == whole.provenance.plan.question_key
    assert whole.gold is not None
    assert whole.gold.role == "gold"
    before = datetime(2026, 1, 1, tzinfo=UTC)
    told = make_episode(
        whole.provenance.plan, whole.question, whole.dataset, whole.attempts, whole.verdict, sandbox=SANDBOX,
        incidents=("The sandbox was rebuilt.",), started=before,
    )  # fmt: skip
    assert (told.started, told.incidents) == (before, ("The sandbox was rebuilt.",))
    empty = make_episode(
        whole.provenance.plan, whole.question, whole.dataset, [], whole.verdict, sandbox=SANDBOX
    )  # fmt: skip
    assert empty.started == empty.ended
    assert empty.answer is None
    assert (await equal_episode(4, 4, 4, 4)).gold is None


async def test_only_an_episode_that_was_cut_off_is_worth_another_try() -> None:
    whole = await episode_on()
    assert whole.final
    cut = whole.model_copy(update={"verdict": whole.verdict.model_copy(update={"verdict": "budget"})})
    assert not cut.final


def test_json_is_compact_and_any_reader_takes_it() -> None:
    assert to_json({"a": [1, "é"], "b": None}) == '{"a":[1,"é"],"b":null}'.encode()
    assert to_json({"a": "é\ud800"}) == b'{"a":"\\u00e9\\ud800"}'
    assert to_json({"a": {"b": (float("inf"), 1.5)}}) == b'{"a":{"b":["inf",1.5]}}'
    assert to_json([float("nan"), float("-inf"), "\ud800"]) == b'["nan","-inf","\\ud800"]'


def test_a_question_is_known_under_the_table_that_it_was_read_into() -> None:
    task = task_on()
    ruled = task.dataset.model_copy(update={"reading": ReadingRules(delimiter=";")})
    found = EpisodePlan.of(
        task._replace(dataset=ruled), SETTINGS["config"], TriangulationRule(), endpoint="e", image_digest="d",
        limits=SandboxLimits(),
    )  # fmt: skip
    assert found.question_key == task.question.key(ruled.content) != task.question.key(ruled.key)
