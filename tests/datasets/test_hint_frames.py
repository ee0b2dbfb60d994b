"""Frames of videos by number: B-frames, uneven times, seeks, and the files that Ego4D's pictures become."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from hamer.datasets.hint import frames as frames_module
from hamer.datasets.hint.frames import VideoFrames
from hamer.datasets.hint.jpegs import jpeg_bytes
from hamer.datasets.hint.prepare import FrameName, prepare
from hamer.errors import PictureError

BITS = 8
WIDTH, HEIGHT = 16 * BITS, 48


def numbered(number: int) -> np.ndarray:
    """A picture that shows its number in stripes of black and white, over some texture; survives any codec."""
    rgb = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    for bit in range(BITS):
        rgb[8:, 16 * bit : 16 * (bit + 1)] = 235 if number >> bit & 1 else 20
    rgb[:8, :, 0] = np.arange(WIDTH) * 2 % 256
    return rgb


def number_of(rgb: np.ndarray) -> int:
    return sum(int(rgb[20:40, 16 * bit + 4 : 16 * bit + 12].mean() > 128) << bit for bit in range(BITS))


def write_video(
    path: Path,
    times: Sequence[int],
    *,
    codec: str = "libx264",
    base: int = 1000,
    b_frames: int = 3,
    key_every: int = 12,
    is_open: bool = False,
) -> Path:
    """A video of numbered frames shown at `times` (in 1/base s)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, base)
        stream.gop_size = key_every
        if codec == "libx264":
            stream.options = {
                "bf": str(b_frames),
                "sc_threshold": "0",
                "preset": "ultrafast" if not b_frames else "medium",
                "x264-params": f"open-gop={int(is_open)}",
            }
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, base)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


EVEN = [40 * n for n in range(60)]
UNEVEN = np.cumsum([0, *np.random.default_rng(0).integers(5, 200, 59)]).tolist()
LATE = [5000 + 40 * n for n in range(60)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("times", [EVEN, UNEVEN, LATE], ids=["even", "uneven", "late"])
@pytest.mark.parametrize("b_frames", [0, 3])
def test_every_frame_has_its_number(tmp_path: Path, times: list[int], b_frames: int, suffix: str) -> None:
    video = VideoFrames(write_video(tmp_path / f"v{suffix}", times, b_frames=b_frames))
    assert video.is_indexed
    assert video.count == 60
    assert video.is_constant_rate is (times is not UNEVEN)
    for wanted in ([0], [59], [17, 3, 41], [11, 12, 13], list(range(60))):
        found = [(number, number_of(frame.to_ndarray(format="rgb24"))) for number, frame in video.frames(wanted)]
        assert found == [(number, number) for number in sorted(wanted)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("times", [EVEN, UNEVEN], ids=["even", "uneven"])
def test_pictures_shown_before_their_key_frame(tmp_path: Path, times: list[int], suffix: str) -> None:
    """Open groups: B-frames before a key frame need the group before, whose key frame a seek must go back to."""
    video = VideoFrames(write_video(tmp_path / f"v{suffix}", times, is_open=True))
    for wanted in range(60):
        ((number, frame),) = video.frames([wanted])
        rgb = frame.to_ndarray(format="rgb24")
        assert (number, number_of(rgb)) == (wanted, wanted)
        # A frame decoded without what it refers to shows another's remains; codec and colours alone cost up to 1.5.
        assert np.abs(rgb.astype(int) - numbered(wanted)).mean() < 4


def test_another_codec(tmp_path: Path) -> None:
    video = VideoFrames(write_video(tmp_path / "v.mkv", UNEVEN, codec="mpeg4"))
    assert [(n, number_of(f.to_ndarray(format="rgb24"))) for n, f in video.frames([59, 31])] == [(31, 31), (59, 59)]


def test_the_made_up_video_has_b_frames(tmp_path: Path) -> None:
    """Else the test above would prove little: packets in the order of decoding are not in that of showing."""
    path = write_video(tmp_path / "v.mp4", EVEN)
    with av.open(str(path)) as container:
        times = [packet.pts for packet in container.demux(video=0) if packet.size]
    assert times != sorted(times)
    assert len(VideoFrames(path)._key_times) == 5


def test_few_frames_do_not_need_the_whole_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = VideoFrames(write_video(tmp_path / "v.mp4", EVEN))
    seeks: list[int] = []
    original = VideoFrames._decoder_from
    monkeypatch.setattr(VideoFrames, "_decoder_from", lambda self, c, t: (seeks.append(t), original(self, c, t))[1])
    assert [number for number, _ in video.frames([2, 5, 50, 52])] == [2, 5, 50, 52]
    assert len(seeks) == 2  # one a group of pictures


def test_videos_without_times_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "v.mp4", UNEVEN)
    monkeypatch.setattr(frames_module, "_packet_times", lambda container: ([], []))
    video = VideoFrames(path)
    assert (video.is_indexed, video.count) == (False, None)
    assert [(n, number_of(f.to_ndarray(format="rgb24"))) for n, f in video.frames([3, 58])] == [(3, 3), (58, 58)]


def test_a_decoder_that_gives_other_times_is_not_believed(tmp_path: Path) -> None:
    video = VideoFrames(write_video(tmp_path / "v.mp4", EVEN))
    video._times = [time + 1 for time in video._times]
    assert [(n, number_of(f.to_ndarray(format="rgb24"))) for n, f in video.frames([4, 30])] == [(4, 4), (30, 30)]


def test_frames_beyond_the_end_are_not_given(tmp_path: Path) -> None:
    video = VideoFrames(write_video(tmp_path / "v.mp4", EVEN[:10]))
    assert [number for number, _ in video.frames([9, 10, 200])] == [9]
    with pytest.raises(ValueError, match="counted from 0"):
        next(iter(video.frames([-1])))


def test_files_that_are_no_video(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"x" * 500)
    with pytest.raises(PictureError, match=r"v\.mp4"):
        VideoFrames(tmp_path / "v.mp4")


def test_jpeg_keeps_the_pixels(tmp_path: Path) -> None:
    video = VideoFrames(write_video(tmp_path / "v.mp4", EVEN[:3]))
    ((_, frame),) = video.frames([1])
    content = jpeg_bytes(frame)
    assert content == jpeg_bytes(frame)
    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, image.size) == ("JPEG", (WIDTH, HEIGHT))
        written = np.asarray(image.convert("RGB"), float)
    decoded = frame.to_ndarray(format="rgb24").astype(float)
    # Rounding of the finest quantiser and of two colour conversions; a wrong range would be 16 grey levels off.
    assert np.abs(written - decoded).mean() < 2.5


def test_turned_clips_become_upright(tmp_path: Path) -> None:
    class Turned:
        rotation = 90

        def to_ndarray(self, format: str) -> np.ndarray:
            assert format == "rgb24"
            return np.rot90(numbered(5), -1)

    with Image.open(io.BytesIO(jpeg_bytes(Turned()))) as image:
        assert number_of(np.asarray(image.convert("RGB"))) == 5


def test_names_say_clip_and_frame() -> None:
    stem = "0037b816-e98e-4f54_d60098ce-3716_505_pnr_frame_r"
    assert FrameName.of(stem) == FrameName("0037b816-e98e-4f54", 505)
    for wrong in ("ND_1_l", "clip_action_x_pre_15_l", "_action_3_pre_15_l", "clip_action_-3_pre_15_l"):
        with pytest.raises(ValueError, match="clip_action_frame_type_type_side"):
            FrameName.of(wrong)


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    """Annotations without pictures of two folders, of three clips of which two are there."""
    root = tmp_path / "HInt_annotation_partial"
    stems = {
        "TEST_ego4d_img": ["a_x_7_pre_15_l", "a_x_7_pre_15_r", "a_y_33_pnr_frame_r", "gone_x_1_pre_15_l"],
        "TRAIN_ego4d_img": ["b_x_0_post_frame_l", "b_x_99_post_frame_l", "odd_name_l"],
    }
    for folder, names in stems.items():
        (root / folder).mkdir(parents=True)
        for name in names:
            (root / folder / f"{name}.json").write_text(json.dumps([]))
    (root / "TEST_newdays_img").mkdir()
    (root / "TEST_newdays_img" / "ND_1_l.json").write_text("[]")
    write_video(tmp_path / "clips" / "a.mp4", EVEN)
    write_video(tmp_path / "clips" / "more" / "b.mp4", UNEVEN[:20])
    return root


def test_prepare_fills_in_the_very_frames(partial: Path) -> None:
    told: list[tuple[int, int, int]] = []
    done = prepare(partial, partial.parent / "clips", workers=2, progress=lambda *args: told.append(args))
    assert (done.wanted, done.present, done.written) == (7, 0, 4)
    for folder, name, number in (
        ("TEST_ego4d_img", "a_x_7_pre_15_l", 7),
        ("TEST_ego4d_img", "a_x_7_pre_15_r", 7),
        ("TEST_ego4d_img", "a_y_33_pnr_frame_r", 33),
        ("TRAIN_ego4d_img", "b_x_0_post_frame_l", 0),
    ):
        with Image.open(partial / folder / f"{name}.jpg") as image:
            assert number_of(np.asarray(image.convert("RGB"))) == number
    assert done.uneven == ["b"]
    assert dict(done.faults).keys() == {"b", "gone", "odd_name_l.jpg"}
    assert "frame 99 is not in the clip, which has 20 frames" in dict(done.faults)["b"]
    assert told[-1][:2] == (6, 6)
    assert not (partial / "TEST_newdays_img" / "ND_1_l.jpg").exists()


def test_prepare_goes_on_where_it_stopped(partial: Path) -> None:
    clips = partial.parent / "clips"
    prepare(partial, clips, split="TEST")
    kept = partial / "TEST_ego4d_img" / "a_x_7_pre_15_l.jpg"
    (partial / "TEST_ego4d_img" / "a_x_7_pre_15_r.jpg").unlink()
    before = kept.stat().st_mtime_ns
    done = prepare(partial, clips, split="TEST_ego4d_img")
    assert (done.wanted, done.present, done.written) == (2, 2, 1)
    assert kept.stat().st_mtime_ns == before
    assert prepare(partial, clips, split="TEST", overwrite=True).written == 3
    assert kept.stat().st_mtime_ns != before


def test_a_frame_that_cannot_be_encoded_costs_its_clip_alone(partial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(frame: Any) -> bytes:
        if frame.pts != 0:
            raise av.error.ExternalError(1, "no such format")
        return jpeg_bytes(frame)

    monkeypatch.setattr("hamer.datasets.hint.prepare.jpeg_bytes", encode)
    done = prepare(partial, partial.parent / "clips")
    assert done.written == 1  # the first frame of the other clip
    assert "no such format" in dict(done.faults)["a"]


def test_damaged_clips_are_named(partial: Path) -> None:
    clip = partial.parent / "clips" / "a.mp4"
    clip.write_bytes(clip.read_bytes()[:300])
    done = prepare(partial, partial.parent / "clips", split="TEST")
    assert done.written == 0
    assert "3 pictures are still missing" in dict(done.faults)["a"]
    with pytest.raises(FileNotFoundError, match="clips"):
        prepare(partial, partial / "nowhere")
