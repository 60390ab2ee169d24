"""Messages on the pipe: what was sent arrives, and nothing else is taken for a message."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter.wire import Message, WireError, decode, encode

SHAPES = st.lists(st.integers(0, 4), max_size=4)
NAMES = st.text(max_size=8)


def _decoded(content: bytes) -> Message:
    pipe = io.BytesIO(content)

    def read(count: int) -> bytearray:
        found = bytearray(pipe.read(count))
        if len(found) < count:
            raise EOFError
        return found

    message = decode(read)
    assert pipe.read() == b""
    return message


def _framed(header: Any, arrays: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(4, "big") + text + arrays


@given(
    st.dictionaries(NAMES.filter(lambda name: name != "arrays"), NAMES),
    st.dictionaries(NAMES, st.tuples(SHAPES, st.sampled_from(["float32", "uint8"])), max_size=3),
)
def test_round_trip(header: dict[str, str], arrays: dict[str, tuple[list[int], str]]) -> None:
    """Any header and any arrays, empty and scalar ones too, arrive as they were sent."""
    draw = np.random.default_rng(0)
    sent = {
        name: np.asarray(draw.integers(0, 255, shape), dtype)
        for name, (shape, dtype) in arrays.items()
    }
    message = _decoded(b"".join(encode(header, sent)))
    assert message.header == header
    assert message.arrays.keys() == sent.keys()
    for name, array in sent.items():
        assert message.arrays[name].dtype == array.dtype
        assert np.array_equal(message.arrays[name], array)


def test_other_order_of_axes() -> None:
    """A view that lies otherwise in memory arrives as it was indexed."""
    view = np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1)[::-1]
    assert np.array_equal(_decoded(b"".join(encode({}, {"a": view}))).arrays["a"], view)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xff\xff\xff", "a header of 4294967295 bytes"),
        (_framed(b"{]"), "not of this protocol"),
        (_framed(b"[" * 100_000), "not of this protocol"),
        (_framed([]), "not of this protocol"),
        (_framed({}), "not of this protocol"),
        (_framed({"arrays": [{"name": "a"}]}), "not of this protocol"),
        (_framed({"arrays": [{"name": "a", "dtype": "O", "shape": [1]}]}), "an array of O"),
        (_framed({"arrays": [{"name": "a", "dtype": "uint8", "shape": [-1]}]}), "shape .-1,."),
        (
            _framed({"arrays": [{"name": "a", "dtype": "uint8", "shape": [2**20, 2**20]}]}),
            "arrays that no model gives",
        ),
    ],
)
def test_no_message(content: bytes, said: str) -> None:
    """Garbage, foreign headers, object arrays and sizes beyond reason are refused."""
    with pytest.raises(WireError, match=said):
        _decoded(content)


def test_cut_short() -> None:
    """A message that ends early is not half taken."""
    whole = b"".join(encode({"a": 1}, {"b": np.ones(3, np.float32)}))
    for length in range(len(whole)):
        with pytest.raises(EOFError):
            _decoded(whole[:length])
