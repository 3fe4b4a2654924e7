"""Proposing: draws programs from the space, keeps a varied choice of them, and makes candidates of these."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from random import Random

from flows.questions.candidates import Candidate
from flows.questions.eligible import PROGRAM_MISSING, eligible
from flows.questions.programs.emission import emit
from flows.questions.programs.enumeration import MAX_SIZE, Space
from flows.questions.programs.grammar import VERSION, Node, Operator, Params, Scene, Sort, canonical
from flows.questions.programs.sense import fits_together, makes_sense
from flows.questions.programs.shaping import shape_of
from flows.questions.programs.wording import hint_text, question_text
from flows.questions.records import Difficulty
from flows.tables.profiling import DatasetProfile

SHARES: dict[Difficulty, float] = {"easy": 0.2, "medium": 0.3, "hard": 0.3, "very_hard": 0.2}
"""Share of the budget of each difficulty, as far as the table allows."""
_LIMITS: tuple[tuple[int, Difficulty], ...] = ((3, "easy"), (5, "medium"), (8, "hard"))
"""Most points of difficulty of each; above them it is very hard."""
_POOL = 5
"""Programs drawn for each that is kept."""
_BARREN = 300
"""Draws in a row that come to nothing, after which the table is taken to have no more programs."""
_SUCCESS = 10
"""How many failed draws a found program counts for, when the last operator of the next one is chosen."""
_TRIED_SHAPES = 30
_TRIED_SIZES = 5
"""The smallest sizes of a last operator that are drawn from: from the plainest question to three or four more steps."""
_TRIED_BINDINGS = 6


@dataclass(frozen=True)
class _Drawn:
    """A program of the pool."""

    root: Node
    key: str
    difficulty: Difficulty
    operators: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def points(self) -> int:
        """Points of difficulty."""
        return points(self.root)


def propose_programs(profile: DatasetProfile, *, seed: int, budget: int) -> list[Candidate]:
    """Questions whose answers are programs of the grammar, the most interesting first.

    The same profile, seed and budget give the same list, byte for byte, in every process.

    Args:
        profile: The table's profile.
        seed: Chooses among the programs the table allows.
        budget: Most candidates to propose; fewer where the table allows fewer.
    """
    scene = Scene(profile, eligible(profile, most_missing=PROGRAM_MISSING))
    random = Random(f"programs/{VERSION}/{seed}")
    chosen = _choose(_draw(Space(scene), random, budget), budget)
    candidates = [_candidate(drawn, scene, seed) for drawn in chosen]
    return sorted(candidates, key=lambda candidate: (-candidate.interest, candidate.name))


def points(root: Node) -> int:
    """Points of difficulty: the weights of the operators, each part of the tree counted once."""
    return sum(node.operator.weight for node in set(root.walk()))


def difficulty_of(root: Node) -> Difficulty:
    """The difficulty by points: easy to 3, medium to 5, hard to 8, very hard above."""
    found = points(root)
    return next((name for limit, name in _LIMITS if found <= limit), "very_hard")


def interest_of(root: Node, statements: int) -> float:
    """How interesting a program is: what it combines, less what makes it long.

    One point for each point of difficulty; two for each column beyond the first, up to four of them; one for each
    kind of step (a choice of rows, a derived number, a made group, a test); half a point off for each statement
    beyond six, because a question nobody can follow is not interesting.
    """
    columns = {name for node in root.walk() for name in node.own_columns}
    kinds = {node.operator.gives for node in root.walk() if node.operator.weight}
    return float(points(root) + 2 * min(len(columns) - 1, 4) + len(kinds) - 0.5 * max(0, statements - 6))


def _draw(space: Space, random: Random, budget: int) -> list[_Drawn]:
    """A pool of different programs that make sense; rarely used operators and columns are preferred."""
    roots = space.roots()
    pool: dict[str, _Drawn] = {}
    used: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    barren = 0
    while roots and len(pool) < budget * _POOL and barren < _BARREN:
        barren += 1
        root = min(roots, key=lambda operator: (tried[operator.name], random.random()))
        tried[root.name] += 1
        node = _sample(space, root, random, used)
        if node is None or node.key in pool:
            continue
        drawn = _describe(node)
        pool[drawn.key] = drawn
        barren = 0
        tried[root.name] += _SUCCESS
        used.update(drawn.columns)
    return list(pool.values())


def _sample(space: Space, root: Operator, random: Random, used: Counter[str]) -> Node | None:
    sizes = [size for size in range(1, MAX_SIZE + 1) if space.count(root, size)]
    for _ in range(_TRIED_SHAPES):
        size = random.choice(sizes[:_TRIED_SIZES])
        shape = space.shape(root, size, random.randrange(space.count(root, size)))
        if fits_together(shape):
            bound = canonical(_bind(shape, space, random, used, set()))
            return bound if makes_sense(bound, space.scene) else None
    return None


def _bind(shape: Node, space: Space, random: Random, used: Counter[str], taken: set[str]) -> Node:
    """The shape with bindings: of a few drawn, the one whose columns are free and have been used least."""
    inputs = tuple(_bind(each, space, random, used, taken) for each in shape.inputs)
    options = space.bindings[shape.operator.name]
    drawn = [options[random.randrange(len(options))] for _ in range(_TRIED_BINDINGS)]

    def cost(params: Params) -> tuple[int, int]:
        names = Node(shape.operator, (), params).own_columns
        return len(taken.intersection(names)), sum(used[name] for name in names)

    node = Node(shape.operator, inputs, min(drawn, key=cost))
    taken.update(node.own_columns)
    return node


def _describe(root: Node) -> _Drawn:
    nodes = sorted({node.operator.name for node in root.walk()} - {"all_rows", "column"})
    columns = tuple(sorted({name for node in root.walk() for name in node.own_columns}))
    return _Drawn(root, root.key, difficulty_of(root), tuple(nodes), columns)


def _choose(pool: list[_Drawn], budget: int) -> list[_Drawn]:
    """Fill each difficulty's share with the programs that add most to what is already there."""
    chosen: list[_Drawn] = []
    used: Counter[str] = Counter()
    left = list(pool)
    wanted = [(name, round(budget * share)) for name, share in SHARES.items()]
    for name, count in wanted:
        for _ in range(count):
            _take([each for each in left if each.difficulty == name], left, chosen, used)
    while left and len(chosen) < budget:
        _take(left, left, chosen, used)
    return chosen[:budget]


def _take(options: list[_Drawn], left: list[_Drawn], chosen: list[_Drawn], used: Counter[str]) -> None:
    if not options:
        return
    best = min(options, key=lambda drawn: (_staleness(drawn, used), -drawn.points, drawn.key))
    left.remove(best)
    chosen.append(best)
    used.update(_features(best))


def _features(drawn: _Drawn) -> list[str]:
    """What a program adds to the variety of a choice."""
    form = drawn.root.operator.name
    return [
        *(f"operator {name}" for name in drawn.operators),
        *(f"column {name}" for name in drawn.columns),
        f"root {form}",
    ]


def _staleness(drawn: _Drawn, used: Counter[str]) -> float:
    """How much of a program has been seen: the question it asks, its rarest operator, and a little its columns."""
    rarest = min((used[f"operator {name}"] for name in drawn.operators), default=0)
    columns = [used[f"column {name}"] for name in drawn.columns]
    return 2 * used[f"root {drawn.root.operator.name}"] + rarest + 0.1 * sum(columns) / max(len(columns), 1)


def _candidate(drawn: _Drawn, scene: Scene, seed: int) -> Candidate:
    root, shape = drawn.root, shape_of(drawn.root, scene)
    program = emit(root, shape, scene)
    digest = hashlib.sha256(drawn.key.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return Candidate(
        name=f"{root.operator.name}-{digest}",
        source="program",
        text=question_text(root, shape, scene, f"{seed}/{digest}"),
        hint=hint_text(root, scene),
        program=program.code,
        probe=program.probe,
        guards=program.guards,
        answer=shape.spec,
        difficulty=drawn.difficulty,
        n_steps=program.statements,
        tags=_tags(root),
        interest=interest_of(root, program.statements),
        provenance={
            "grammar": VERSION,
            "seed": seed,
            "tree": drawn.key,
            "operators": list(drawn.operators),
            "columns": list(drawn.columns),
        },
    )


def _tags(root: Node) -> tuple[str, ...]:
    kinds = {str(node.operator.gives) for node in root.walk()} - {str(Sort.ANSWER), str(Sort.TABLE), str(Sort.MEASURE)}
    if any(node.operator.gives is Sort.TABLE and node.inputs for node in root.walk()):
        kinds.add("filter")
    return (root.operator.name, *sorted(kinds))
