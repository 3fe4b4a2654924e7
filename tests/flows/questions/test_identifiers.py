"""Identifiers: what is never averaged, by name and by values, and what stays a measure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.questions.eligible import TEMPLATE_MISSING, eligible
from flows.questions.identifiers import is_identifier, name_words, named_like_key
from flows.questions.templates import propose_templates
from flows.tables.column_facts import table_facts
from flows.tables.profiling import DatasetProfile

ROWS = 60
_random = Random(7)
FIVE_DIGITS = [_random.randrange(10_000, 99_999) for _ in range(ROWS)]
SMALL = [_random.randrange(0, 16) for _ in range(ROWS)]
COUNTS = [_random.randrange(1, 5) * _random.randrange(1, 9) for _ in range(ROWS)]
MONEY = [round(_random.lognormvariate(10, 0.8), 2) for _ in range(ROWS)]
WHOLE_MONEY = [int(each) for each in MONEY]
DEGREES = [round(_random.uniform(-70, 70), 4) for _ in range(ROWS)]


def profile_of(**columns: Sequence[object]) -> DatasetProfile:
    return DatasetProfile.model_validate(json.loads(json.dumps(table_facts(pd.DataFrame(columns)), allow_nan=False)))


def identifies(name: str, values: Sequence[object]) -> bool:
    profile = profile_of(**{name: values})
    return is_identifier(profile.facts[0], profile.rows)


@pytest.mark.parametrize(
    "name",
    """PLTID|Provider Number|EmployeeNumber|EmpNo|Zip Code|PostalCode|postal_code|FIPS|NAICS|icd9_code|ICD10|Order No.
    Order #|order_no|Invoice No|account number|AcctNo|Serial Number|serial|code|DRG Code|Código postal|codigo
    Postleitzahl_plz|PLZ|Kundennummer|Auftragsnummer|Numero client|Nº cliente|номер заказа|код|customer_id|orderId
    townid|user id|ID|key
    Phone|phone_number|Telefon|EAN|isbn|geoid|GEOID|county_fips|Customer ID|id_customer|Code INSEE|Matricula
    Station Number|transaction_key|barcode|checksum|N° dossier
    Order №|№ заказа|Matri\u0301cula""".replace("\n", "|").split("|"),
)
def test_numbers_named_like_identifiers_are_not_measured(name: str) -> None:
    assert identifies(name.strip(), FIVE_DIGITS)


@pytest.mark.parametrize(
    "name",
    """Number of rooms|num_orders|code_lines|lines of code|No. of children|n_items|rooms|paid|Bid|humid|grid|# of cars
    order_count|visits|total number|days|months|age|years_employed|nbr_rooms|no_of_employees|Anzahl Kunden|score
    num.rooms|phones|grade|casino|volcano|acid|liquid""".replace("\n", "|").split("|"),
)
def test_what_counts_or_measures_stays_a_measure(name: str) -> None:
    assert not identifies(name.strip(), COUNTS)


@pytest.mark.parametrize("name", ["Income", "price", "salary", "GDP", "population", "Umsatz", "valor", "x", "Amount"])
def test_amounts_stay_measures(name: str) -> None:
    assert not identifies(name, MONEY)
    assert not identifies(name, WHOLE_MONEY)
    assert not identifies(name, [10 * each for each in FIVE_DIGITS])


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Unnamed: 0", list(range(ROWS))),
        ("n", [ROWS - at for at in range(ROWS)]),
        ("n", _random.sample(range(ROWS), ROWS)),
        ("x", [10 * at for at in range(ROWS)]),
        ("subject", [at // 4 + 1 for at in range(ROWS)]),
        ("trial", [at % 15 + 1 for at in range(ROWS)]),
        ("a", [1 + at + at // 7 for at in range(ROWS)]),
        ("b", [_random.randrange(10**9, 10**10) for _ in range(ROWS)]),
        ("c", [2**60 + _random.randrange(10**6) for _ in range(ROWS)]),
        ("time", [1_500_000_000 + _random.randrange(10**8) for _ in range(ROWS)]),
        ("created_ms", [1000 * (1_500_000_000 + _random.randrange(10**8)) for _ in range(ROWS)]),
        ("event_time", [1_500_000_000.5 + _random.randrange(10**8) for _ in range(ROWS)]),
        ("time", [1949 + at / 12 for at in range(ROWS)]),
        ("YearBuilt", [1900 + _random.randrange(100) for _ in range(ROWS)]),
        ("yr", [60 + _random.randrange(30) for _ in range(ROWS)]),
        ("år", [60 + _random.randrange(30) for _ in range(ROWS)]),
        ("Año", [60 + _random.randrange(30) for _ in range(ROWS)]),
        ("An\u0303o", [60 + _random.randrange(30) for _ in range(ROWS)]),
        ("foo", [1900 + _random.randrange(100) for _ in range(ROWS)]),
        ("month", [1 + _random.randrange(12) for _ in range(ROWS)]),
        ("hour", [_random.randrange(24) for _ in range(ROWS)]),
        ("date", [800_000 + _random.randrange(9_000) for _ in range(ROWS)]),
        ("latitude", DEGREES),
        ("pickup_longitude", DEGREES),
        ("Lng", DEGREES),
        ("dept", [1 + _random.randrange(40) for _ in range(ROWS)]),
        ("EmpNo", [None, *(float(each) for each in FIVE_DIGITS[1:])]),
        ("Unnamed: 0.1", FIVE_DIGITS),
    ],
)
def test_values_that_number_are_not_measured(name: str, values: list[object]) -> None:
    assert identifies(name, values)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("long", COUNTS),
        ("delta_lat", DEGREES),
        ("year_sales", MONEY),
        ("year", [each / 1000 for each in MONEY]),
        ("hours", SMALL),
        ("price", [1900 + _random.randrange(100) for _ in range(ROWS)]),
        ("revenue", [1_500_000_000 + _random.randrange(10**8) for _ in range(ROWS)]),
        ("x", [at * 1.5 for at in range(ROWS)]),
        ("EmpNo", [each / 7 for each in FIVE_DIGITS]),
        ("population", sorted(10**9 + _random.randrange(10**8) for _ in range(ROWS))),
    ],
)
def test_values_that_measure_are_not_taken_for_numbering(name: str, values: list[object]) -> None:
    assert not identifies(name, values)


def test_a_coded_column_groups_rows_and_is_not_measured() -> None:
    profile = profile_of(sector=[1 + at % 12 for at in range(240)], x=[_random.random() for _ in range(240)])
    found = eligible(profile, most_missing=TEMPLATE_MISSING)
    assert [column.name for column in found.measures] == ["x"]
    assert [column.name for column in found.categories] == ["sector"]


def test_no_template_computes_with_an_identifier() -> None:
    profile = profile_of(
        PLTID=FIVE_DIGITS, EmpNo=_random.sample(FIVE_DIGITS, ROWS), price=MONEY, grams=[each / 3 for each in MONEY]
    )
    asked = {name for each in propose_templates(profile, seed=0) for name in each.provenance["columns"]}
    assert asked == {"price", "grams"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("EmployeeNumber", ("employee", "number")),
        ("PLTID", ("pltid",)),
        ("Código Postal", ("codigo", "postal")),
        ("county_fips", ("county", "fips")),
        ("Order #", ("order", "#")),
        ("Order №", ("order", "no")),
        ("Födelseår", ("fodelsear",)),
        ("x2", ("x", "2")),
    ],
)
def test_a_name_is_parted_into_words(name: str, words: tuple[str, ...]) -> None:
    assert name_words(name) == words


@given(st.text(max_size=40))
def test_any_name_can_be_looked_at(name: str) -> None:
    named_like_key(name)
    assert all(word == word.casefold() for word in name_words(name) if word.isascii())
