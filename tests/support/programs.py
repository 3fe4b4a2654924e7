"""What the tests of program questions share: trees by operator names, a small table, and running programs on it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from flows.questions.eligible import PROGRAM_MISSING, eligible
from flows.questions.programs.emission import Program, emit
from flows.questions.programs.enumeration import CATALOGUE
from flows.questions.programs.grammar import Node, Param, Scene
from flows.questions.programs.shaping import shape_of
from flows.tables.column_facts import table_facts
from flows.tables.profiling import DatasetProfile

_BY_NAME = {operator.name: operator for operator in CATALOGUE}


def tree(name: str, *inputs: Node, **params: Param) -> Node:
    """The operator of this name, applied."""
    return Node(_BY_NAME[name], inputs, tuple(params.items()))


def small_table() -> pd.DataFrame:
    """Twelve rows whose statistics can be worked out by hand."""
    x = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 24]
    return pd.DataFrame(
        {
            "x": x,
            "y": [2 * value + 1 for value in x],
            "m": [5, 3, 8, 1, 9, 2, 7, 4, 6, 10, 12, 11],
            "e": [None, 2.0, 4.0, 6.0, 8.0, None, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0],
            "g": list("aaaabbbbcccc"),
            "h": ["p", "q"] * 6,
            "k": list("uuuvuuvvvvvv"),
            "s": [None, "r", "r", "t", "t", "t", "t", "r", "r", "r", "r", "r"],
            "d": [f"{2000 + at // 2}-{1 + 5 * (at % 2):02}-15" for at in range(12)],
            "year": [2000 + at // 2 for at in range(12)],
            "name": [f"n{at}" for at in range(12)],
        }
    )


def profile_of(frame: pd.DataFrame) -> DatasetProfile:
    """The profile the sandbox would give."""
    return DatasetProfile.model_validate(json.loads(json.dumps(table_facts(frame), allow_nan=False)))


def scene_of(frame: pd.DataFrame) -> Scene:
    """The table as operators see it."""
    profile = profile_of(frame)
    return Scene(profile, eligible(profile, most_missing=PROGRAM_MISSING))


def program_of(root: Node, frame: pd.DataFrame) -> Program:
    """A tree as a program on a table."""
    scene = scene_of(frame)
    return emit(root, shape_of(root, scene), scene)


def run(program: Program, frame: pd.DataFrame) -> tuple[Any, dict[str, Any]]:
    """The answer of a trusted program and the facts its probe submits."""
    submitted: list[Any] = []
    namespace = {"df": frame, "pd": pd, "np": np, "stats": stats, "submit": submitted.append}
    exec(program.code, namespace)
    exec(program.probe, namespace)
    answer, facts = submitted
    return answer, facts


def answer_of(root: Node, frame: pd.DataFrame) -> Any:
    """What the tree's program submits."""
    return run(program_of(root, frame), frame)[0]
