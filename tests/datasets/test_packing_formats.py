"""Releases of public sets, made up from the descriptions of their layouts, read as annotations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hamer.datasets.checking.consistency import fit_residual
from hamer.datasets.packing import SourceOptions, pack, read_annotations
from hamer.datasets.packing.hamer_json import read_hand
from hamer.datasets.packing.interhand import TO_OPENPOSE
from hamer.datasets.packing.samples import hand_sample
from hamer.datasets.packing.sources import kind_of
from hamer.geometry.mirroring import mirror_axis_angle
from hamer.geometry.rotations import aa_to_rotmat
from hamer.hand_models.joints import MANO_TO_OPENPOSE

MEAN = np.linspace(-0.4, 0.5, 45).astype(np.float32)


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def mano(tmp_path: Path, made_up_hands: Any) -> Path:
    """A hand model file with a mean pose, in the place of MANO's."""
    content = {name: value for name, value in vars(made_up_hands.model.arrays).items() if value is not None}
    np.savez(tmp_path / "mano.npz", **{**content, "hands_mean": MEAN})
    return tmp_path / "mano.npz"


@pytest.fixture
def freihand(tmp_path: Path, made_up_hands: Any) -> Path:
    """Three samples, the second version of which is there too, and the fits."""
    folder = tmp_path / "FreiHAND_pub_v2"
    hands = [made_up_hands.hand(2 * n + 1) for n in range(3)]
    for index in (0, 1, 2, 3, 4):
        made_up_hands.picture(folder / "training" / "rgb" / f"{index:08d}.jpg", index)
    write_json(folder / "training_K.json", [made_up_hands.camera.matrix.tolist()] * 3)
    write_json(folder / "training_xyz.json", [hand.joints.tolist() for hand in hands])
    fits = [[[*hand.pose[:3], *(hand.pose[3:] - MEAN), *([0.2] * 10), 1.0, 2.0, 0.03]] for hand in hands]
    write_json(folder / "training_mano.json", [[list(map(float, fit[0]))] for fit in fits])
    return folder


def test_freihand(freihand: Path, mano: Path, made_up_hands: Any) -> None:
    assert kind_of(freihand) == "freihand"
    pictures = read_annotations(freihand, options=SourceOptions(mano=mano))
    assert [pictures.name(i) for i in range(len(pictures))] == [f"{n:08d}" for n in (0, 1, 2, 3, 4, 5)]
    for index in (1, 4):  # two versions of one sample
        picture, hand = pictures[index], made_up_hands.hand(3)
        assert picture.path.name == f"{index:08d}.jpg"
        assert picture.camera is not None
        assert (picture.camera.fx, picture.camera.cy) == (300, 120)
        annotated = picture.hands[0]
        assert annotated.is_right
        np.testing.assert_allclose(annotated.keypoints_2d[:, :2], hand.points, rtol=1e-5)  # float32
        np.testing.assert_allclose(annotated.keypoints_3d[:, :3], hand.joints, atol=1e-6)
        np.testing.assert_allclose(annotated.hand_pose, hand.pose, atol=1e-6)  # the mean is added
        np.testing.assert_allclose(annotated.betas, 0.2)


def test_freihand_without_mano_has_no_poses(freihand: Path, tmp_path: Path) -> None:
    options = SourceOptions()
    shard = pack(read_annotations(freihand, options=options), tmp_path / "out")[0]
    assert (shard.hands, shard.with_pose, shard.with_betas, shard.with_3d) == (5, 0, 5, 5)
    assert "--mano" in options.notes[0]
    assert [picture for picture, _ in shard.skipped] == ["00000005"]  # the second version's third picture is missing


def test_freihand_lists_must_agree(freihand: Path) -> None:
    write_json(freihand / "training_xyz.json", [])
    with pytest.raises(ValueError, match="K 3, xyz 0"):
        read_annotations(freihand)
    with pytest.raises(ValueError, match="evaluation_K"):
        read_annotations(freihand, options=SourceOptions(split="evaluation"))


def test_ho3d(tmp_path: Path, made_up_hands: Any) -> None:
    import pickle

    hand, flip = made_up_hands.hand(7), np.array([1.0, -1, -1])
    rotation = flip[:, None] * aa_to_rotmat(torch.as_tensor(hand.pose[:3], dtype=torch.float64)).numpy()
    joints = np.zeros((21, 3))
    joints[list(MANO_TO_OPENPOSE)] = hand.joints * flip
    meta = {
        "handJoints3D": joints, "handPose": np.r_[_axis_angle(rotation), hand.pose[3:]], "handBeta": np.full(10, 0.4),
        "camMat": made_up_hands.camera.matrix, "objName": "003_cracker_box",
    }  # fmt: skip
    (tmp_path / "train" / "ABF10" / "meta").mkdir(parents=True)
    (tmp_path / "train" / "ABF10" / "meta" / "0012.pkl").write_bytes(pickle.dumps(meta, 2))
    (tmp_path / "train" / "ABF10" / "meta" / "0013.pkl").write_bytes(pickle.dumps({**meta, "handJoints3D": None}, 2))
    (tmp_path / "train.txt").write_text("ABF10/0012\nABF10/0013\n")
    made_up_hands.picture(tmp_path / "train" / "ABF10" / "rgb" / "0012.png")
    assert kind_of(tmp_path) == "ho3d"
    pictures = read_annotations(tmp_path)
    annotated = pictures[0].hands[0]
    assert pictures[0].path.name == "0012.png"
    np.testing.assert_allclose(annotated.keypoints_2d[:, :2], hand.points, rtol=1e-5)
    np.testing.assert_allclose(annotated.keypoints_3d[:, :3], hand.joints, atol=1e-6)
    np.testing.assert_allclose(annotated.hand_pose[3:], hand.pose[3:], atol=1e-6)
    turned = [
        aa_to_rotmat(torch.as_tensor(np.array(pose[:3], np.float64))) for pose in (annotated.hand_pose, hand.pose)
    ]
    torch.testing.assert_close(*turned, atol=1e-6, rtol=0)
    shard = pack(pictures, tmp_path / "out")[0]
    assert (shard.hands, [name for name, _ in shard.skipped]) == (1, ["ABF10/0013"])


def coco(made_up_hands: Any) -> dict[str, Any]:
    left, right = (made_up_hands.hand(seed) for seed in (2, 3))
    low, high = right.points.min(0), right.points.max(0)
    person = {"id": 7, "image_id": 40, "iscrowd": 0}
    for side, hand in (("left", left), ("right", right)):
        person |= {f"{side}hand_valid": True, f"{side}hand_kpts": np.c_[hand.points, np.full(21, 2)].ravel().tolist()}
    person["righthand_box"] = [*low, *(high - low)]
    person["lefthand_box"] = [0, 0, 0, 0]
    invalid = {"id": 8, "image_id": 41, "lefthand_valid": False, "righthand_valid": False, "lefthand_kpts": [0] * 63}
    images = [{"id": n, "file_name": f"{n:012d}.jpg", "width": 320, "height": 240} for n in (40, 41)]
    return {"images": images, "annotations": [invalid, person]}


def test_coco_wholebody(tmp_path: Path, made_up_hands: Any) -> None:
    path = write_json(tmp_path / "coco.json", coco(made_up_hands))
    assert kind_of(path) == "coco"
    pictures = read_annotations(path, options=SourceOptions(img_folder=tmp_path / "pictures"))
    assert len(pictures) == 1
    picture = pictures[0]
    assert picture.path == tmp_path / "pictures" / "000000000040.jpg"
    assert [hand.is_right for hand in picture.hands] == [False, True]
    for hand, seed in zip(picture.hands, (2, 3), strict=True):
        made_up = made_up_hands.hand(seed)
        np.testing.assert_allclose(hand.keypoints_2d, np.c_[made_up.points, np.ones(21)], rtol=1e-5)
        expected = [*made_up.points.min(0), *made_up.points.max(0)]  # given for the right hand, drawn for the left
        np.testing.assert_allclose(hand.tight_box(), expected, rtol=1e-5)


def test_files_of_single_hands_need_a_side(tmp_path: Path, made_up_hands: Any) -> None:
    hand = made_up_hands.hand(4)
    annotation = {"id": 1, "image_id": 1, "keypoints": np.c_[hand.points, np.ones(21)].ravel().tolist()}
    path = write_json(tmp_path / "one.json", {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [annotation]})
    assert len(read_annotations(path)) == 0
    pictures = read_annotations(path, options=SourceOptions(side="left"))
    assert [h.is_right for h in pictures[0].hands] == [False]


@pytest.fixture
def interhand(tmp_path: Path, made_up_hands: Any) -> Path:
    """One frame of two hands, seen by a camera that is turned and moved."""
    root = tmp_path / "InterHand2.6M"
    right, left = made_up_hands.hand(5), made_up_hands.hand(6)
    turn = aa_to_rotmat(torch.tensor([0.3, -2.0, 0.7], dtype=torch.float64)).numpy()
    position = np.array([700.0, -300.0, 1500.0])
    world = np.zeros((42, 3))
    for start, hand in ((0, right), (21, left)):
        world[start + np.array(TO_OPENPOSE)] = hand.joints * 1000 @ turn + position  # R (world - position) is the joint
    fits = {}
    for side, hand in (("right", right), ("left", left)):
        rotation = turn.T @ aa_to_rotmat(torch.as_tensor(hand.pose[:3], dtype=torch.float64)).numpy()
        mean = MEAN if side == "right" else mirror_axis_angle(MEAN.reshape(15, 3)).reshape(45)
        fits[side] = {"pose": [*_axis_angle(rotation), *(hand.pose[3:] - mean).tolist()], "shape": [0.3] * 10}
    name = "Capture0/ROM01/cam400262/image12.jpg"
    made_up_hands.picture(root / "images" / "train" / name)
    folder = root / "annotations" / "train"
    image = {
        "id": 3, "file_name": name, "capture": 0, "camera": "400262", "frame_idx": 12, "width": 320, "height": 240
    }  # fmt: skip
    valid = [1] * 42
    valid[20 + 21] = 0  # the left wrist
    annotation = {"id": 9, "image_id": 3, "hand_type": "interacting", "joint_valid": valid}
    write_json(folder / "InterHand2.6M_train_data.json", {"images": [image], "annotations": [annotation]})
    camera = {"campos": position.tolist(), "camrot": turn.tolist(), "focal": [300, 300], "princpt": [160, 120]}
    cameras = {"0": {name: {"400262": value} for name, value in camera.items()}}
    write_json(folder / "InterHand2.6M_train_camera.json", cameras)
    write_json(folder / "InterHand2.6M_train_joint_3d.json", {"0": {"12": {"world_coord": world.tolist()}}})
    write_json(folder / "InterHand2.6M_train_MANO_NeuralAnnot.json", {"0": {"12": fits}})
    return root


def _axis_angle(rotation: np.ndarray) -> list[float]:
    from hamer.geometry.rotations import rotmat_to_aa

    return rotmat_to_aa(torch.as_tensor(rotation)).tolist()


def test_interhand(interhand: Path, mano: Path, made_up_hands: Any) -> None:
    folder = interhand / "annotations" / "train"
    assert kind_of(folder) == "interhand"
    picture = read_annotations(folder, options=SourceOptions(mano=mano))[0]
    assert picture.path.is_file()
    assert [hand.is_right for hand in picture.hands] == [True, False]
    for annotated, seed in zip(picture.hands, (5, 6), strict=True):
        hand = made_up_hands.hand(seed, is_right=seed == 5)
        known = annotated.keypoints_2d[:, 2] > 0
        assert known.sum() == (21 if seed == 5 else 20)
        np.testing.assert_allclose(
            annotated.keypoints_2d[known, :2], hand.points[known], rtol=1e-4
        )  # float32, world in mm
        np.testing.assert_allclose(annotated.keypoints_3d[:, :3], hand.joints, atol=1e-6)
        rotation = aa_to_rotmat(torch.as_tensor(annotated.hand_pose.reshape(16, 3)))
        np.testing.assert_allclose(rotation, aa_to_rotmat(torch.as_tensor(hand.pose.reshape(16, 3))), atol=1e-5)
        np.testing.assert_allclose(annotated.betas, 0.3)
    assert picture.hands[0].keypoints_3d[:, 3].all()
    assert not picture.hands[1].keypoints_3d[:, 3].any()  # without a wrist nothing is relative to it


def test_hint(tmp_path: Path, made_up_hands: Any) -> None:
    hand = made_up_hands.hand(8)
    box = [*hand.points.min(0), *hand.points.max(0)]
    occlusion = [0] * 20 + [1]
    entry = [{"bbox": [box], "keypoints": hand.points.tolist(), "occlusion": occlusion}]
    made_up_hands.picture(tmp_path / "TRAIN_newdays_img" / "P01_02_l.jpg")
    write_json(tmp_path / "TRAIN_newdays_img" / "P01_02_l.json", entry)
    assert kind_of(tmp_path) == kind_of(tmp_path / "TRAIN_newdays_img") == "hint"
    picture = read_annotations(tmp_path)[0]
    assert not picture.hands[0].is_right
    assert picture.hands[0].keypoints_2d[:, 2].tolist() == [1.0] * 20 + [0.0]
    np.testing.assert_allclose(picture.hands[0].box, box, rtol=1e-6)


@pytest.mark.parametrize("confidence", [[], [0.5]])
def test_joints_that_are_not_labelled_are_null(confidence: list[float]) -> None:
    """Beside rows with a confidence of their own and beside rows without; the first one too."""
    rows: list[Any] = [[10.0 + n, 20.0, *confidence] for n in range(21)]
    rows[0] = rows[7] = None
    read = read_hand({"is_right": True, "box": [0, 0, 50, 50], "keypoints_2d": rows}, None, Path())
    assert np.flatnonzero(read.keypoints_2d[:, 2] == 0).tolist() == [0, 7]
    np.testing.assert_array_equal(read.keypoints_2d[20], [30.0, 20.0, *(confidence or [1.0])])


def test_rotations_may_be_matrices(made_up_hands: Any, tmp_path: Path) -> None:
    hand = made_up_hands.hand(9)
    matrices = aa_to_rotmat(torch.as_tensor(hand.pose.reshape(16, 3), dtype=torch.float64))
    entry = hand.entry(parameters={"global_orient": matrices[0].tolist(), "hand_pose": matrices[1:].tolist()})
    read = read_hand(entry, None, tmp_path)
    back = aa_to_rotmat(torch.as_tensor(read.hand_pose.reshape(16, 3)).double())
    np.testing.assert_allclose(back, matrices, atol=1e-6)  # float32
    entry["parameters"]["global_orient"] = (-matrices[0]).tolist()
    with pytest.raises(ValueError, match="determinant 1"):
        read_hand(entry, None, tmp_path)


def test_points_follow_from_joints_and_camera(made_up_hands: Any, tmp_path: Path) -> None:
    hand = made_up_hands.hand(9)
    entry = {"is_right": True, "joints": hand.joints.tolist(), "joint_confidence": [0.5] * 21}
    read = read_hand(entry, made_up_hands.camera, tmp_path)
    np.testing.assert_allclose(read.keypoints_2d[:, :2], hand.points, rtol=1e-5)
    assert (read.keypoints_2d[:, 2] == 0.5).all()
    with pytest.raises(ValueError, match="box or keypoints_2d"):
        read_hand(entry, None, tmp_path)


def test_joints_without_a_wrist_are_no_label(made_up_hands: Any, tmp_path: Path) -> None:
    hand = made_up_hands.hand(9)
    joints = [None, *hand.joints[1:].tolist()]
    sample = hand_sample(read_hand(hand.entry(keypoints_3d=joints), None, tmp_path))
    assert not sample["keypoints_3d"][:, 3].any()


def test_made_up_hands_agree_with_themselves(made_up_hands: Any) -> None:
    hand = made_up_hands.hand(9)
    rows = [np.c_[values, np.ones(21)] for values in (hand.points, hand.joints)]
    residual = fit_residual(*rows, 320, 240, np.array([300.0, 300, 160, 120]))
    assert residual is not None
    assert residual < 1e-6


def test_unknown_annotations_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing exists"):
        read_annotations(tmp_path / "absent.json")
    with pytest.raises(ValueError, match="name it, one of hamer"):
        read_annotations(write_json(tmp_path / "a.json", {"shapes": []}))
    with pytest.raises(ValueError, match="must be a json file"):
        read_annotations(tmp_path / "a.json", "hamer") if (tmp_path / "a.json").write_text("{") else None
    with pytest.raises(ValueError, match="format must be one of"):
        read_annotations(tmp_path, "voc")
