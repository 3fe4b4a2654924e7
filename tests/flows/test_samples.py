"""The bundled data: bytes as published, licences named, questions that mean what they say."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from flows.questions.records import Question
from flows.samples import FOLDER, SLUGS, dataset_folder, question_file

PUBLISHED = {
    "penguins": "f204db2c753b0937caac3cb35258562c14f073e4bbc76be24b4c51ce22767a93",
    "statecrime": "73c8aaa12272cbd33a09d0ffcda01a835f2f0916a16aaed54732efa312430688",
    "co2": "16695fa2786e53414e5a6b54767a3fdf5de99cfbc68617f69d1362d92776a92f",
}
"""sha256 of each file in the package it was taken from."""


def questions(slug: str) -> dict[str, Question]:
    lines = question_file(slug).read_text(encoding="utf-8").splitlines()
    return {question.id: question for question in map(Question.model_validate_json, lines)}


def table(slug: str) -> pd.DataFrame:
    return pd.read_csv(dataset_folder(slug) / "data.csv")


def test_every_folder_is_listed() -> None:
    assert {path.parent.name for path in FOLDER.glob("*/data.csv")} == set(SLUGS)
    assert {path.stem for path in (FOLDER / "questions").iterdir()} == set(SLUGS)


@pytest.mark.parametrize("slug", SLUGS)
def test_the_card_describes_the_file_as_published(slug: str) -> None:
    card = json.loads((dataset_folder(slug) / "dataset.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256((dataset_folder(slug) / "data.csv").read_bytes()).hexdigest()
    assert digest == card["sha256"] == PUBLISHED[slug]
    assert card["licence"] in {"CC0-1.0", "LicenseRef-Public-Domain"}
    assert card["licence_evidence"]
    assert "http" in card["source"]
    assert list(card["columns"]) == list(table(slug).columns)


@pytest.mark.parametrize("slug", SLUGS)
def test_a_voted_question_has_a_hint_and_no_answer_in_it(slug: str) -> None:
    for question in questions(slug).values():
        if question.source == "llm":
            assert question.hint
            assert not question.has_ground_truth
        else:
            assert question.reference_program
            assert question.hint is None


@pytest.mark.parametrize("slug", SLUGS)
def test_a_rounded_answer_says_so_in_the_question(slug: str) -> None:
    for question in questions(slug).values():
        asked = question.answer.decimals is not None
        assert asked == (question.answer.type in {"float", "percent"}), question.id
        if asked:
            assert f"{question.answer.decimals} decimal" in question.text, question.id


def test_there_are_as_many_questions_as_the_demo_promises() -> None:
    everything = [question for slug in SLUGS for question in questions(slug).values()]
    assert len({question.text for question in everything}) == len(everything)
    assert sum(question.source == "llm" for question in everything) >= 12
    assert sum(question.source == "template" for question in everything) >= 2


def answers_by_hand() -> dict[str, Any]:
    """What each question asks for, computed the plain way, apart from any hint or reference program."""
    penguins, states, air = (table(slug) for slug in SLUGS)
    known = penguins[penguins["flipper_length_mm"].notna() & penguins["body_mass_g"].notna()]
    line = stats.linregress(known["flipper_length_mm"], known["body_mass_g"])
    states_only = states.loc[states["state"] != "District of Columbia"]
    is_urban = states["urban"] > np.median(states["urban"])
    welch = stats.ttest_ind(states.loc[is_urban, "violent"], states.loc[~is_urban, "violent"], equal_var=False)
    air["day"] = pd.to_datetime(air["date"].astype(str), format="%Y%m%d")
    year = air["day"].dt.year
    yearly = air[year >= 1959].groupby(year)["co2"].mean()
    return {
        "penguins-1": len(penguins.query("species == 'Gentoo' and sex == 'male'")),
        "penguins-2": penguins.groupby("species")["body_mass_g"].mean()["Chinstrap"],
        "penguins-3": penguins.groupby("species")["flipper_length_mm"].mean().idxmax(),
        "penguins-4": np.corrcoef(known["flipper_length_mm"], known["body_mass_g"])[0, 1],
        "penguins-5": line.slope,
        "penguins-t1": {"Biscoe": 168, "Dream": 124, "Torgersen": 52},
        "statecrime-1": states.set_index("state")["murder"].idxmax(),
        "statecrime-2": states.query("poverty > 15")["murder"].mean(),
        "statecrime-3": stats.pearsonr(states_only["murder"], states_only["poverty"]).statistic,
        "statecrime-4": welch.pvalue,
        "co2-1": air.loc[year == 1990, "co2"].mean(),
        "co2-2": air.groupby(air["day"].dt.month)["co2"].mean().idxmax(),
        "co2-3": np.polyfit(yearly.index, yearly, 1)[0],
        "co2-t1": 100 * 59 / 2284,
    }


EXPECTED: dict[str, Any] = {
    "penguins-1": 61,
    "penguins-2": 3733.09,
    "penguins-3": "Gentoo",
    "penguins-4": 0.871,
    "penguins-5": 49.69,
    "penguins-t1": {"Biscoe": 168, "Dream": 124, "Torgersen": 52},
    "statecrime-1": "District of Columbia",
    "statecrime-2": 7.41,
    "statecrime-3": 0.6,
    "statecrime-4": 0.0799,
    "co2-1": 354.14,
    "co2-2": 5,
    "co2-3": 1.351,
    "co2-t1": 2.6,
}


def test_every_question_has_one_answer_that_rounding_cannot_split() -> None:
    """A value near a rounding boundary would let two right programs disagree."""
    by_hand = answers_by_hand()
    asked = {name: question for slug in SLUGS for name, question in questions(slug).items()}
    assert asked.keys() == by_hand.keys() == EXPECTED.keys()
    for name, value in by_hand.items():
        decimals = asked[name].answer.decimals
        if decimals is None:
            assert value == EXPECTED[name], name
            continue
        assert round(float(value), decimals) == EXPECTED[name], name
        distance = abs((float(value) * 10**decimals) % 1 - 0.5)
        assert distance > 1e-3, f"{name} lies on a rounding boundary"


@pytest.mark.parametrize(("slug", "name"), [("penguins", "penguins-t1"), ("co2", "co2-t1")])
def test_a_reference_program_submits_the_answer(slug: str, name: str) -> None:
    submitted: list[Any] = []
    program = questions(slug)[name].reference_program
    assert program is not None
    exec(program, {"df": table(slug), "pd": pd, "submit": submitted.append})
    assert submitted == [EXPECTED[name]]
