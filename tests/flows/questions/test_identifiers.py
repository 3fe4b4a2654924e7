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
CLOCKS = [100 * _random.randrange(24) + _random.randrange(60) for _ in range(ROWS - 2)] + [5, 2359]
LASTING = [_random.randrange(0, 2400) for _ in range(ROWS - 1)] + [1999]
ROUND = [50 * _random.randrange(0, 48) for _ in range(ROWS - 1)] + [2300]
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
    """flat_no|bib|chapter|verse
    ward_no|Ward No.|ward number|Jersey Number|jersey_no|Team Number|team_nr|Badge Number|Badge #|badge_no|Locker No
    locker_number|Room Number|room_no|Bus Number|bus_no|Route Number|route_no|Flight Number|flight_num|Flight|Gate No
    Gate Number|Player Number|player_no|Region Number|Class No|store_number|Store Nbr|Shirt Number|Bib No|Platform No
    Seat Number|Lane Number|Precinct Number|precinct|tract|TeamNumber|Trikotnummer|Zimmernummer|wardno|District No.
    Department Number|Block No|Household No|Locker #|jersey|Apartment No|Page Number|Table No
    Driver Number|uniform_no|Stop No|Game Number|Chapter No|Exam No|Flug-Nr.|Flugnummer|Hausnummer|Raum-Nr.""".replace(
        "\n", "|"
    ).split("|"),
)
def test_short_numbers_of_things_are_not_measured(name: str) -> None:
    assert identifies(name.strip(), COUNTS)


@pytest.mark.parametrize("name", ["PIN", "pin", "Pin Code", "pincode", "PINCODE", "area_pin"])
def test_a_postal_index_number_is_not_measured_and_a_count_of_pins_is(name: str) -> None:
    assert identifies(name, FIVE_DIGITS)
    assert name not in ("PIN", "pin", "area_pin") or not identifies(name, COUNTS)


@pytest.mark.parametrize(
    "name",
    """sched_dep|arr
    hhmm|HHMM|time_hhmm|Time (HHMM)|dep_time|CRSDepTime|sched_arr_time|TIME OCC|Accident_Time|time|Uhrzeit|hora
    heure|start_time|end time|crime_time|scheduled_departure|Ankunft|Hour""".replace("\n", "|").split("|"),
)
def test_times_of_day_written_as_numbers_are_not_measured(name: str) -> None:
    assert identifies(name.strip(), CLOCKS)
    assert identifies(name.strip(), [None, *map(float, CLOCKS[1:])])
    assert identifies(name.strip(), [100 * each + 7 * at % 60 for at, each in enumerate(CLOCKS)])


@pytest.mark.parametrize(
    ("name", "values"),
    [
        *((name, LASTING) for name in ("time", "dep_time", "response_time", "Zeit", "time_ms", "run_time")),
        *((name, ROUND) for name in ("time", "start_time", "hora")),
        *((name, CLOCKS) for name in ("response_time", "time_spent", "air_time", "price", "x", "total time", "votes")),
        *((name, CLOCKS) for name in ("departure_delay", "mean_time", "time_cost", "hourly_wage", "timely", "hours")),
        ("time", COUNTS),
        ("time", [each / 7 for each in CLOCKS]),
    ],
)
def test_times_that_last_stay_measures(name: str, values: Sequence[object]) -> None:
    assert not identifies(name, values)


@pytest.mark.parametrize(
    "name",
    """Number of rooms|num_orders|code_lines|lines of code|No. of children|n_items|rooms|paid|Bid|humid|grid|# of cars
    order_count|visits|total number|days|months|age|years_employed|nbr_rooms|no_of_employees|Anzahl Kunden|score
    No. of beds|number of beds|beds_no|Number of wards|no. of players|num_players|Number of teams|rooms number|pins
    No. of flights|buses|routes|lockers|teams|num_room|no of seats|copy number|Mach number|wave_number|octane number
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
