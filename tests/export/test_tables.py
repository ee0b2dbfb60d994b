"""json and npz hold everything, read back equal, and refuse what they cannot hold."""

from __future__ import annotations

import contextlib
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from hamer.export import (
    read_json,
    read_npz,
    reconstruction_from_dict,
    reconstruction_to_dict,
    write_json,
    write_npz,
)
from hamer.structures import Hand, Reconstruction


def assert_same_hand(first: Hand, second: Hand, *, vertices: bool) -> None:
    for field in fields(Hand):
        if field.name == "parameters":
            for name in ("global_orient", "hand_pose", "betas"):
                np.testing.assert_array_equal(getattr(first.parameters, name), getattr(second.parameters, name))
        elif field.name == "score":
            assert first.score == pytest.approx(second.score, rel=1e-7)  # the npz keeps float32
        elif field.name != "vertices" or vertices:
            np.testing.assert_array_equal(getattr(first, field.name), getattr(second, field.name))


def assert_same(first: Reconstruction, second: Reconstruction, *, vertices: bool) -> None:
    assert len(first.hands) == len(second.hands)
    for one, other in zip(first.hands, second.hands, strict=True):
        assert_same_hand(one, other, vertices=vertices)
    assert first.camera == second.camera
    for name in ("width", "height", "hand_model", "model", "detector", "notes"):
        assert getattr(first, name) == getattr(second, name)
    assert second.path == Path(first.path.name) if first.path else second.path is None


def test_json_schema(result: Reconstruction) -> None:
    table = reconstruction_to_dict(result)
    assert table["schema"] == "hamer/1"
    assert table["image"] == "plaza <2>.jpg"
    assert set(table) >= {"width", "height", "hand_model", "camera", "model", "detector", "hands"}
    assert set(table["camera"]) >= {"fx", "fy", "cx", "cy", "distortion"}
    hand = table["hands"][1]
    assert set(hand) == {
        "id", "is_right", "score", "box", "keypoints_2d", "joints", "joint_confidence", "camera_translation", "parameters",
    }  # fmt: skip
    assert hand["is_right"] is False
    shapes = {"box": (4,), "keypoints_2d": (21, 2), "joints": (21, 3), "joint_confidence": (21,)}
    for name, shape in shapes.items():
        assert np.shape(hand[name]) == shape
    assert {name: len(values) for name, values in hand["parameters"].items()} == {
        "global_orient": 3, "hand_pose": 45, "betas": 10,
    }  # fmt: skip


def test_json_round_trip_is_exact(result: Reconstruction, tmp_path: Path) -> None:
    assert_same(result, read_json(write_json(result, tmp_path / "a.json")), vertices=False)
    assert_same(result, reconstruction_from_dict(reconstruction_to_dict(result)), vertices=False)


def test_npz_round_trip_is_exact(result: Reconstruction, tmp_path: Path) -> None:
    again = read_npz(write_npz(result, tmp_path / "a.npz"))
    assert_same(result, again, vertices=True)
    np.testing.assert_array_equal(again.faces, result.faces)


def test_no_hands(result: Reconstruction, tmp_path: Path) -> None:
    result.hands, result.path = [], None
    assert_same(result, read_json(write_json(result, tmp_path / "a.json")), vertices=False)
    path = write_npz(result, tmp_path / "a.npz")
    assert_same(result, read_npz(path), vertices=True)
    with np.load(path) as arrays:
        assert arrays["joints"].shape == (0, 21, 3)


def test_npz_holds_no_pickles(result: Reconstruction, tmp_path: Path) -> None:
    with np.load(write_npz(result, tmp_path / "a.npz"), allow_pickle=False) as arrays:
        assert all(arrays[name].dtype.kind in "fibuU" for name in arrays.files)
        assert arrays["vertices"].shape == (2, len(result.hands[0].vertices), 3)


def test_numbers_are_short(result: Reconstruction) -> None:
    result.hands[0].box[:] = 0.1
    assert reconstruction_to_dict(result)["hands"][0]["box"] == [0.1] * 4


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_must_be_finite(result: Reconstruction, tmp_path: Path, bad: float) -> None:
    result.hands[1].joints[4, 2] = bad
    for write, name in ((write_json, "a.json"), (write_npz, "a.npz")):
        with pytest.raises(ValueError, match=r"result\.hands\[1\]\.joints\[4\]\[2\] must be a finite number"):
            write(result, tmp_path / name)
    result.hands[1].joints[4, 2] = 0
    result.hands[1].vertices[0, 0] = bad
    with pytest.raises(ValueError, match="vertices must be finite"):
        write_npz(result, tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())


def test_failed_writing_keeps_the_old_file(result: Reconstruction, tmp_path: Path) -> None:
    path = write_json(result, tmp_path / "a.json")
    before = path.read_bytes()
    result.hands[0].score = float("nan")
    with pytest.raises(ValueError, match="score"):
        write_json(result, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_foreign_files(tmp_path: Path, result: Reconstruction) -> None:
    path = tmp_path / "a.json"
    for content, message in [
        ("{", "a.json"),
        ("[]", "must be a json object"),
        ('{"schema": "other/3"}', "schema must be 'hamer/1', got 'other/3'"),
        ('{"schema": "hamer/1"}', "lacks the field 'hands'"),
    ]:
        path.write_text(content)
        with pytest.raises(ValueError, match=message):
            read_json(path)
    table = reconstruction_to_dict(result)
    table["hands"][0]["joints"] = [[0, 0]]
    with pytest.raises(ValueError, match=r"Hand\.joints must have shape"):
        reconstruction_from_dict(table)
    table["hands"] = 3
    with pytest.raises(ValueError, match="wrong type"):
        reconstruction_from_dict(table)
    foreign = tmp_path / "a.npz"
    np.savez(foreign, x=np.zeros(3))
    with pytest.raises(ValueError, match=r"a\.npz is not an npz that hamer wrote"):
        read_npz(foreign)
    foreign.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ValueError, match=r"a\.npz is not an npz that hamer wrote"):
        read_npz(foreign)


DAMAGE: dict[str, dict[str, object]] = {
    "a pickled object": {"id": np.array([{}, {}], object)},
    "meta that is a list": {"meta": np.array("[]")},
    "meta that is a number": {"meta": np.array("3")},
    "too few boxes": {"box": np.zeros((0, 4))},
    "an id that is no list": {"id": np.array(3)},
    "faces of vertices that are not there": {"faces": np.full((5, 3), 99_999)},
    "negative faces": {"faces": np.full((5, 3), -1)},
    "vertices that are NaN": {"vertices": np.full((2, 4, 3), np.nan)},
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_wrong_arrays_are_refused(tmp_path: Path, result: Reconstruction, damage: str) -> None:
    path = write_npz(result, tmp_path / "a.npz")
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(path, **{**arrays, **DAMAGE[damage]})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"a\.npz is not an npz that hamer wrote"):
        read_npz(path)


def test_a_malicious_pickle_is_not_opened(tmp_path: Path) -> None:
    """NumPy's own message would advise to allow pickles."""
    (tmp_path / "a.npz").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(ValueError, match="no zip archive") as raised:
        read_npz(tmp_path / "a.npz")
    assert "allow_pickle" not in str(raised.value)


def test_no_flipped_byte_gives_another_error(tmp_path: Path, result: Reconstruction) -> None:
    """Every byte of the archive's directory in turn: flags, methods and offsets of members are there."""
    good = write_npz(result, tmp_path / "a.npz").read_bytes()
    start = good.index(b"PK\x01\x02")
    for position in range(start, len(good), 3):
        data = bytearray(good)
        data[position] ^= 0x55
        (tmp_path / "a.npz").write_bytes(data)
        with contextlib.suppress(ValueError):  # anything else fails the test; some bytes mean nothing
            read_npz(tmp_path / "a.npz")


def test_a_missing_folder_is_named(tmp_path: Path, result: Reconstruction) -> None:
    with pytest.raises(FileNotFoundError, match=r"cannot write a\.json: there is no folder .*absent"):
        write_json(result, tmp_path / "absent" / "a.json")


def test_names_that_are_no_utf8_are_written(tmp_path: Path, result: Reconstruction) -> None:
    result.path = Path("bad\udcff.jpg")  # how Python names the byte 0xff in a file name
    assert read_json(write_json(result, tmp_path / "a.json")).path == result.path
    assert read_npz(write_npz(result, tmp_path / "a.npz")).path == result.path


def test_json_is_plain_text(result: Reconstruction, tmp_path: Path) -> None:
    result.notes = ["größer — 手"]
    text = write_json(result, tmp_path / "a.json").read_text(encoding="utf-8")
    assert "größer — 手" in text
    assert json.loads(text)["notes"] == result.notes
