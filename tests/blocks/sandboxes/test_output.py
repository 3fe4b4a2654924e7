"""Output streams: text equals what was printed, cuts fall between characters and are counted exactly."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from blocks.sandboxes.output import OutputStream

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="…"), max_size=200)
SIZES = st.lists(st.integers(1, 9), max_size=400)
MARK = re.compile(r"\n… \[(\d+) bytes left out\] …\n")


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    out = []
    for size in sizes:
        out.append(data[:size])
        data = data[size:]
    return [*out, data]


@given(TEXT, SIZES, st.integers(0, 300))
def test_whole_output_arrives_whatever_the_pieces(text: str, sizes: list[int], head: int) -> None:
    stream = OutputStream(head, 10_000)
    shown = [stream.feed(piece) for piece in pieces(text.encode(), sizes)]
    held, dropped = stream.finish(0)
    assert "".join(shown) + held == text == stream.text
    assert dropped == 0


@given(TEXT, st.integers(0, 60), st.integers(0, 60), SIZES)
def test_a_cut_never_splits_a_character_and_is_counted_exactly(
    text: str, head: int, tail: int, sizes: list[int]
) -> None:
    data = text.encode()
    cut = len(data) - head - tail
    if cut <= 0:
        return
    kept = data[:head] + (data[-tail:] if tail else b"")
    stream = OutputStream(head, tail)
    shown = [stream.feed(piece) for piece in pieces(kept, sizes)]
    held, dropped = stream.finish(cut)
    whole = "".join(shown) + held
    assert whole == stream.text
    before, said, after = MARK.split(whole, maxsplit=1)
    assert "\ufffd" not in before.replace("\ufffd", "", text.count("\ufffd")) + after.replace(
        "\ufffd", "", text.count("\ufffd")
    )
    assert text.startswith(before)
    assert text.endswith(after)
    assert int(said) == dropped == len(data) - len(before.encode()) - len(after.encode())


def test_bytes_that_are_no_text_are_replaced_not_lost() -> None:
    stream = OutputStream(100, 100)
    stream.feed(b"a\xff\xfeb")
    stream.finish(0)
    assert stream.text == "a\ufffd\ufffdb"


def test_a_zygote_that_sends_more_than_agreed_is_cut_here() -> None:
    stream = OutputStream(10, 5)
    for _ in range(1000):
        stream.feed(b"x" * 1000)
    _, dropped = stream.finish(0)
    assert dropped == 1_000_000 - 15
    assert len(stream.text) < 100
