"""The walk over a pickle's instructions against the standard library's."""

from __future__ import annotations

import pickle
import pickletools
import random

import numpy as np
import pytest

from hamer.checkpoints.opcode_walk import check_stream

VALUE = {
    "array": np.arange(40.0).reshape(4, 10),
    "texts": ["a", "b" * 300, "ü"],
    "numbers": [1, 300, 70000, 2**40, -1, 2.5, True, None],
    "bytes": [b"x", b"y" * 300, bytearray(b"z")],
    "nested": ({1, 2}, frozenset({3}), (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
}


def accepts(data: bytes) -> bool:
    """What the walk replaces: every instruction decoded, memo numbers compared with the size."""
    try:
        return all(
            not (opcode.name.endswith("PUT") and isinstance(argument, int) and argument > len(data))
            for opcode, argument, _ in pickletools.genops(data)
        )
    except Exception:
        return False


def walks(data: bytes) -> bool:
    try:
        check_stream(data)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_every_protocol(protocol: int) -> None:
    data = pickle.dumps(VALUE, protocol=protocol)
    assert walks(data)
    assert not walks(data[:-1])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # texts whose escapes the damage made invalid
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_damaged_pickles_that_the_library_refuses(protocol: int) -> None:
    """Whatever reaches beyond the data is refused; what only decodes badly is left to the unpickler."""
    data, rng = pickle.dumps(VALUE, protocol=protocol), random.Random(protocol)
    refused = 0
    for _ in range(1500):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(data))] = rng.randrange(256)
        changed = bytes(damaged)
        if not walks(changed):
            refused += 1
            assert not accepts(changed)
        elif not accepts(changed):
            with pytest.raises(Exception):  # noqa: B017 - badly decoded arguments: any error, and no memory taken
                list(pickletools.genops(changed))
    assert refused > 100


@pytest.mark.parametrize("data", [b"\x80\x02K\x01r\xff\xff\xff\xff.", b"K\x01p99999\n.", b"K\x01q\xff.", b"", b"\xfe."])
def test_forged(data: bytes) -> None:
    with pytest.raises(ValueError):
        check_stream(data)
