"""How long a server asks to wait: every spelling in use, and none of them trusted to be well formed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.chat.waits import MOST_S, parse_reset, server_wait, used_up

NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT
MOMENT_MS = str(int((NOW + 20) * 1000))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:30 GMT"}, 30),
        ({"retry-after": "Fri, 15 Jan 2027 07:00:00 GMT"}, 0),
        ({"retry-after": "-3"}, 0),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"x-ratelimit-reset": MOMENT_MS}, 20),
        ({"x-ratelimit-reset": str(int(NOW + 5))}, 5),
        ({"x-ratelimit-reset": "12"}, 12),
        ({"x-ratelimit-reset": "2027-01-15T08:00:09Z"}, 9),
        ({"x-ratelimit-reset-requests": "1s"}, 1),
        ({"x-ratelimit-reset-requests": "6m0s"}, 360),
        ({"x-ratelimit-reset-requests": "120ms"}, 0.12),
        ({"x-ratelimit-reset-requests": "1h2m3.5s"}, 3723.5),
        ({"x-ratelimit-reset-requests": "1d"}, 86_400),
        ({"retry-after": "3", "x-ratelimit-reset": MOMENT_MS}, 3),
        ({"retry-after": "soon", "x-ratelimit-reset": MOMENT_MS}, 20),
        (
            {
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-requests": "5",
                "x-ratelimit-reset-tokens": "8s",
                "x-ratelimit-remaining-tokens": "0",
            },
            8,
        ),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "8s"}, 1),
        ({"retry-after": "10h"}, 36_000),
        ({"retry-after": str(int(NOW + 30))}, 30),
        ({"retry-after": "2027-01-15T09:00:00+01:00"}, 0),
        ({"x-ratelimit-reset": "Fri, 15 Jan 2027 08:00:30 GMT"}, 30),
        ({"x-ratelimit-reset": str(int((NOW + 30) * 1e9))}, 30),
        ({"x-ratelimit-reset-requests": "1.5h"}, 5_400),
        ({"x-ratelimit-reset-requests": "750µs"}, 0.00075),
        ({"x-ratelimit-reset-ms": "1500"}, 1.5),
        ({"x-ratelimit-reset-requests-day": "35999.5"}, 35_999.5),
        ({"anthropic-ratelimit-tokens-reset": "2027-01-15T08:00:09Z"}, 9),
        ({"ratelimit": "limit=5, remaining=0, reset=8"}, 8),
        ({"ratelimit": '"a";r=0;t=8, "b";r=3;t=2'}, 8),
        ({"retry-after": "9" * 400}, MOST_S),
        ({"x-ratelimit-reset": "9" * 400}, MOST_S),
        ({"retry-after": "soon"}, None),
        ({"x-ratelimit-reset": ""}, None),
        ({}, None),
    ],
)
def test_each_spelling(headers: dict[str, str], seconds: float | None) -> None:
    assert server_wait(headers, NOW, refused=True) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("headers", "seconds", "name"),
    [
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2h59m56s"}, 10_796, "requests"),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": MOMENT_MS}, 20, "x-ratelimit-reset"),
        ({"x-ratelimit-remaining-tokens-minute": "0", "x-ratelimit-reset-tokens-minute": "12.5"}, 12.5, "tokens"),
        (
            {
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2027-01-15T08:00:09Z",
            },
            9,
            "anthropic",
        ),
        ({"x-ratelimit-remaining-requests": "-1", "x-ratelimit-reset-requests": "2h"}, 0, ""),
        ({"x-ratelimit-remaining-requests": "0"}, 0, ""),
        ({"x-ratelimit-reset-requests": "2h"}, 0, ""),
        ({"retry-after": "20"}, 0, ""),
    ],
)
def test_a_limit_that_is_used_up(headers: dict[str, str], seconds: float, name: str) -> None:
    wait, told = used_up(headers, NOW)
    assert wait == pytest.approx(seconds)
    assert name in told
    assert bool(told) == bool(seconds)


@pytest.mark.parametrize("name", ["x-ratelimit-reset", "anthropic-ratelimit-tokens-reset"])
def test_without_a_refusal_a_reset_alone_asks_for_nothing(name: str) -> None:
    assert server_wait({name: "60"}, NOW, refused=True) == 60
    assert server_wait({name: "60"}, NOW, refused=False) is None
    assert server_wait({name: "60", name.replace("reset", "remaining"): "0"}, NOW, refused=False) == 60
    assert server_wait({name: "60", "retry-after": "7"}, NOW, refused=False) == 7


NAMES = ["retry-after", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-reset-requests", "x-ratelimit-remaining"]
NAMES += ["ratelimit", "x-ratelimit-reset-ms", "anthropic-ratelimit-tokens-reset"]
SPELLINGS = st.text() | st.from_regex(r"[0-9dhms.: GMT,+\-rt=;e]{0,12}", fullmatch=True)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), SPELLINGS))
def test_no_header_breaks_it_and_no_wait_is_negative(headers: dict[str, str]) -> None:
    seconds = server_wait(headers, NOW, refused=True)
    assert seconds is None or 0 <= seconds <= MOST_S
    assert 0 <= used_up(headers, NOW)[0] <= MOST_S


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_spans_add_up(hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
    total = hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    assert parse_reset(f"{hours}h{minutes}m{seconds}s{milliseconds}ms", NOW) == pytest.approx(total)
