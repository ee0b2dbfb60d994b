"""Checks of training files: the golden tar as described, and every fault found that is put into a sound one."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hamer.checkpoints.unpickling import load_pickle
from hamer.datasets.checking.arrays import check_npz
from hamer.datasets.checking.drawing import CELL, ContactSheet, draw_hand
from hamer.datasets.checking.findings import Findings
from hamer.datasets.checking.paths import files_to_check
from hamer.datasets.checking.posing import check_pose, posed_hand
from hamer.datasets.checking.sample_checks import check_hand
from hamer.datasets.checking.statistics import filter_effects
from hamer.datasets.checking.tars import check_tar
from hamer.datasets.packing.hamer_json import read_hand
from hamer.datasets.packing.samples import hand_sample
from hamer.datasets.tar_filters import AnnotationFilters
from hamer.datasets.tar_writing import TarShard, annotation_bytes, mask_bytes

JPG = io.BytesIO()
Image.new("RGB", (320, 240), (90, 120, 60)).save(JPG, "JPEG")


class Tripwire:
    """What a malicious pickle holds: reading it as Python does would call."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return print, ("a pickle ran code",)


@pytest.fixture
def sample(made_up_hands: Any, tmp_path: Path) -> dict[str, Any]:
    """A sound right hand."""
    return hand_sample(read_hand(made_up_hands.hand(1).entry(), None, tmp_path), camera=made_up_hands.camera)


def write_tar(path: Path, *samples: dict[str, bytes]) -> Path:
    with TarShard(path) as shard:
        for number, members in enumerate(samples):
            shard.add(f"{number:06d}", members)
    return path


def checked(path: Path, **more: Any) -> Findings:
    findings = Findings()
    check_tar(path, findings, **more)
    return findings


def codes(findings: Findings) -> dict[str, bool]:
    return {group.code: group.is_error for group in findings.groups.values()}


@pytest.mark.parametrize("workers", [1, 3])
def test_the_golden_tar_is_as_described(golden: Path, workers: int) -> None:
    described = json.loads((golden / "hamer" / "tar_pipeline.json").read_text())
    findings = checked(golden / "hamer" / "tiny.tar", workers=workers)
    numbers = findings.statistics.summary()
    assert findings.errors == 0
    assert numbers["pictures"] == len(described["samples"])
    assert numbers["hands"] == sum(map(len, described["samples"]))
    assert numbers["left_for_training"] == len(described["yields"])
    texts = [text for entry in described["samples"] for text in entry]
    for name, words in (("FILTER_NUM_KP", "only 4 confident"), ("FILTER_REPROJ_THRESH", "reprojection loss over")):
        assert numbers["filters"][name] == sum(words in text for text in texts)
    assert numbers["left"] == sum("left" in text for text in texts)
    assert numbers["share_with"]["mask"] == round(2 / 7, 4)


def test_a_sound_hand_has_no_problems(sample: dict[str, Any]) -> None:
    assert check_hand(sample, 320, 240) == []


def _with(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda sample: sample.__setitem__(name, value)


def _edited(name: str, index: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda sample: sample[name].__setitem__(index, value)


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str, bool]] = {
    "missing": (lambda s: s.pop("betas"), "fields", True),
    "text": (_with("center", "here"), "fields", True),
    "objects": (_with("betas", np.array([None] * 10)), "fields", True),
    "shape": (_with("hand_pose", np.zeros(45, np.float32)), "shape", True),
    "nan": (_edited("keypoints_2d", (3, 0), np.nan), "finite", True),
    "side": (_with("right", np.array(2.0, np.float32)), "flag", True),
    "has": (_with("has_betas", np.array(0.5, np.float32)), "flag", True),
    "confidence": (_edited("keypoints_2d", (3, 2), -1.0), "confidence", True),
    "no box": (_with("scale", np.zeros(2, np.float32)), "box", True),
    "box elsewhere": (_with("center", np.array([5000, 10], np.float32)), "box", True),
    "box of another hand": (_edited("keypoints_2d", (slice(None), slice(2)), 310.0), "keypoints_2d", True),
    "joint elsewhere": (_edited("keypoints_2d", (4, 0), 4000.0), "keypoints_2d", True),
    "shares of the picture": (lambda s: s["keypoints_2d"].__imul__([1 / 320, 1 / 240, 1]), "keypoints_2d", True),
    "no joint": (_edited("keypoints_2d", (slice(None), 2), 0.0), "keypoints_2d", False),
    "double": (lambda s: s.__setitem__("betas", s["betas"].astype(float)), "dtype", False),
    "no wrist": (_edited("keypoints_3d", (0, 3), 0.0), "root", True),
    "millimetres": (lambda s: s["keypoints_3d"].__imul__([1000, 1000, 1000, 1]), "keypoints_3d", False),
    "mirrored": (lambda s: s["keypoints_3d"].__imul__([-1, 1, 1, 1]), "mirrored", False),
    "upside down": (lambda s: s["keypoints_3d"].__imul__([1, -1, 1, 1]), "projection", False),
    "degrees": (lambda s: s["hand_pose"].__imul__(57.3), "hand_pose", False),
    "betas": (_edited("betas", 2, 30.0), "betas", False),
    "extra_info": (_with("extra_info", 3), "fields", True),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_a_hand_are_found(sample: dict[str, Any], fault: str) -> None:
    spoil, code, is_error = FAULTS[fault]
    spoil(sample)
    problems = check_hand(sample, 320, 240)
    assert (code, is_error) in {(p.code, p.is_error) for p in problems}, problems
    if not is_error:
        assert not any(p.is_error for p in problems)


def test_poses_are_compared_with_joints(sample: dict[str, Any], made_up_hands: Any, tmp_path: Path) -> None:
    model = made_up_hands.model

    def found(**changes: Any) -> list[str]:
        return [p.code for p in check_pose({**sample, **changes}, 320, 240, model)]

    assert found() == []
    pose = sample["hand_pose"].copy()
    mirrored = pose * np.tile([1, -1, -1], 16).astype(np.float32)
    assert found(hand_pose=mirrored) == ["mirrored"]
    other_side = hand_sample(read_hand({**made_up_hands.hand(2).entry(), "is_right": True}, None, tmp_path))
    problems = list(check_pose(other_side, 320, 240, model))
    assert [p.code for p in problems] == ["mirrored"]
    assert "is the side wrong" in problems[0].message
    turned = np.r_[pose[:3] + np.array([0, 2, 0]), pose[3:]].astype(np.float32)  # of another frame
    assert found(hand_pose=turned) == ["pose"]
    assert found(hand_pose=turned, has_hand_pose=np.array(0.0, np.float32)) == []


def test_left_hands_are_posed_as_left_hands(made_up_hands: Any, tmp_path: Path) -> None:
    hand = made_up_hands.hand(2)
    assert not hand.is_right
    sample = hand_sample(read_hand(hand.entry(), None, tmp_path), camera=made_up_hands.camera)
    assert list(check_pose(sample, 320, 240, made_up_hands.model)) == []
    joints = posed_hand(sample, made_up_hands.model).joints.numpy()
    np.testing.assert_allclose(joints - joints[0], hand.joints - hand.joints[0], atol=1e-5)  # float32


def test_a_picture_twice_is_worth_a_look(sample: dict[str, Any], tmp_path: Path) -> None:
    members = {"jpg": JPG.getvalue(), "data.pyd": annotation_bytes([sample])}
    findings = Findings()
    for name in ("train.tar", "val.tar"):
        check_tar(write_tar(tmp_path / name, members), findings)
    assert codes(findings) == {"repeated": False}
    assert findings.groups["repeated", False].examples[0][0].endswith("val.tar:000000")


def test_another_joint_order_does_not_pass(sample: dict[str, Any]) -> None:
    sample["keypoints_3d"][1:] = sample["keypoints_3d"][:0:-1]  # tips first, little finger first
    assert "projection" in {p.code for p in check_hand(sample, 320, 240)}


def test_a_hand_that_is_none(sample: dict[str, Any]) -> None:
    assert check_hand([sample], 320, 240)[0].is_error  # type: ignore[arg-type]


def test_faults_of_a_tar_are_found(sample: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pickle

    jpg, data = JPG.getvalue(), annotation_bytes([sample])
    sound = {"jpg": jpg, "data.pyd": data}
    assert checked(write_tar(tmp_path / "sound.tar", sound)).groups == {}
    masked = {**sample, "extra_info": {"detection_npz_idx": 1}}
    mask = mask_bytes(np.ones((1, 240, 320), bool))
    cases = {
        "picture": [{"jpg": jpg[:300], "data.pyd": data}, {"txt": b"", "data.pyd": data}],
        "annotation": [{"jpg": jpg}, {"jpg": jpg, "data.pyd": data[:50]}, {"jpg": jpg, "data.pyd": annotation_bytes([])[:-1]}],
        "mask": [
            {**sound, "detection.npz": mask},
            {"jpg": jpg, "data.pyd": annotation_bytes([masked]), "detection.npz": mask},
            {"jpg": jpg, "data.pyd": annotation_bytes([masked])},
            {"jpg": jpg, "data.pyd": annotation_bytes([masked]), "detection.npz": mask_bytes(np.ones((2, 24, 32), bool))},
            {"jpg": jpg, "data.pyd": annotation_bytes([masked]), "detection.npz": b"zip"},
        ],
    }  # fmt: skip
    for code, samples in cases.items():
        findings = checked(write_tar(tmp_path / f"{code}.tar", *samples))
        assert {name: is_error for name, is_error in codes(findings).items() if name != "repeated"} == {code: True}
        assert findings.groups[code, True].count == len(samples)
    malicious = checked(write_tar(tmp_path / "malicious.tar", {"jpg": jpg, "data.pyd": pickle.dumps([Tripwire()])}))
    assert "builtins.print" in malicious.groups["annotation", True].examples[0][1]
    assert capsys.readouterr().out == ""


def test_cut_and_doubled_tars_are_found(sample: dict[str, Any], tmp_path: Path) -> None:
    sound = {"jpg": JPG.getvalue(), "data.pyd": annotation_bytes([sample])}
    whole = write_tar(tmp_path / "whole.tar", sound, sound, sound).read_bytes()
    cut = tmp_path / "cut.tar"
    for size in (0, 700, len(whole) // 2, len(whole) - 10240):
        cut.write_bytes(whole[:size])
        assert codes(checked(cut)).get("tar"), size
    forged = bytearray(whole)
    forged[124:136] = b"\x80" + (1 << 40).to_bytes(11, "big")  # the first member claims a terabyte
    forged[148:156] = b"%06o\0 " % (sum(forged[:148]) + sum(forged[156:512]) + 8 * 32)  # and its header's sum is right
    cut.write_bytes(forged)
    assert "claims" in checked(cut).groups["tar", True].examples[0][1]
    with TarShard(tmp_path / "double.tar") as shard:
        for key in ("a", "b", "a"):
            shard.add(key, sound)
    assert codes(checked(tmp_path / "double.tar"))["duplicate"]
    with tarfile.open(tmp_path / "link.tar", "w") as tar:
        link = tarfile.TarInfo("000000.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    assert codes(checked(tmp_path / "link.tar"))["tar"] is False


def test_a_turned_picture_is_worth_a_look(sample: dict[str, Any], tmp_path: Path) -> None:
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.new("RGB", (320, 240)).save(buffer, "JPEG", exif=exif)
    members = {"jpg": buffer.getvalue(), "data.pyd": annotation_bytes([sample])}
    assert codes(checked(write_tar(tmp_path / "a.tar", members))) == {"orientation": False}


def test_filters_count_as_training_applies_them(sample: dict[str, Any]) -> None:
    filters = AnnotationFilters(keypoint_confidence=0.3, betas_limit=3, together=True, num_keypoints=4, zero_betas=True)
    assert filter_effects(sample, filters) == []
    sample["keypoints_2d"][:17, 2] = 0.1
    sample["betas"][0] = 3.5
    effects = filter_effects(sample, filters)
    assert effects == ["SUPPRESS_KP_CONF_THRESH", "SUPPRESS_BETAS_THRESH", "FILTER_NUM_KP", "dropped"]
    sample["keypoints_2d"][16, 2] = 0.5
    assert "BETAS_REG" in filter_effects(sample, filters)


def test_npz_files(golden: Path, tmp_path: Path) -> None:
    findings = Findings()
    for name in ("eval_dataset.npz", "eval_dataset_minimal.npz"):
        check_npz(golden / "hamer" / name, findings)
    assert findings.groups == {}
    mocap = {"hand_pose": np.zeros((4, 48), np.float32), "betas": np.zeros((4, 10), np.float32)}
    cases: list[tuple[dict[str, Any], dict[str, bool]]] = [
        (mocap, {}),
        ({**mocap, "hand_pose": mocap["hand_pose"][:, 3:]}, {}),
        ({**mocap, "betas": np.zeros((3, 10))}, {"shape": True}),
        ({"hand_pose": np.full((4, 48), np.nan), "betas": mocap["betas"]}, {"finite": True}),
        ({**mocap, "hand_pose": np.full((4, 48), 99.0)}, {"hand_pose": False}),
        ({"faces": np.zeros(3)}, {"npz": True}),
        ({"imgname": np.array(["a"]), "center": np.zeros((1, 2)), "scale": np.zeros(1)}, {"box": True}),
        ({"imgname": np.array(["a", "b"]), "center": np.zeros((1, 2)), "scale": np.ones(1)}, {"shape": True}),
        ({"imgname": np.array(["a"]), "center": np.zeros((1, 2))}, {"fields": True}),
    ]
    for arrays, expected in cases:
        np.savez(tmp_path / "a.npz", **arrays)
        findings = Findings()
        check_npz(tmp_path / "a.npz", findings)
        assert codes(findings) == expected
    np.savez(tmp_path / "a.npz", imgname=np.array(["a.jpg", "a.npz"]), center=np.zeros((2, 2)), scale=np.ones(2))
    findings = Findings()
    check_npz(tmp_path / "a.npz", findings, img_folder=tmp_path)
    assert "1 of 2 pictures" in findings.groups["missing", True].examples[0][1]
    (tmp_path / "a.npz").write_bytes(b"no zip")
    check_npz(tmp_path / "a.npz", findings)
    assert codes(findings)["npz"]


def test_paths(tmp_path: Path) -> None:
    for name in ("000000.tar", "000001.tar", "x.npz"):
        (tmp_path / name).touch()
    tars = [tmp_path / "000000.tar", tmp_path / "000001.tar"]
    listed = tmp_path / "sets.yaml"
    listed.write_text(f"A:\n  URLS: {tmp_path}/{{000000..000001}}.tar\nB:\n  DATASET_FILE: {tmp_path}/x.npz\n")
    assert files_to_check([tmp_path]) == files_to_check([f"{tmp_path}/{{000000..000001}}.tar", *tars]) == tars
    assert files_to_check([listed]) == [*tars, tmp_path / "x.npz"]
    for wrong in (tmp_path / "picture.jpg", tmp_path.joinpath("empty")):
        wrong.mkdir() if wrong.name == "empty" else wrong.touch()
        with pytest.raises(ValueError, match="npz"):
            files_to_check([wrong])


def test_hands_are_drawn(sample: dict[str, Any], made_up_hands: Any) -> None:
    picture = np.full((240, 320, 3), 200, np.uint8)
    cell = draw_hand("000000", picture, sample, made_up_hands.model)
    assert cell.shape[1:] == (2 * CELL, 3)
    scale = CELL / float(sample["scale"].max() * 200)
    mesh_view = cell[-CELL:, CELL:].astype(int)
    # where the joints are, there is a hand: the picture's grey is gone from them, and stays in the corner
    xy = ((sample["keypoints_2d"][:, :2] - sample["center"]) * scale + CELL / 2).astype(int)
    covered = np.abs(mesh_view[xy[:, 1], xy[:, 0]] - 200).max(axis=1) > 10
    assert covered.mean() > 0.9
    without_pose = {**sample, "has_hand_pose": np.array(0.0, np.float32)}
    joints_view = draw_hand("000000", picture, without_pose, made_up_hands.model)[-CELL:, CELL:]
    # the 3D joints project onto the labelled ones, so both views show the same skeleton
    np.testing.assert_array_equal(joints_view, cell[-CELL:, :CELL])


def test_a_sheet_shows_as_many_as_asked_and_the_same_each_time(golden: Path, made_up_hands: Any) -> None:
    sheets = []
    for _ in range(2):
        sheet = ContactSheet(3, made_up_hands.model)
        check_tar(golden / "hamer" / "tiny.tar", Findings(), show=sheet.add)
        sheets.append(sheet.picture())
    assert sheets[0] is not None
    np.testing.assert_array_equal(*sheets)
    assert sheets[0].shape[1] % (2 * CELL) == 0
    assert ContactSheet(3, made_up_hands.model).picture() is None
    with pytest.raises(ValueError, match="at least 1"):
        ContactSheet(0, made_up_hands.model)


def test_the_allow_list_reads_what_the_tests_wrote(sample: dict[str, Any]) -> None:
    assert list(load_pickle(annotation_bytes([sample]))[0]) == list(sample)
