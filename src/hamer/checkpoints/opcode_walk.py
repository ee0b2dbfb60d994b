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
_UINT4 = Struct("<I")


def _argument_lengths() -> list[int | Struct | None]:
    """For each byte: its argument's length, `_LINE` for text up to a newline, the form of a count before it, or no opcode."""
    lengths: list[int | Struct | None] = [None] * 256
    for opcode in pickletools.opcodes:
        n = opcode.arg.n if opcode.arg is not None else 0
        lengths[ord(opcode.code)] = _LINE if n == pickletools.UP_TO_NEWLINE else _COUNTS.get(n, n)
    return lengths


_LENGTHS = _argument_lengths()


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
    while position < end:
        code = data[position]
        length = _LENGTHS[code]
        position += 1
        if isinstance(length, int):
            if length > 0:
                if code == _BINPUT:
                    _check_memo(data[position] if position < end else 0, memo)
                elif code == _LONG_BINPUT and position + 4 <= end:
                    _check_memo(_UINT4.unpack_from(data, position)[0], memo)
                position += length
            elif length == _LINE:
                line = position
                position = _after_line(data, position)
                if code in _TWO_LINES:
                    position = _after_line(data, position)
                elif code == _PUT:
                    _check_memo(int(data[line : position - 1]), memo)
            elif code == _STOP:
                return
        elif isinstance(length, Struct):
            count = length.unpack_from(data, position)[0] if position + length.size <= end else -1
            if count < 0:
                raise ValueError(f"a text or bytes at byte {position} has no valid length")
            position += length.size + count
        else:
            raise ValueError(f"byte {position - 1} is no instruction: {code:#x}")
    raise ValueError(f"the pickle of {end} bytes ends before its last instruction")


def _after_line(data: bytes | mmap, position: int) -> int:
    found = data.find(b"\n", position)
    if found < 0:
        raise ValueError(f"the line at byte {position} has no end")
    return found + 1


def _check_memo(number: int, highest: int) -> None:
    if number > highest:
        raise ValueError(f"memo number {number} where {highest} is the highest believed")
