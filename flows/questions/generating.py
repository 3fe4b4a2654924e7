"""Generating a dataset's questions from one source: proposed, proven, decontaminated, and a varied choice kept."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from blocks.frozen import Frozen
from flows.answers.comparator import COMPARATOR_VERSION
from flows.questions.candidates import Candidate
from flows.questions.contamination import Benchmarks
from flows.questions.programs import propose_programs
from flows.questions.programs.grammar import VERSION as GRAMMAR_VERSION
from flows.questions.proving import Bars, OpenRuns, Refusal, prove
from flows.questions.records import Difficulty, Question, content_key
from flows.questions.templates import CATALOGUE_VERSION, propose_templates
from flows.tables.profiling import DatasetProfile

Source = Literal["template", "program"]
SHARES: dict[Difficulty, float] = {"easy": 0.3, "medium": 0.3, "hard": 0.2, "very_hard": 0.2}
"""How a choice is spread over difficulties, where each has enough."""
_VERSIONS: dict[Source, int] = {"template": CATALOGUE_VERSION, "program": GRAMMAR_VERSION}
_OVERSAMPLE = 2
"""Programs proposed for each one wanted: the data refuse some."""


class Recipe(Frozen):
    """Everything that decides which questions a source makes of a dataset."""

    source: Source
    seed: Annotated[int, Field(ge=0)] = 0
    most: Annotated[int, Field(ge=1, description="questions kept")] = 40
    bars: Bars = Bars()

    def key(self, dataset_key: str, image_digest: str, benchmarks: Benchmarks | None) -> str:
        """Identity of the outcome: equal keys, equal questions."""
        return content_key(
            "generation/1",
            dataset_key,
            self.model_dump(mode="json"),
            _VERSIONS[self.source],
            image_digest,
            COMPARATOR_VERSION,
            benchmarks.key if benchmarks is not None else None,
        )


class Batch(Frozen):
    """What one source made of one dataset."""

    schema_version: Literal[1] = 1
    key: str
    source: Source
    proposed: Annotated[int, Field(ge=0)]
    questions: tuple[Question, ...]
    refused: tuple[Refusal, ...]


class Workplace(NamedTuple):
    """Where candidates are proven.

    Attributes:
        profile: The dataset's profile.
        dataset_key: Its sha256.
        open_session: Opens fresh sessions of its sandbox.
        parallel: Candidates at once.
        advance: Told of each candidate that is decided, with how many there are.
    """

    profile: DatasetProfile
    dataset_key: str
    open_session: OpenRuns
    parallel: int
    advance: Callable[[int], None]


async def generate(recipe: Recipe, place: Workplace, key: str, benchmarks: Benchmarks | None = None) -> Batch:
    """Make a source's questions.

    Args:
        recipe: Which source, how many, what bars.
        place: The dataset in its sandbox.
        key: `Recipe.key` of this batch.
        benchmarks: Questions that none may repeat.

    Raises:
        SandboxError: The sandbox failed.
        SandboxUnavailable: The runtime cannot be used any more.
    """
    candidates = propose(recipe, place.profile)
    fresh, refused = _sift(candidates, benchmarks)
    outcomes = await _prove_all(fresh, recipe, place)
    proven = [outcome for outcome in outcomes if isinstance(outcome, Question)]
    refused += [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    kept = choose(proven, recipe.most)
    refused += [
        Refusal(name=str(each.provenance["name"]), source=each.source, reason="surplus", detail="others were chosen")
        for each in proven
        if each not in kept
    ]
    return Batch(key=key, source=recipe.source, proposed=len(candidates), questions=tuple(kept), refused=tuple(refused))


def propose(recipe: Recipe, profile: DatasetProfile) -> list[Candidate]:
    """The candidates of a recipe: the same for the same profile, byte for byte."""
    if recipe.source == "template":
        return propose_templates(profile, seed=recipe.seed)
    return propose_programs(profile, seed=recipe.seed, budget=_OVERSAMPLE * recipe.most)


def choose(questions: Sequence[Question], most: int) -> list[Question]:
    """A varied choice in the order given: spread over difficulties, families before repetitions, then by interest.

    Args:
        questions: Proven questions.
        most: How many at most. What one difficulty cannot fill goes to the others.
    """
    queues = {level: _by_variety([each for each in questions if each.difficulty == level]) for level in SHARES}
    quotas = _quotas({level: len(queue) for level, queue in queues.items()}, most)
    chosen = {each.id for level, queue in queues.items() for each in queue[: quotas[level]]}
    return [each for each in questions if each.id in chosen]


def _by_variety(questions: Sequence[Question]) -> list[Question]:
    """The most interesting of each family first, then each family's second, and so on."""
    families: dict[str, list[Question]] = defaultdict(list)
    for each in sorted(questions, key=lambda each: (-float(each.provenance["interest"]), each.id)):
        families[_family(str(each.provenance["name"]))].append(each)
    return [
        each
        for place in range(max(map(len, families.values()), default=0))
        for family in families.values()
        for each in family[place : place + 1]
    ]


def _family(name: str) -> str:
    """What candidates of one template, or of one final operator, share of their names."""
    return name.rpartition("-")[0] or name


def _quotas(available: dict[Difficulty, int], most: int) -> dict[Difficulty, int]:
    """How many of each difficulty: shares by largest remainder, then one by one to whoever has some left."""
    exact = {level: most * share for level, share in SHARES.items()}
    quotas = {level: int(share) for level, share in exact.items()}
    for level in sorted(exact, key=lambda level: quotas[level] - exact[level])[: most - sum(quotas.values())]:
        quotas[level] += 1
    quotas = {level: min(quota, available[level]) for level, quota in quotas.items()}
    while sum(quotas.values()) < min(most, sum(available.values())):
        for level in SHARES:
            if quotas[level] < available[level] and sum(quotas.values()) < most:
                quotas[level] += 1
    return quotas


def _sift(candidates: Sequence[Candidate], benchmarks: Benchmarks | None) -> tuple[list[Candidate], list[Refusal]]:
    """Candidates worth a program run: each text once, none that repeats a benchmark."""
    fresh: list[Candidate] = []
    refused: list[Refusal] = []
    texts: dict[str, str] = {}
    for each in candidates:
        overlap = benchmarks.overlap(each.text) if benchmarks is not None else None
        if each.text in texts:
            refused.append(
                Refusal(
                    name=each.name, source=each.source, reason="duplicate", detail=f"asks what {texts[each.text]} asks"
                )
            )
        elif overlap is not None:
            detail = f'shares "{overlap.words}" with {overlap.where}'
            refused.append(Refusal(name=each.name, source=each.source, reason="contaminated", detail=detail))
        else:
            texts[each.text] = each.name
            fresh.append(each)
    return fresh, refused


async def _prove_all(candidates: Sequence[Candidate], recipe: Recipe, place: Workplace) -> list[Question | Refusal]:
    free = asyncio.Semaphore(place.parallel)

    async def one(candidate: Candidate) -> Question | Refusal:
        async with free:
            outcome = await prove(candidate, place.open_session, place.dataset_key, recipe.bars)
        place.advance(len(candidates))
        return outcome

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(candidate)) for candidate in candidates]
    return [task.result() for task in tasks]
