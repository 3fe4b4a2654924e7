"""What servers tell of waits, read form by form, and what people are told of them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from blocks.chat.errors import RateLimited
from blocks.chat.patience import asked, closed, spoken, time_of_day, too_long
from blocks.chat.waits import MOST_S, parse_reset, server_wait, used_up

NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


# What is said of a wait


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (0.4, "0 s"), (1, "1 s"), (59.6, "1 min"), (61, "1 min 1 s"), (3600, "1 h"), (3661, "1 h 1 min"),
     (10_796, "2 h 59 min"), (86_400, "1 d"), (90_061, "1 d 1 h"), (86_401, "1 d 1 s")],
)  # fmt: skip
def test_a_time_is_spoken_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert spoken(seconds) == words


@pytest.fixture
def berlin() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_a_moment_is_told_by_the_clock_on_the_wall() -> None:
    now = datetime(2026, 7, 1, 12, 30).astimezone().timestamp()
    assert time_of_day(now + 3600, now) == "13:30 CEST"
    assert time_of_day(now + 12 * 3600, now) == "00:30 CEST on 2026-07-02"
    assert asked(7200, now) == "to send nothing for 7200 s (2 h), until 14:30 CEST"


def test_a_wait_of_hours_is_told_with_whose_it_is_and_what_the_server_said() -> None:
    end = closed("m", "http://here/v1", 36_000, 300, "The day is used up.")
    assert "m at http://here/v1 is not asked" in end.message
    assert "36000 s (10 h)" in end.message
    assert "(The day is used up);" in end.message
    assert "waits 5 min at most" in end.message
    assert (end.probe_s, end.detail) == (36_000, "The day is used up.")
    bare = closed("m", "e", 36_000, 300, "").message
    assert re.search(r"until \d\d:\d\d \S+( on \d{4}-\d\d-\d\d)?; a call waits", bare), "nothing is said of no words"
    assert "max_server_wait_s" in end.remedy


def test_what_the_server_answered_stays_with_the_wait_it_asked_for() -> None:
    error = RateLimited("Slow down.", retry_after_s=36_000)
    error.status, error.detail = 429, "free models per day"
    end = too_long(error, 36_000, 300)
    assert end.message.startswith("Slow down. The server")
    assert (end.status, end.detail, end.probe_s) == (429, "free models per day", 36_000)


# What servers tell


@pytest.mark.parametrize(
    ("text", "ms", "seconds"),
    [
        ("12", False, 12), ("12", True, 0.012), (" 0.5 ", False, 0.5), ("-3", False, 0), ("1e3", False, 1000),
        ("999999999", False, MOST_S), ("1000000000", False, 0), (str(int(NOW) + 40), False, 40),
        (str(int(NOW) + 40), True, 1_800_000.04),
        (str((int(NOW) + 40) * 1000), True, 40), (str((int(NOW) + 40) * 1000), False, 40),
        (str((int(NOW) + 40) * 10**6), False, 40), ("1h2m3.5s", False, 3723.5), ("2 D", False, 172_800),
        ("90 S", False, 90), ("5ms", False, 0.005), ("5us", False, 5e-6), ("5ns", False, 5e-9), (".5s", False, 0.5),
        ("5x", False, None), ("", False, None), ("soon", False, None), ("400d", False, MOST_S),
        ("2027-01-15T08:00:09", False, 9), ("2027-01-15T09:00:09+01:00", False, 9),
        ("Fri, 15 Jan 2027 08:00:30 GMT", False, 30), ("Fri, 15 Jan 2027 07:00:00 GMT", False, 0),
    ],
)  # fmt: skip
def test_each_form_of_a_reset(text: str, ms: bool, seconds: float | None) -> None:
    assert parse_reset(text, NOW, ms=ms) == (None if seconds is None else pytest.approx(seconds))


def test_a_wait_in_milliseconds_goes_first_and_what_cannot_be_read_is_passed_over() -> None:
    assert (
        server_wait({"retry-after-ms": "1500", "x-ms-retry-after-ms": "9", "retry-after": "7"}, NOW, refused=True)
        == 1.5
    )
    assert server_wait({"x-ms-retry-after-ms": "2500", "retry-after": "7"}, NOW, refused=True) == 2.5
    assert server_wait({"retry-after-ms": "?", "retry-after": "7"}, NOW, refused=True) == 7
    assert server_wait({"retry-after": "0", "x-ratelimit-reset": "9"}, NOW, refused=True) == 0


def test_of_several_limits_the_longest_that_is_used_up_counts_else_the_soonest() -> None:
    both = {"x-ratelimit-reset-requests": "5", "x-ratelimit-reset-tokens": "70", "x-ratelimit-reset-images": "2"}
    assert server_wait(both, NOW, refused=True) == 2
    used = {**both, "x-ratelimit-remaining-requests": "0", "x-ratelimit-remaining-tokens": " 0.0 "}
    assert server_wait(used, NOW, refused=True) == 70
    assert used_up(used, NOW) == (70, "x-ratelimit-reset-tokens")
    assert used_up(both, NOW) == (0.0, "")
    # What has a limit of 0 is not offered, and what is no limit's header tells nothing.
    assert server_wait({"x-ratelimit-reset": "5", "x-ratelimit-limit": "0"}, NOW, refused=True) is None
    assert server_wait({"x-reset": "5", "reset": "6"}, NOW, refused=True) is None
    assert used_up({"x-ratelimit-reset-ms": "1500", "x-ratelimit-remaining": "0"}, NOW) == (1.5, "x-ratelimit-reset-ms")
    assert (
        server_wait({"x-tokenlimit-reset": "5"}, NOW, refused=True)
        == server_wait({"x-rate-limit-reset": "5"}, NOW, refused=True)
        == 5
    )


@pytest.mark.parametrize(
    ("text", "wait", "used"),
    [
        ("limit=100, remaining=0, reset=50", 50, 50),
        ("limit=100, remaining=7, reset=50", 50, 0),
        ("Remaining = 0, Reset = 50", 50, 50),
        ('"a";r=0;t=8, "b";r=0;t=9', 9, 9),
        ('"a";r=3;t=8, "b";r=4;t=2', 2, 0),
        ('"a";r=3;t=8,"b";r=0;t=9', 9, 9),
        ("remaining=0", None, 0),
        ("100;w=60", None, 0),
    ],
)
def test_the_fields_of_a_ratelimit_header(text: str, wait: float | None, used: float) -> None:
    assert server_wait({"ratelimit": text}, NOW, refused=True) == wait
    assert used_up({"ratelimit": text}, NOW)[0] == used
