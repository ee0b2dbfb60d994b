"""Video frames as JPEG files of the quality that HInt's own frames have."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np

_QUANTISER = 2  # the finest that FFmpeg's encoder takes by default: what HInt's makers' request for 1 comes to
_QUARTER_TURN = 90


def jpeg_bytes(frame: Any) -> bytes:
    """An av.VideoFrame, upright, as JPEG: its own luma and chroma at full range, finest quantiser."""
    upright = _upright(frame)
    picture = upright.reformat(format="yuvj420p", dst_color_range="JPEG")
    encoder: Any = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"qmin": str(_QUANTISER), "qmax": str(_QUANTISER)}
    encoder.thread_count = 1  # slices of several threads would make other bytes on other machines
    picture.pts, picture.time_base = 0, encoder.time_base
    return b"".join(bytes(packet) for packet in (*encoder.encode(picture), *encoder.encode(None)))


def _upright(frame: Any) -> Any:
    """The frame as players show it: clips of turned cameras say so beside the pixels."""
    turns = round((getattr(frame, "rotation", 0) or 0) / _QUARTER_TURN) % 4
    if not turns:
        return frame
    rgb = np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))
    return av.VideoFrame.from_ndarray(rgb, format="rgb24")
