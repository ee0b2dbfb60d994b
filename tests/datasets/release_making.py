"""Made-up releases of public sets, laid out as their makers lay them out; a few samples each."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np

FLIP = np.array([1.0, -1.0, -1.0])
# HO-3D lists MANO's joints: wrist, index, middle, little, ring, thumb (base, middle, end), then tips from thumb to little.
HO3D_FROM_OURS = [0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3, 4, 8, 12, 16, 20]
# RHD lists each finger from the tip to the base.
RHD_FROM_OURS = [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17]


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_pickle(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


def vertices_of(seed: int) -> np.ndarray:
    """(778, 3) m before the camera, in our frame."""
    return np.random.default_rng(seed).normal(size=(778, 3)) * 0.05 + [0, 0, 0.5]


def freihand(folder: Path, hands: Any, count: int = 3, *, mean: np.ndarray | None = None) -> Path:
    """The evaluation split with its truth; poses relative to `mean`, absolute where it is None."""
    made = [hands.hand(2 * n + 1) for n in range(count)]
    for index in range(count):
        hands.picture(folder / "evaluation" / "rgb" / f"{index:08d}.jpg", index)
    write_json(folder / "evaluation_K.json", [hands.camera.matrix.tolist()] * count)
    write_json(folder / "evaluation_xyz.json", [hand.joints.tolist() for hand in made])
    write_json(folder / "evaluation_verts.json", [vertices_of(n).tolist() for n in range(count)])
    shift = np.zeros(45) if mean is None else mean
    fits = [[[*hand.pose[:3], *(hand.pose[3:] - shift), *([0.0] * 10), 1.0, 2.0, 0.03]] for hand in made]
    write_json(folder / "evaluation_mano.json", [[list(map(float, fit[0]))] for fit in fits])
    return folder


def ho3d(folder: Path, hands: Any, count: int = 3, *, suffix: str = ".png", truth: bool = True) -> Path:
    """The evaluation split, and, with `truth`, what was released later, in the release's order and frame."""
    lines, xyz, verts = [], [], []
    for index in range(count):
        hand = hands.hand(2 * index + 1)
        line = f"SM1/{index:04d}"
        hands.picture(folder / "evaluation" / "SM1" / "rgb" / f"{index:04d}{suffix}", index)
        low, high = hand.points.min(0), hand.points.max(0)
        meta = {
            "camMat": hands.camera.matrix,
            "handJoints3D": (hand.joints * FLIP)[0].astype(np.float32),
            "handBoundingBox": [float(v) for v in (*(low - 5), *(high + 5))],
            "objName": "003_cracker_box",
            "objTrans": np.zeros(3),
        }
        write_pickle(folder / "evaluation" / "SM1" / "meta" / f"{index:04d}.pkl", meta)
        lines.append(line)
        xyz.append((hand.joints * FLIP)[HO3D_FROM_OURS].tolist())
        verts.append((vertices_of(index) * FLIP).tolist())
    (folder / "evaluation.txt").write_text("\n".join(lines) + "\n")
    if truth:
        write_json(folder / "evaluation_xyz.json", xyz)
        write_json(folder / "evaluation_verts.json", verts)
    return folder


def ho3d_train(folder: Path, hands: Any, count: int = 3, *, mean: np.ndarray | None = None) -> Path:
    """The training split; poses absolute as in the release, or, which would be wrong, relative to `mean`."""
    lines = []
    for index in range(count):
        hand = hands.hand(2 * index + 1)
        hands.picture(folder / "train" / "ABF10" / "rgb" / f"{index:04d}.png", index)
        turned = cv2.Rodrigues(FLIP[:, None] * cv2.Rodrigues(hand.pose[:3].astype(float))[0])[0].ravel()
        fingers = hand.pose[3:] - (0 if mean is None else mean)
        meta = {
            "camMat": hands.camera.matrix, "handJoints3D": (hand.joints * FLIP)[HO3D_FROM_OURS],
            "handPose": np.r_[turned, fingers], "handBeta": np.zeros(10), "handTrans": np.zeros(3),
        }  # fmt: skip
        write_pickle(folder / "train" / "ABF10" / "meta" / f"{index:04d}.pkl", meta)
        lines.append(f"ABF10/{index:04d}")
    (folder / "train.txt").write_text("\n".join(lines))
    return folder


def rhd(folder: Path, hands: Any) -> Path:
    """Two pictures: both hands; a right hand whose left one is not seen."""
    content = {}
    for index in range(2):
        left, right = hands.hand(20 + index, is_right=False), hands.hand(30 + index, is_right=True)
        xyz, uv_vis = np.zeros((42, 3)), np.zeros((42, 3))
        for start, hand in ((0, left), (21, right)):
            xyz[start : start + 21] = hand.joints[RHD_FROM_OURS]
            uv_vis[start : start + 21] = np.c_[hand.points[RHD_FROM_OURS], np.ones(21)]
        uv_vis[21 + 4, 2] = 0  # the base of the right thumb is hidden
        if index == 1:
            uv_vis[:21, 2] = 0
        content[index] = {"xyz": xyz, "uv_vis": uv_vis, "K": hands.camera.matrix}
        hands.picture(folder / "evaluation" / "color" / f"{index:05d}.png", index)
    write_pickle(folder / "evaluation" / "anno_evaluation.pickle", content)
    return folder


def coco(folder: Path, hands: Any) -> Path:
    """COCO-WholeBody: a person with two hands, one without."""
    left, right = hands.hand(2), hands.hand(3)
    person: dict[str, Any] = {"id": 7, "image_id": 40, "iscrowd": 0}
    for side, hand in (("left", left), ("right", right)):
        low, high = hand.points.min(0) - 3, hand.points.max(0) + 3
        person |= {f"{side}hand_valid": True, f"{side}hand_kpts": np.c_[hand.points, np.full(21, 2)].ravel().tolist()}
        person[f"{side}hand_box"] = [*low, *(high - low)]
    nobody = {"id": 8, "image_id": 41, "lefthand_valid": False, "righthand_valid": False}
    images = [{"id": n, "file_name": f"{n:012d}.jpg", "width": 320, "height": 240} for n in (40, 41)]
    for number in (40, 41):
        hands.picture(folder / "val2017" / f"{number:012d}.jpg", number)
    return write_json(
        folder / "annotations" / "coco_wholebody_val_v1.0.json", {"images": images, "annotations": [nobody, person]}
    )


def onehand10k(folder: Path, hands: Any) -> Path:
    """One hand of which two joints are not labelled."""
    hand = hands.hand(4)
    rows = np.c_[hand.points, np.ones(21)]
    rows[[3, 20]] = 0
    low, high = hand.points.min(0), hand.points.max(0)
    annotation = {"id": 1, "image_id": 1, "keypoints": rows.ravel().tolist(), "bbox": [*low, *(high - low)]}
    image = {"id": 1, "file_name": "Test/source/1.jpg", "width": 320, "height": 240}
    hands.picture(folder / "Test" / "source" / "1.jpg", 1)
    return write_json(folder / "annotations" / "onehand10k_test.json", {"images": [image], "annotations": [annotation]})


def interhand(folder: Path, hands: Any) -> Path:
    """One picture of both hands; the camera stands at the world's origin, turned by half a turn about z."""
    turn = np.diag([-1.0, -1.0, 1.0])
    position = np.array([100.0, -50.0, 30.0])
    world = np.zeros((42, 3))
    order = [4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17, 0]  # tip to base, wrist last
    for start, hand in ((0, hands.hand(5)), (21, hands.hand(6))):
        world[start : start + 21] = hand.joints[order] * 1000 @ turn + position
    name = "Capture0/ROM01/cam400262/image12.jpg"
    hands.picture(folder / "images" / "test" / name)
    image = {"id": 3, "file_name": name, "capture": 0, "camera": "400262", "frame_idx": 12, "width": 320, "height": 240}
    annotation = {"id": 9, "image_id": 3, "hand_type": "interacting", "joint_valid": [1] * 42}
    own = folder / "annotations" / "test"
    write_json(own / "InterHand2.6M_test_data.json", {"images": [image], "annotations": [annotation]})
    camera = {"campos": position.tolist(), "camrot": turn.tolist(), "focal": [300, 300], "princpt": [160, 120]}
    write_json(own / "InterHand2.6M_test_camera.json", {"0": {n: {"400262": v} for n, v in camera.items()}})
    write_json(own / "InterHand2.6M_test_joint_3d.json", {"0": {"12": {"world_coord": world.tolist()}}})
    return folder


def hint_entry(hand: Any, *, hidden: tuple[int, ...] = (), outside: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    """A hand's json; joints `outside` are moved off the picture."""
    points = hand.points.copy()
    points[list(outside)] = [-20, 50]
    box = [float(v) for v in (*hand.points.min(0).clip(0), *hand.points.max(0).clip(0, (320, 240)))]
    return [{"bbox": [box], "keypoints": points.tolist(), "occlusion": [int(j in hidden) for j in range(21)]}]


def hint(folder: Path, hands: Any, name: str = "TEST_newdays_img", count: int = 3) -> Path:
    """`count` hands of one of HInt's folders, left and right in turn; tips hidden, the wrist of the second outside."""
    for index in range(count):
        hand = hands.hand(40 + index)
        stem = f"ND_{index:04d}_{'r' if hand.is_right else 'l'}"
        hands.picture(folder / name / f"{stem}.jpg", index)
        entry = hint_entry(hand, hidden=(4, 8), outside=(0,) if index == 1 else ())
        write_json(folder / name / f"{stem}.json", entry)
    return folder
