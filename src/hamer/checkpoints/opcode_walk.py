"""A walk over a pickle's instructions that obeys none of them: do lengths fit the data, and numbers of the memo?

The lengths are those of the standard library's own table of opcodes (`pickletools`). Its generator of decoded arguments would
do as well, at eight times the cost, which training pays for every sample.
"""

from __future__ import annotations

import pickletools
from mmap import mmap
from struct import Struct

_STOP, _PUT, _BINPUT, _LONG_BINPUT = b"."[0], b"p"[0], b"q"[0], b"r"[0]
_TWO_LINES = frozenset(b"ci")  # GLOBAL, INST: a module and a name
_LINE = -1
_COUNTS = {
    pickletools.TAKEN_FROM_ARGUMENT1: Struct("<B"),
    pickletools.TAKEN_FROM_ARGUMENT4: Struct("<i"),
    pickletools.TAKEN_FROM_ARGUMENT4U: Struct("<I"),
    pickletools.TAKEN_FROM_ARGUMENT8U: Struct("<Q"),
}


def _argument_lengths() -> list[int | Struct | None]:
    """For each byte: its argument's length, `_LINE` for text up to a newline, the form of a count before it, or no opcode."""
    lengths: list[int | Struct | None] = [None] * 256
    for opcode in pickletools.opcodes:
        n = opcode.arg.n if opcode.arg is not None else 0
        lengths[ord(opcode.code)] = _LINE if n == pickletools.UP_TO_NEWLINE else _COUNTS.get(n, n)
    return lengths


_LENGTHS = _argument_lengths()
_PLAIN = {
    c: n for c, n in enumerate(_LENGTHS) if isinstance(n, int) and n >= 0 and c not in (_STOP, _BINPUT, _LONG_BINPUT)
}
_STEPS = [_PLAIN[code] + 1 if code in _PLAIN else 0 for code in range(256)]
"""Bytes of an instruction where nothing but its length need be known, else 0."""
_STEPS_WITH_MEMO = [2 if code == _BINPUT else step for code, step in enumerate(_STEPS)]
"""The same where every memo number of one byte is believed."""


def check_stream(data: bytes | mmap, start: int = 0, memo: int | None = None) -> None:
    """A ValueError where an instruction reaches beyond the data, is unknown, or names a memo number beyond `memo`.

    An unpickler would set aside 8 bytes for every memo number below the one named: 32 GB for a forged one.

    Args:
        data: what holds the pickle.
        start: where the pickle begins in it.
        memo: the highest memo number that is believed; None for the data's length.
    """
    position, end = start, len(data)
    memo = end if memo is None else memo
    steps = _STEPS if memo < 256 else _STEPS_WITH_MEMO
    while position < end:
        step = steps[data[position]]
        if step:
            position += step
        elif data[position] == _STOP:
            return
        else:
            position = _after_argument(data, position, memo)
    raise ValueError(f"the pickle of {end} bytes ends before its last instruction")


def _after_argument(data: bytes | mmap, position: int, memo: int) -> int:
    """Where the instruction at `position` ends, whose argument has a length of its own or is a memo number."""
    code, end = data[position], len(data)
    length = _LENGTHS[code]
    position += 1
    if length is None:
        raise ValueError(f"byte {position - 1} is no instruction: {code:#x}")
    if isinstance(length, Struct):
        count = length.unpack_from(data, position)[0] if position + length.size <= end else -1
        if count < 0:
            raise ValueError(f"a text or bytes at byte {position} has no valid length")
        return position + length.size + count
    if length != _LINE:
        if position + length <= end:
            _check_memo(int.from_bytes(data[position : position + length], "little"), memo)
        return position + length
    after = _after_line(data, position)
    if code == _PUT:
        _check_memo(int(data[position : after - 1]), memo)
    return _after_line(data, after) if code in _TWO_LINES else after


def _after_line(data: bytes | mmap, position: int) -> int:
    found = data.find(b"\n", position)
    if found < 0:
        raise ValueError(f"the line at byte {position} has no end")
    return found + 1


def _check_memo(number: int, highest: int) -> None:
    if number > highest:
        raise ValueError(f"memo number {number} where {highest} is the highest believed")
