"""Generating a dataset's questions from one source: proposed, proven, decontaminated, and a varied choice kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from blocks.errors import UserError
from blocks.together import together
from flows.generation.admission import House
from flows.generation.exploring import explore
from flows.generation.likeness import asked_of
from flows.generation.proving import Prover
from flows.generation.recipes import SHARES, Batch, Recipe, Workplace, quotas
from flows.questions.candidates import Candidate
from flows.questions.contamination import Benchmarks
from flows.questions.identifiers import identifies
from flows.questions.programs import propose_programs
from flows.questions.proving import Refusal
from flows.questions.records import Question
from flows.questions.templates import propose_templates
from flows.tables.profiling import DatasetProfile

_Unit = tuple[Question, ...]
"""Questions of which all are kept or none."""

_OVERSAMPLE = 2
"""Programs proposed for each one wanted: the data refuse some."""


async def generate(
    recipe: Recipe,
    place: Workplace,
    key: str,
    benchmarks: Benchmarks | None = None,
    others: Sequence[Question] = (),
) -> Batch:
    """Make a source's questions.

    Args:
        recipe: Which source, how many, what bars.
        place: The dataset in its sandbox, with the model for the source llm.
        key: `Recipe.key` of this batch.
        benchmarks: Questions that none may repeat.
        others: The dataset's questions of other sources; a model's may not repeat them.

    Raises:
        ChatError: The model cannot be asked.
        SandboxError: The sandbox failed.
        SandboxUnavailable: The runtime cannot be used any more.
    """
    if recipe.source == "llm":
        return await _generate_by_model(recipe, place, key, benchmarks, others)
    candidates = propose(recipe, place.profile)
    fresh, refused = _sift(candidates, benchmarks)
    outcomes = await _prove_all(fresh, recipe, place)
    proven = [outcome for outcome in outcomes if isinstance(outcome, Question)]
    refused += [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    kept = choose(proven, recipe.most)
    return Batch(
        key=key,
        source=recipe.source,
        proposed=len(candidates),
        questions=tuple(kept),
        refused=(*refused, *_surplus(proven, kept)),
    )


async def _generate_by_model(
    recipe: Recipe, place: Workplace, key: str, benchmarks: Benchmarks | None, others: Sequence[Question]
) -> Batch:
    if recipe.asking is None or place.client is None:
        raise UserError("The source llm asks a model, and none is named.", "Give --model NAME, or leave llm out.")
    columns = [column.name for column in place.profile.facts]
    identifiers = frozenset(each.name for each in place.profile.facts if identifies(each, place.profile.rows))
    house = House(Prover(place, recipe.bars), columns, recipe.asking.naming, benchmarks, asked_of(others), identifiers)
    explored = await explore(recipe, recipe.asking, place, place.client, house)
    kept = choose(explored.questions, recipe.most)
    return Batch(
        key=key,
        source=recipe.source,
        proposed=explored.proposed,
        questions=tuple(kept),
        refused=(*explored.refused, *_surplus(explored.questions, kept)),
        explorations=tuple(explored.explorations),
    )


def _surplus(proven: Sequence[Question], kept: Sequence[Question]) -> list[Refusal]:
    return [
        Refusal(name=str(each.provenance["name"]), source=each.source, reason="surplus", detail="others were chosen")
        for each in proven
        if each not in kept
    ]


def propose(recipe: Recipe, profile: DatasetProfile) -> list[Candidate]:
    """The candidates of a recipe: the same for the same profile, byte for byte."""
    if recipe.source == "template":
        return propose_templates(profile, seed=recipe.seed)
    return propose_programs(profile, seed=recipe.seed, budget=_OVERSAMPLE * recipe.most)


def choose(questions: Sequence[Question], most: int) -> list[Question]:
    """A varied choice in the order given: spread over difficulties, families before repetitions, then by interest.

    Of the true-or-false questions of a family as many are true as false: whoever knows the kind knows nothing of the
    answer. They are chosen in pairs; one without a counterpart in its family is left out.

    Args:
        questions: Proven questions.
        most: How many at most. What one difficulty cannot fill goes to the others.
    """
    found = list(_units(questions))
    units = {level: _by_variety([unit for unit in found if unit[0].difficulty == level]) for level in SHARES}
    counts = quotas({level: sum(map(len, queue)) for level, queue in units.items()}, most)
    chosen: set[str] = set()
    left: list[_Unit] = []
    for level, queue in units.items():
        taken, rest = _fitting(queue, counts[level])
        chosen |= taken
        left += rest
    # The last place of a difficulty may be too small for a pair.
    chosen |= _fitting(left, most - len(chosen))[0]
    return [each for each in questions if each.id in chosen]


def _fitting(queue: Sequence[_Unit], room: int) -> tuple[set[str], list[_Unit]]:
    """Ids of the first units that there is room for, and the units that are left."""
    taken: set[str] = set()
    left: list[_Unit] = []
    for unit in queue:
        if len(taken) + len(unit) <= room:
            taken.update(each.id for each in unit)
        else:
            left.append(unit)
    return taken, left


def _by_variety(units: Sequence[_Unit]) -> list[_Unit]:
    """The most interesting unit of each family first, then each family's second, and so on."""
    families: dict[str, list[_Unit]] = defaultdict(list)
    for unit in sorted(units, key=lambda unit: _rank(unit[0])):
        families[_family(unit[0])].append(unit)
    return [unit for turn in zip_longest(*families.values()) for unit in turn if unit is not None]


def _units(questions: Sequence[Question]) -> Iterator[_Unit]:
    """What is chosen together: a true and a false one of a family, every other question by itself."""
    flags: dict[str, list[Question]] = defaultdict(list)
    for each in sorted(questions, key=_rank):
        if each.answer.type == "bool" and isinstance(each.ground_truth, bool):
            flags[_family(each)].append(each)
        else:
            yield (each,)
    for family in flags.values():
        yield from _pairs(family)


def _pairs(flags: Sequence[Question]) -> Iterator[_Unit]:
    """A true and a false one, of one difficulty if there are such; the more interesting of the two first."""
    few, many = sorted(([each for each in flags if each.ground_truth is truth] for truth in (True, False)), key=len)
    for each in few:
        other = min(many, key=lambda other: (other.difficulty != each.difficulty, _rank(other)))
        many.remove(other)
        yield tuple(sorted((each, other), key=_rank))


def _rank(question: Question) -> tuple[float, str]:
    """The most interesting first."""
    return -float(question.provenance["interest"]), question.id


def _family(question: Question) -> str:
    """What candidates of one template, or of one final operator, share of their names."""
    name = str(question.provenance["name"])
    return name.rpartition("-")[0] or name


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
            refused.append(
                Refusal(name=each.name, source=each.source, reason="contaminated", detail=overlap.sentence())
            )
        else:
            texts[each.text] = each.name
            fresh.append(each)
    return fresh, refused


async def _prove_all(candidates: Sequence[Candidate], recipe: Recipe, place: Workplace) -> list[Question | Refusal]:
    prover = Prover(place, recipe.bars)

    async def one(candidate: Candidate) -> Question | Refusal:
        outcome = await prover.prove(candidate)
        place.advance(len(candidates))
        return outcome

    return await together(map(one, candidates))
