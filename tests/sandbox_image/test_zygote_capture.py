"""The head, the tail and the count of what lies between them, for any way output can arrive."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sandbox_image.zygote.capture import Capture
from tests.support.properties import PATIENT


@PATIENT
@given(st.lists(st.binary(max_size=50), max_size=20), st.integers(0, 60), st.integers(0, 60))
def test_nothing_is_lost_uncounted(pieces: list[bytes], head_bytes: int, tail_bytes: int) -> None:
    capture = Capture(head_bytes, tail_bytes)
    head = b"".join(capture.feed(piece) for piece in pieces)
    tail = capture.finish()
    whole = b"".join(pieces)
    assert len(head) <= head_bytes
    assert len(tail) <= tail_bytes
    assert whole.startswith(head)
    assert whole.endswith(tail)
    assert len(head) + len(tail) + capture.dropped == len(whole)


@PATIENT
@given(st.lists(st.text(max_size=20), max_size=20), st.integers(0, 60), st.integers(4, 60))
def test_a_cut_never_splits_a_character(pieces: list[str], head_bytes: int, tail_bytes: int) -> None:
    capture = Capture(head_bytes, tail_bytes)
    encoded = [piece.encode("utf-8", "replace") for piece in pieces]
    head = b"".join(capture.feed(piece) for piece in encoded)
    tail = capture.finish()
    if capture.dropped:
        head.decode()
        tail.decode()
    else:
        assert head + tail == b"".join(encoded)


@PATIENT
@given(st.integers(1, 100))
def test_what_fits_is_kept_whole(size: int) -> None:
    capture = Capture(50, 50)
    head = b"".join(capture.feed(b"x") for _ in range(size))
    assert head + capture.finish() == b"x" * size
    assert capture.dropped == 0


def test_a_long_flood_holds_no_more_than_the_tail() -> None:
    capture = Capture(10, 100)
    for _ in range(10_000):
        capture.feed(b"y" * 1_000)
        assert capture._held <= 1_100
    assert len(capture.finish()) == 100
    assert capture.dropped == 10_000_000 - 110
