"""Single frames of a video by their number, exactly: counted from 0 in the order of presentation.

A video's packets come in the order of decoding, which B-frames change, and their times need not be evenly spaced. So the
times of all packets are read first (nothing is decoded), sorted, and the n-th is the time of frame n; a seek goes to a key
frame not after it, and decoding stops at the very time. Where packets have no times, or one twice, all frames are decoded
and counted.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import av.error

from hamer.errors import PictureError

MAX_FAULTY_SEEKS = 3
"""Key frames tried, each before the last, until a seek lands where it should; then decoding starts at the beginning."""


class VideoFrames:
    """The frames of a video file by number.

    Args:
        path: of the file; it is opened by each method and closed again.

    Raises:
        PictureError: no video, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _opened(path) as container:
            self._times, self._key_times = _packet_times(container)
        self.is_indexed = len(self._times) > 0 and len(set(self._times)) == len(self._times)

    @property
    def count(self) -> int | None:
        """How many frames there are, None where only decoding tells."""
        return len(self._times) if self.is_indexed else None

    @property
    def is_constant_rate(self) -> bool:
        """Whether frames are evenly spaced, to a tick of rounding."""
        steps = [b - a for a, b in zip(self._times, self._times[1:], strict=False)]
        return self.is_indexed and (not steps or max(steps) - min(steps) <= 1)

    def frames(self, numbers: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """(number, av.VideoFrame) of each frame asked for that exists, in rising order."""
        wanted = sorted(set(numbers))
        if wanted and wanted[0] < 0:
            raise ValueError(f"frames are counted from 0, got {wanted[0]}")
        try:
            with _opened(self.path) as container:
                yield from self._sought(container, wanted) if self.is_indexed else _counted(container, wanted)
        except av.error.FFmpegError as error:
            raise PictureError(f"cannot decode {self.path}: {error}") from error

    def _sought(self, container: Any, wanted: Sequence[int]) -> Iterator[tuple[int, Any]]:
        decoder: Iterator[Any] = iter(())
        reached: int | None = None  # time of the last decoded frame
        for number in wanted:
            if number >= len(self._times):
                return
            time = self._times[number]
            if reached is None or self._key_before(time) > reached:
                decoder = self._decoder_from(container, time)
            frame = next((frame for frame in decoder if frame.pts == time), None)
            if frame is None:  # the decoder gives other frames than the packets promise: count instead
                yield from _counted_anew(self.path, [n for n in wanted if n >= number])
                return
            reached = time
            yield number, frame

    def _key_before(self, time: int) -> int:
        """Time of the last key frame not after `time`; that of the first frame where there is none."""
        place = bisect.bisect_right(self._key_times, time) - 1
        return self._key_times[place] if place >= 0 else self._times[0]

    def _decoder_from(self, container: Any, time: int) -> Iterator[Any]:
        """Decoded frames from a key frame not after `time`."""
        stream = container.streams.video[0]
        place = bisect.bisect_right(self._key_times, time) - 1
        for tried in range(max(0, place), max(-1, place - MAX_FAULTY_SEEKS), -1):
            container.seek(self._key_times[tried], stream=stream, backward=True)
            packets = container.demux(stream)
            first = next(packets, None)
            if first is not None and first.is_keyframe and first.pts is not None and first.pts <= time:
                return _decoded(first, packets)
        container.seek(min(self._times[0], 0), stream=stream, backward=True)
        return iter(container.decode(stream))


def _opened(path: Path) -> Any:
    try:
        container: Any = av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        raise PictureError(f"cannot open {path} as a video: {error}") from error
    if not container.streams.video:
        container.close()
        raise PictureError(f"{path} has no video")
    container.streams.video[0].thread_type = "AUTO"
    return container


def _packet_times(container: Any) -> tuple[list[int], list[int]]:
    """Times of all frames and of the key frames, sorted; no times where a packet has none."""
    times, key_times = [], []
    try:
        for packet in container.demux(container.streams.video[0]):
            if packet.size == 0 or packet.is_discard:  # the end; cut away by the file's edit list
                continue
            if packet.pts is None:
                return [], []
            times.append(packet.pts)
            if packet.is_keyframe:
                key_times.append(packet.pts)
    except av.error.FFmpegError as error:
        raise PictureError(f"cannot read {container.name}: {error}") from error
    return sorted(times), sorted(key_times)


def _decoded(first: Any, packets: Iterator[Any]) -> Iterator[Any]:
    yield from first.decode()
    for packet in packets:
        yield from packet.decode()


def _counted(container: Any, wanted: Sequence[int]) -> Iterator[tuple[int, Any]]:
    last = max(wanted, default=-1)
    chosen = set(wanted)
    for number, frame in enumerate(container.decode(container.streams.video[0])):
        if number > last:
            return
        if number in chosen:
            yield number, frame


def _counted_anew(path: Path, wanted: Sequence[int]) -> Iterator[tuple[int, Any]]:
    with _opened(path) as container:
        yield from _counted(container, wanted)
