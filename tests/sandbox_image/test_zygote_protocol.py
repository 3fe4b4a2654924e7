"""Frames survive any splitting of the stream, and nonsense never becomes a frame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_image.zygote.protocol import HEADER, Decoder, Frame, ProtocolError, encode
from tests.support.properties import PATIENT

frames = st.builds(Frame, st.integers(0, 255), st.integers(0, 2**32 - 1), st.binary(max_size=200))


@PATIENT
@given(st.lists(frames, max_size=8), st.lists(st.integers(1, 40), min_size=1))
def test_frames_come_back_however_the_stream_is_cut(sent: list[Frame], cuts: list[int]) -> None:
    stream = b"".join(encode(frame.kind, frame.session, frame.payload) for frame in sent)
    decoder, received, position, turn = Decoder(), [], 0, 0
    while position < len(stream):
        size = cuts[turn % len(cuts)]
        received += decoder.feed(stream[position : position + size])
        position, turn = position + size, turn + 1
    assert received == sent


@PATIENT
@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=20) | st.none(), max_size=5))
def test_objects_come_back(data: dict[str, object]) -> None:
    assert Decoder().feed(encode(4, 1, data))[0].json() == data


@PATIENT
@given(st.binary(max_size=64))
def test_bytes_of_a_stranger_give_frames_or_an_error(data: bytes) -> None:
    decoder = Decoder(max_payload=1024)
    try:
        for frame in decoder.feed(data):
            assert len(frame.payload) <= 1024
    except ProtocolError:
        assert len(data) >= HEADER.size


def test_a_length_over_the_limit_is_refused_before_its_payload_comes() -> None:
    with pytest.raises(ProtocolError, match="is over"):
        Decoder(max_payload=10).feed(HEADER.pack(11, 1, 0))


@pytest.mark.parametrize("payload", [b"", b"[]", b"1", b"\xff", b'{"a":', b"[" * 100_000])
def test_what_is_no_object_is_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolError, match="carries no JSON"):
        Frame(1, 0, payload).json()
