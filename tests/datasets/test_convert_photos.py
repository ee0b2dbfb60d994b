"""The converters on real samples of the sets: the annotated photos, put back into their releases' layouts."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hamer.datasets.conversion import ConvertOptions, convert, read_truth
from hamer.datasets.npz_arrays import read_npz
from hamer.geometry.boxes import boxes_from_keypoints

making = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("release_making.py"))))
ALLOWED = {"allow_incomplete": True}
PIXEL = 1e-3  # photos.json has four decimals


@pytest.fixture
def annotated(photos: Path) -> dict[str, list[dict[str, Any]]]:
    """The photos of each set."""
    by_set: dict[str, list[dict[str, Any]]] = {}
    for photo in json.loads((photos / "photos.json").read_text()):
        by_set.setdefault(photo["dataset"], []).append(photo)
    return by_set


def arrays_of(hand: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(hand["keypoints_2d"], float), np.array(hand["keypoints_3d"], float)


def image_of(photo: dict[str, Any], number: int, name: str) -> dict[str, Any]:
    """The entry of a picture in COCO's manner."""
    return {"id": number, "file_name": name, "width": photo["width"], "height": photo["height"]}


def xywh(box: list[float]) -> list[float]:
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def test_rhd(photos: Path, annotated: Any, tmp_path: Path) -> None:
    content, hands = {}, []
    for photo in annotated["rhd"]:
        index = int(Path(photo["file"]).stem)
        (hand,) = photo["hands"]
        points, joints = arrays_of(hand)
        start = 21 if hand["is_right"] else 0
        xyz, uv_vis = np.zeros((42, 3)), np.zeros((42, 3))
        xyz[start : start + 21] = joints[making.RHD_FROM_OURS, :3]
        uv_vis[start : start + 21] = points[making.RHD_FROM_OURS]
        focal, center = photo["intrinsics"]["focal"], photo["intrinsics"]["princpt"]
        matrix = np.array([[focal[0], 0, center[0]], [0, focal[1], center[1]], [0, 0, 1]])
        content[index] = {"xyz": xyz, "uv_vis": uv_vis, "K": matrix}
        (tmp_path / "evaluation" / "color").mkdir(parents=True, exist_ok=True)
        shutil.copy(photos / photo["file"], tmp_path / "evaluation" / "color")
        hands.append((index, hand))
    making.write_pickle(tmp_path / "evaluation" / "anno_evaluation.pickle", content)
    (done,) = convert("rhd", tmp_path, tmp_path / "out", ConvertOptions(pictures="decode"), **ALLOWED)
    assert not done.bad
    arrays = read_npz(tmp_path / "out" / "rhd_evaluation.npz")
    truth = read_truth(tmp_path / "out" / "rhd_evaluation.npz")
    for row, (_, hand) in enumerate(sorted(hands, key=lambda pair: pair[0])):
        points, joints = arrays_of(hand)
        seen = points[:, 2] > 0
        np.testing.assert_allclose(arrays["hand_keypoints_2d"][row][seen], points[seen], atol=PIXEL)
        fx, fy, cx, cy = truth.camera[row]
        projected = arrays["hand_keypoints_3d"][row, :, :2] / arrays["hand_keypoints_3d"][row, :, 2:3] * [fx, fy] + [
            cx,
            cy,
        ]
        # The release's own projections agree to its rounding; this fails for a wrong order, side or frame.
        np.testing.assert_allclose(projected[seen], points[seen, :2], atol=1)


def test_interhand(photos: Path, annotated: Any, tmp_path: Path) -> None:
    images, annotations, cameras, joints_3d = [], [], {}, {}
    for number, photo in enumerate(annotated["interhand2.6m"]):
        name = f"Capture0/{photo['file']}"
        (tmp_path / "images" / "test" / "Capture0").mkdir(parents=True, exist_ok=True)
        shutil.copy(photos / photo["file"], tmp_path / "images" / "test" / name)
        world, valid = np.zeros((42, 3)), np.zeros(42)
        order = [4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17, 0]
        for hand in photo["hands"]:
            start = 0 if hand["is_right"] else 21
            joints = np.array(hand["keypoints_3d"])[order]
            world[start : start + 21], valid[start : start + 21] = joints[:, :3] * 1000, joints[:, 3]
        sides = {bool(hand["is_right"]) for hand in photo["hands"]}
        kind = "interacting" if len(sides) == 2 else "right" if True in sides else "left"
        images.append(image_of(photo, number, name) | {"capture": 0, "camera": str(number), "frame_idx": number})
        annotations.append({"id": number, "image_id": number, "hand_type": kind, "joint_valid": valid.tolist()})
        camera = {**photo["intrinsics"], "campos": [0, 0, 0], "camrot": np.eye(3).tolist()}
        for key, value in camera.items():
            cameras.setdefault(key, {})[str(number)] = value
        joints_3d[str(number)] = {"world_coord": world.tolist()}
    own = tmp_path / "annotations" / "test"
    making.write_json(own / "InterHand2.6M_test_data.json", {"images": images, "annotations": annotations})
    making.write_json(own / "InterHand2.6M_test_camera.json", {"0": cameras})
    making.write_json(own / "InterHand2.6M_test_joint_3d.json", {"0": joints_3d})
    (done,) = convert("interhand", tmp_path, tmp_path / "out", **ALLOWED)
    assert not done.bad
    arrays = read_npz(tmp_path / "out" / "interhand_test.npz")
    expected = [hand for photo in annotated["interhand2.6m"] for hand in photo["hands"]]
    assert arrays["right"].tolist() == [float(hand["is_right"]) for hand in expected]
    for row, hand in enumerate(expected):
        points, _ = arrays_of(hand)
        seen = (points[:, 2] > 0) & (arrays["hand_keypoints_2d"][row, :, 2] > 0)
        assert seen.sum() >= 18
        np.testing.assert_allclose(arrays["hand_keypoints_2d"][row][seen, :2], points[seen, :2], atol=0.1)  # its own px


def test_coco_wholebody(photos: Path, annotated: Any, tmp_path: Path) -> None:
    images, annotations = [], []
    for photo in annotated["coco-wholebody"]:
        number = int(Path(photo["file"]).stem)
        (tmp_path / "val2017").mkdir(exist_ok=True)
        shutil.copy(photos / photo["file"], tmp_path / "val2017")
        images.append(image_of(photo, number, photo["file"]))
        for hand in photo["hands"]:
            side = "right" if hand["is_right"] else "left"
            annotations.append({
                "id": len(annotations), "image_id": number, f"{side}hand_valid": True,
                f"{side}hand_kpts": np.ravel(hand["keypoints_2d"]).tolist(),
                f"{side}hand_box": xywh(hand["box"]),
            })  # fmt: skip
    making.write_json(tmp_path / "coco_wholebody_val_v1.0.json", {"images": images, "annotations": annotations})
    (done,) = convert("coco-wholebody", tmp_path, tmp_path / "out", ConvertOptions(pictures="decode"), **ALLOWED)
    arrays = read_npz(tmp_path / "out" / "coco_wholebody_val.npz")
    expected = [h for p in sorted(annotated["coco-wholebody"], key=lambda p: p["file"]) for h in p["hands"]]
    assert done.hands == len(expected) == 6
    for row, hand in enumerate(expected):
        box = np.array(hand["box"])
        np.testing.assert_allclose(arrays["center"][row], (box[:2] + box[2:]) / 2, atol=PIXEL)
        np.testing.assert_allclose(arrays["scale"][row], box[2:] - box[:2], atol=PIXEL)
        np.testing.assert_allclose(
            arrays["hand_keypoints_2d"][row], arrays_of(hand | {"keypoints_3d": 0})[0], atol=PIXEL
        )


def test_onehand10k(photos: Path, annotated: Any, tmp_path: Path) -> None:
    images, annotations = [], []
    for photo in annotated["onehand10k"]:
        number = int(Path(photo["file"]).stem)
        (hand,) = photo["hands"]
        (tmp_path / "Test" / "source").mkdir(parents=True, exist_ok=True)
        shutil.copy(photos / photo["file"], tmp_path / "Test" / "source")
        images.append(image_of(photo, number, f"Test/source/{photo['file']}"))
        rows = np.ravel(hand["keypoints_2d"]).tolist()
        annotations.append({"id": number, "image_id": number, "keypoints": rows, "bbox": xywh(hand["box"])})
    making.write_json(tmp_path / "annotations" / "onehand10k_test.json", {"images": images, "annotations": annotations})
    (done,) = convert("onehand10k", tmp_path, tmp_path / "out", ConvertOptions(pictures="decode"), **ALLOWED)
    assert (done.hands, done.bad) == (2, [])
    arrays = read_npz(tmp_path / "out" / "onehand10k_test.npz")
    for row, photo in enumerate(sorted(annotated["onehand10k"], key=lambda p: int(Path(p["file"]).stem))):
        points = np.array(photo["hands"][0]["keypoints_2d"])
        np.testing.assert_allclose(arrays["hand_keypoints_2d"][row], points, atol=PIXEL)


def test_freihand_has_four_versions_of_a_sample(photos: Path, annotated: Any, tmp_path: Path) -> None:
    """Its annotation here has pixels alone: joints are put on their rays, half a metre off."""
    files = sorted(photo["file"] for photo in annotated["freihand"])
    points = np.array(annotated["freihand"][0]["hands"][0]["keypoints_2d"])
    matrix = np.array([[500.0, 0, 112], [0, 500, 112], [0, 0, 1]])
    depth = np.linspace(0.45, 0.55, 21)[:, None]
    joints = np.c_[points[:, :2], np.ones(21)] @ np.linalg.inv(matrix).T * depth
    for version, file in enumerate(files):
        target = tmp_path / "training" / "rgb" / f"{version:08d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photos / file, target)
    making.write_json(tmp_path / "training_K.json", [matrix.tolist()])
    making.write_json(tmp_path / "training_xyz.json", [joints.tolist()])
    options = ConvertOptions(split="training", pictures="decode")
    (done,) = convert("freihand", tmp_path, tmp_path / "out", options, **ALLOWED)
    assert (done.hands, done.bad) == (4, [])
    arrays = read_npz(tmp_path / "out" / "freihand_train.npz")
    assert arrays["imgname"].tolist() == [f"{version:08d}.jpg" for version in range(4)]
    box = boxes_from_keypoints(points[None])[0]
    for row in range(4):
        np.testing.assert_allclose(arrays["hand_keypoints_2d"][row, :, :2], points[:, :2], atol=PIXEL)
        np.testing.assert_allclose(arrays["center"][row], (box[:2] + box[2:]) / 2, atol=PIXEL)
        np.testing.assert_allclose(arrays["scale"][row], box[2:] - box[:2], atol=PIXEL)
