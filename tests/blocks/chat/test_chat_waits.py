"""How long a server asks to wait: every spelling in use, and none of them trusted to be well formed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.chat.waits import parse_reset, server_wait

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
        ({"retry-after": "soon"}, None),
        ({"x-ratelimit-reset": ""}, None),
        ({}, None),
    ],
)
def test_each_spelling(headers: dict[str, str], seconds: float | None) -> None:
    assert server_wait(headers, NOW) == pytest.approx(seconds)


NAMES = ["retry-after", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-reset-requests", "x-ratelimit-remaining"]
SPELLINGS = st.text() | st.from_regex(r"[0-9dhms.: GMT,+-]{0,12}", fullmatch=True)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), SPELLINGS))
def test_no_header_breaks_it_and_no_wait_is_negative(headers: dict[str, str]) -> None:
    seconds = server_wait(headers, NOW)
    assert seconds is None or seconds >= 0


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_spans_add_up(hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
    total = hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    assert parse_reset(f"{hours}h{minutes}m{seconds}s{milliseconds}ms", NOW) == pytest.approx(total)
