"""Each release, made up from the description of its layout, converted and read back as the network's samples."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from hamer.checkpoints.unpickling import load_pickle
from hamer.configs import dataset_eval_config
from hamer.configs.reader import read_yaml
from hamer.datasets import ImageDataset
from hamer.datasets.conversion import RELEASES, ConvertOptions, ReleaseError, convert, convert_to_tars, read_truth
from hamer.datasets.conversion.joint_orders import order_of
from hamer.datasets.npz_arrays import read_npz
from hamer.evaluation.fingertips import HO3D_ORDER
from hamer.geometry.rotations import aa_to_rotmat
from hamer.hand_models.layer import HandModel

making = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("release_making.py"))))
SMALL = {"allow_incomplete": True, "workers": 2}
FLOAT32 = 2e-5  # px and m of float32 after a projection with a focal length of 300


def sample(npz: Path, img_dir: Path, index: int, rescale_factor: float = 2) -> dict[str, Any]:
    """What the network would be given."""
    model = {"IMAGE_SIZE": 256, "IMAGE_MEAN": [0.485, 0.456, 0.406], "IMAGE_STD": [0.229, 0.224, 0.225]}
    cfg = SimpleNamespace(MODEL=SimpleNamespace(**model, BBOX_SHAPE=[192, 256], get=model.get), DATASETS={})
    return ImageDataset(cfg, npz, img_dir, train=False, rescale_factor=rescale_factor)[index]


def check_sample(npz: Path, img_dir: Path, index: int, hand: Any, box: np.ndarray) -> None:
    """The item's crop is of twice the box, and its joints lie where the hand's do, mirrored for a left hand."""
    item = sample(npz, img_dir, index)
    assert item["right"] == float(hand.is_right)
    size = 2 * (box[2:] - box[:2]).max()
    assert item["box_size"] == pytest.approx(size, rel=1e-5)
    points = item["keypoints_2d"]
    known = points[:, 2] > 0
    x = 320 - hand.points[:, 0] - 1 if not hand.is_right else hand.points[:, 0]
    center = (box[:2] + box[2:]) / 2
    center = np.array([320 - center[0] - 1, center[1]]) if not hand.is_right else center
    expected = (np.c_[x, hand.points[:, 1]] - center) / size
    np.testing.assert_allclose(points[known, :2], expected[known], atol=1e-4)  # warps are told to 1e-4 crop widths
    assert item["img"].shape == (3, 256, 256)


def tight(points: np.ndarray) -> np.ndarray:
    return np.r_[points.min(0), points.max(0)]


def hand_with_mean(folder: Path, hands: Any) -> tuple[Path, np.ndarray]:
    """A hand model's file with a mean pose, in the place of MANO's, and that mean."""
    mean = np.linspace(-0.4, 0.5, 45).astype(np.float32)
    content = {name: value for name, value in vars(hands.model.arrays).items() if value is not None}
    np.savez(folder / "mano.npz", **{**content, "hands_mean": mean})
    return folder / "mano.npz", mean


def test_freihand(tmp_path: Path, made_up_hands: Any) -> None:
    release = making.freihand(tmp_path / "FreiHAND_pub_v2_eval", made_up_hands)
    (done,) = convert("freihand", release, tmp_path / "out", **SMALL)
    assert (done.hands, done.left, done.with_3d, done.with_vertices) == (3, 0, 3, True)
    npz, pictures = tmp_path / "out" / "freihand_val.npz", release / "evaluation" / "rgb"
    arrays, truth = read_npz(npz), read_truth(npz)
    assert arrays["imgname"].tolist() == [f"{n:08d}.jpg" for n in range(3)]
    for index in range(3):
        hand = made_up_hands.hand(2 * index + 1)
        np.testing.assert_allclose(arrays["hand_keypoints_3d"][index, :, :3], hand.joints, atol=FLOAT32)
        check_sample(npz, pictures, index, hand, tight(hand.points))
        np.testing.assert_allclose(truth.vertices[index], making.vertices_of(index), atol=FLOAT32)
        np.testing.assert_allclose(truth.camera[index], [300, 300, 160, 120])
    assert not arrays["has_hand_pose"].any()  # angles mean nothing without MANO's mean
    assert truth.side_known
    assert truth.occlusion is None


@pytest.mark.parametrize("is_relative", [True, False])
def test_freihand_poses_are_read_as_the_joints_say(tmp_path: Path, made_up_hands: Any, is_relative: bool) -> None:
    mano, mean = hand_with_mean(tmp_path, made_up_hands)
    release = making.freihand(tmp_path / "release", made_up_hands, mean=mean if is_relative else None)
    (done,) = convert("freihand", release, tmp_path / "out", ConvertOptions(mano=mano), **SMALL)
    arrays = read_npz(tmp_path / "out" / "freihand_val.npz")
    assert arrays["has_hand_pose"].all()
    for index in range(3):
        np.testing.assert_allclose(arrays["hand_pose"][index], made_up_hands.hand(2 * index + 1).pose, atol=1e-6)
    said = next(note for note in done.notes if "finger angles" in note)
    assert ("are relative to the mean" if is_relative else "are absolute") in said


def test_freihand_without_its_later_truth_says_where_it_is(tmp_path: Path, made_up_hands: Any) -> None:
    release = making.freihand(tmp_path, made_up_hands)
    (release / "evaluation_xyz.json").unlink()
    with pytest.raises(ReleaseError, match=r"FreiHAND_pub_v2_eval\.zip"):
        convert("freihand", release, tmp_path / "out", **SMALL)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_ho3d(tmp_path: Path, made_up_hands: Any, suffix: str) -> None:
    release = making.ho3d(tmp_path / "HO3D", made_up_hands, suffix=suffix)
    (done,) = convert("ho3d", release, tmp_path / "out", **SMALL)
    version = {".png": "ho3d_val", ".jpg": "ho3d_v3_val"}[suffix]
    npz = tmp_path / "out" / f"{version}.npz"
    arrays, truth = read_npz(npz), read_truth(npz)
    assert arrays["imgname"][2] == f"SM1/rgb/0002{suffix}"
    for index in range(3):
        hand = made_up_hands.hand(2 * index + 1)
        np.testing.assert_allclose(arrays["hand_keypoints_3d"][index, :, :3], hand.joints, atol=FLOAT32)
        np.testing.assert_allclose(truth.vertices[index], making.vertices_of(index), atol=FLOAT32)
        box = tight(hand.points) + np.array([-5, -5, 5, 5])  # the release's
        check_sample(npz, release / "evaluation", index, hand, box)
    assert any("order ho3d and the frame of opengl" in note for note in done.notes)


def test_ho3d_order_is_the_one_that_scores_are_computed_in() -> None:
    assert tuple(making.HO3D_FROM_OURS) == HO3D_ORDER


def test_ho3d_without_its_later_truth_gives_boxes_and_wrists(tmp_path: Path, made_up_hands: Any) -> None:
    release = making.ho3d(tmp_path / "HO3D", made_up_hands, truth=False)
    (done,) = convert("ho3d", release, tmp_path / "out", **SMALL)
    arrays = read_npz(tmp_path / "out" / "ho3d_val.npz")
    np.testing.assert_array_equal(arrays["hand_keypoints_3d"][..., 3], np.eye(21)[[0] * 3])
    np.testing.assert_allclose(arrays["hand_keypoints_3d"][1, 0, :3], made_up_hands.hand(3).joints[0], atol=FLOAT32)
    np.testing.assert_allclose(arrays["hand_keypoints_2d"][1, 0, :2], made_up_hands.hand(3).points[0], atol=1e-3)
    assert any("no scores" in note for note in done.notes)


def test_ho3d_truth_in_another_order_of_pictures_is_seen(tmp_path: Path, made_up_hands: Any) -> None:
    release = making.ho3d(tmp_path / "HO3D", made_up_hands)
    xyz = json.loads((release / "evaluation_xyz.json").read_text())
    making.write_json(release / "evaluation_xyz.json", [xyz[1], xyz[0], xyz[2]])
    (done,) = convert("ho3d", release, tmp_path / "out", **SMALL)
    assert [picture for picture, _ in done.bad] == ["SM1/0000", "SM1/0001"]
    assert "another order" in done.bad[0][1]


def test_ho3d_training_split(tmp_path: Path, made_up_hands: Any) -> None:
    mano, mean = hand_with_mean(tmp_path, made_up_hands)
    release = making.ho3d_train(tmp_path / "HO3D", made_up_hands)
    options = ConvertOptions(split="train", mano=mano)
    (done,) = convert("ho3d", release, tmp_path / "out", options, **SMALL)
    assert (done.with_pose, done.with_3d, done.with_vertices) == (3, 3, False)
    assert any("finger angles are absolute" in note for note in done.notes)
    arrays = read_npz(tmp_path / "out" / "ho3d_train.npz")
    for index in range(3):
        hand = made_up_hands.hand(2 * index + 1)
        np.testing.assert_allclose(arrays["hand_keypoints_3d"][index, :, :3], hand.joints, atol=FLOAT32)
        given, expected = (
            aa_to_rotmat(torch.as_tensor(p.reshape(16, 3))) for p in (arrays["hand_pose"][index], hand.pose)
        )
        np.testing.assert_allclose(given, expected, atol=1e-5)  # float32; as matrices, for turns over pi
        check_sample(tmp_path / "out" / "ho3d_train.npz", release / "train", index, hand, tight(hand.points))
    making.ho3d_train(tmp_path / "other", made_up_hands, mean=mean)
    with pytest.raises(ReleaseError, match="should be absolute, but its finger angles are relative to the mean"):
        convert("ho3d", tmp_path / "other", tmp_path / "out", options, **SMALL)


def test_ho3d_pickles_are_never_run(tmp_path: Path, made_up_hands: Any) -> None:
    release = making.ho3d(tmp_path / "HO3D", made_up_hands)
    trap = tmp_path / "trap"
    evil = f"cposix\nsystem\n(S'touch {trap}'\ntR.".encode()
    (release / "evaluation" / "SM1" / "meta" / "0001.pkl").write_bytes(evil)
    (done,) = convert("ho3d", release, tmp_path / "out", **SMALL)
    assert done.hands == 2
    assert "not on the list of harmless names" in done.bad[0][1]
    assert not trap.exists()


def test_rhd(tmp_path: Path, made_up_hands: Any) -> None:
    release = making.rhd(tmp_path / "RHD_published_v2", made_up_hands)
    (done,) = convert("rhd", release, tmp_path / "out", **SMALL)
    npz = tmp_path / "out" / "rhd_evaluation.npz"
    arrays = read_npz(npz)
    assert arrays["right"].tolist() == [0, 1, 1]
    for index, hand in enumerate(made_up_hands.hand(s, is_right=s >= 30) for s in (20, 30, 31)):
        np.testing.assert_allclose(arrays["hand_keypoints_3d"][index, :, :3], hand.joints, atol=FLOAT32)
        hidden = [] if index == 0 else [1]
        assert np.flatnonzero(arrays["hand_keypoints_2d"][index, :, 2] == 0).tolist() == hidden
        seen = np.delete(hand.points, hidden, axis=0)
        check_sample(npz, release / "evaluation" / "color", index, hand, tight(seen))
    assert done.bad == []


def test_interhand(tmp_path: Path, made_up_hands: Any) -> None:
    release = making.interhand(tmp_path / "InterHand2.6M_5fps_batch1", made_up_hands)
    (done,) = convert("interhand", release, tmp_path / "out", **SMALL)
    npz = tmp_path / "out" / "interhand_test.npz"
    arrays = read_npz(npz)
    assert arrays["right"].tolist() == [1, 0]
    assert arrays["imgname"][0] == "Capture0/ROM01/cam400262/image12.jpg"
    for index, seed in enumerate((5, 6)):
        hand = made_up_hands.hand(seed)
        np.testing.assert_allclose(arrays["hand_keypoints_3d"][index, :, :3], hand.joints, atol=FLOAT32)
        check_sample(npz, release / "images" / "test", index, hand, tight(hand.points))
    assert done.counts == ["annotated pictures of test: found 1, published 849160"]


def test_coco_wholebody(tmp_path: Path, made_up_hands: Any) -> None:
    making.coco(tmp_path / "coco", made_up_hands)
    (done,) = convert("coco-wholebody", tmp_path / "coco", tmp_path / "out", **SMALL)
    npz = tmp_path / "out" / "coco_wholebody_val.npz"
    assert (done.hands, done.left, done.pictures) == (2, 1, 1)
    for index, seed in enumerate((2, 3)):
        hand = made_up_hands.hand(seed)
        box = tight(hand.points) + np.array([-3, -3, 3, 3])  # the release's
        check_sample(npz, tmp_path / "coco" / "val2017", index, hand, box)


@pytest.mark.parametrize("side", [None, "left"])
def test_onehand10k_does_not_know_its_sides(tmp_path: Path, made_up_hands: Any, side: Any) -> None:
    making.onehand10k(tmp_path / "set", made_up_hands)
    (done,) = convert("onehand10k", tmp_path / "set", tmp_path / "out", ConvertOptions(side=side), **SMALL)
    npz = tmp_path / "out" / "onehand10k_test.npz"
    arrays = read_npz(npz)
    assert arrays["right"].tolist() == [0.0 if side else 1.0]
    assert read_truth(npz).side_known is (side is not None)
    assert np.flatnonzero(arrays["hand_keypoints_2d"][0, :, 2] == 0).tolist() == [3, 20]
    assert arrays["imgname"][0] == "Test/source/1.jpg"
    assert any("side_known" in note for note in done.notes) is (side is None)


def test_hint_subsets(tmp_path: Path, made_up_hands: Any) -> None:
    release = making.hint(tmp_path / "HInt_annotation", made_up_hands)
    (done,) = convert("hint", release, tmp_path / "out", **SMALL)
    assert done.sets == ["NEWDAYS-TEST-ALL", "NEWDAYS-TEST-VIS", "NEWDAYS-TEST-OCC"]
    original = dataset_eval_config().to_dict()
    for name, file in zip(done.sets, done.files, strict=True):
        assert Path(original[name]["DATASET_FILE"]).name == file  # the original's names
    arrays = {key: read_npz(tmp_path / "out" / f"TEST_newdays_img_{key}.npz") for key in ("all", "vis", "occ")}
    hidden = np.isin(np.arange(21), (4, 8))
    for index in range(3):
        hand = made_up_hands.hand(40 + index)
        inside = (hand.points >= 0).all(1) & (hand.points < (320, 240)).all(1) & ~((index == 1) & (np.arange(21) == 0))
        for key, expected in (("all", inside), ("vis", inside & ~hidden), ("occ", inside & hidden)):
            assert (arrays[key]["hand_keypoints_2d"][index, :, 2] > 0).tolist() == expected.tolist()
            assert arrays[key]["right"][index] == hand.is_right
        assert arrays["all"]["occlusion"][index].astype(bool).tolist() == hidden.tolist()
    np.testing.assert_array_equal(arrays["all"]["imgname"], arrays["occ"]["imgname"])
    assert "bbox nested, presence by coordinates (3)" in done.notes[0]


def test_hint_without_ego4d_frames_names_the_command(tmp_path: Path, made_up_hands: Any) -> None:
    release = making.hint(tmp_path, made_up_hands, "TEST_ego4d_img")
    for picture in (release / "TEST_ego4d_img").glob("*.jpg"):
        picture.unlink()
    with pytest.raises(ReleaseError, match=r"found 3, published 3428\n.*hamer data hint prepare"):
        convert("hint", release, tmp_path / "out")


def test_the_list_of_sets_is_one_that_evaluation_reads(tmp_path: Path, made_up_hands: Any) -> None:
    convert("freihand", making.freihand(tmp_path / "a", made_up_hands), tmp_path / "out", **SMALL)
    convert("hint", making.hint(tmp_path / "b", made_up_hands), tmp_path / "out", **SMALL)
    listing = read_yaml(tmp_path / "out" / "datasets_eval.yaml").to_dict()
    assert sorted(listing) == ["FREIHAND-VAL", "NEWDAYS-TEST-ALL", "NEWDAYS-TEST-OCC", "NEWDAYS-TEST-VIS"]
    for name, entry in listing.items():
        assert set(entry) == set(dataset_eval_config().to_dict()[name])
        item = sample(Path(entry["DATASET_FILE"]), Path(entry["IMG_DIR"]), 0, rescale_factor=-1)
        assert np.isfinite(item["img"]).all()


def test_tars_for_training(tmp_path: Path, made_up_hands: Any) -> None:
    (card,) = convert_to_tars("rhd", making.rhd(tmp_path / "rhd", made_up_hands), tmp_path / "out", **SMALL)
    assert (card.hands, card.left, card.pictures) == (3, 1, 2)
    assert (tmp_path / "out" / "rhd_evaluation" / "000000.tar").is_file()
    hint = making.hint(tmp_path / "hint", made_up_hands)
    (card,) = convert_to_tars("hint", hint, tmp_path / "out", ConvertOptions(split="TEST_newdays_img"), **SMALL)
    assert card.hands == 3


def test_orders_are_told_by_the_skeleton(made_up_hands: Any) -> None:
    joints = np.stack([made_up_hands.hand(seed).joints for seed in range(8)])
    assert order_of(joints) == "openpose"
    assert order_of(joints[:, making.HO3D_FROM_OURS]) == "ho3d"
    assert order_of(joints[:, making.RHD_FROM_OURS]) == "tips first"


def test_the_made_up_truth_is_what_the_model_gives(made_up_hands: Any) -> None:
    """Else the tests of finger angles would prove nothing."""
    hand = made_up_hands.hand(3)
    model: HandModel = made_up_hands.model
    pose = torch.as_tensor(hand.pose)
    joints = model.forward_axis_angle(pose[:3], pose[3:], torch.zeros(10)).joints.numpy()
    np.testing.assert_allclose(joints - joints.mean(0), hand.joints - hand.joints.mean(0), atol=1e-6)


def test_every_release_has_a_reader_and_says_what_is_missing(tmp_path: Path) -> None:
    for name in RELEASES:
        with pytest.raises(ReleaseError):
            convert(name, tmp_path, tmp_path / "out")
    with pytest.raises(ReleaseError, match="one of freihand"):
        convert("freihands", tmp_path, tmp_path / "out")
    assert load_pickle(making.write_pickle(tmp_path / "p", {"a": np.ones(2)}))["a"].sum() == 2
