"""A tiny network and made-up evaluation sets, laid out as the original's evaluation expects them in its working folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from hamer.checkpoints.hand_files import load_open_hand
from hamer.hand_models import HandModel
from hamer.hand_models.arrays import HandModelArrays
from hamer.models import HamerConfig, ViTConfig, build_hamer
from hamer.models.config import DecoderConfig

CHECKPOINT = Path("try") / "checkpoints" / "tiny.ckpt"
SETS = {
    "FREIHAND-VAL": ("freihand_val.npz", "FreiHAND_pub_v2_eval/evaluation/rgb"),
    "HO3D-VAL": ("ho3d_val.npz", "HO3D_v2/evaluation"),
    "NEWDAYS-TEST-ALL": ("TEST_newdays_img_all.npz", "HInt_annotation_partial/TEST_newdays_img"),
}
HANDS = {"FREIHAND-VAL": 5, "HO3D-VAL": 4, "NEWDAYS-TEST-ALL": 7}


def write_checkpoint(folder: Path, seed: int = 1, name: Path = CHECKPOINT, hand: HandModelArrays | None = None) -> Path:
    """A small network around a hand (the open one by default), whose read-outs are damped so that hands stay hands."""
    torch.manual_seed(seed)
    config = HamerConfig(ViTConfig(96, 2, 3), DecoderConfig(depth=1, context_dim=96))
    network = build_hamer(config, load_open_hand() if hand is None else hand)
    with torch.no_grad():
        for parameter, value in network.mano_head.named_parameters():
            if parameter.startswith("dec"):
                torch.nn.init.normal_(value, std=0.001 if "cam" in parameter else 0.02)
        network.mano_head.deccam.bias[0] = 4.0  # a hand as large as half the crop, as real networks see it
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": network.state_dict()}, path)
    (path.parent.parent / "model_config.yaml").write_text(config.to_cfg().dump())
    return path


def hand_points(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Joints (N, 21, 3) and vertices (N, V, 3) of open hands in random poses, metres, half a metre away."""
    model = HandModel(load_open_hand())
    turn = torch.from_numpy(rng.normal(0, 1, (count, 3))).float()
    pose = torch.from_numpy(rng.normal(0, 0.2, (count, 45))).float()
    with torch.no_grad():
        posed = model.forward_axis_angle(turn, pose, torch.zeros(count, 10))
    away = np.array([0, 0, 0.5], np.float32)
    return posed.joints.numpy() + away, posed.vertices.numpy() + away


def write_set(folder: Path, name: str, seed: int = 0) -> Path:
    """The annotations and pictures of a set: two hands a picture, some of them left, some joints not visible."""
    rng = np.random.default_rng(seed + len(name))
    file, pictures = SETS[name]
    count = HANDS[name]
    names = [f"{i // 2:08d}.jpg" for i in range(count)]
    (folder / pictures).mkdir(parents=True, exist_ok=True)
    for picture in set(names):
        cv2.imwrite(str(folder / pictures / picture), rng.integers(0, 255, (180, 240, 3), np.uint8))
    center = rng.uniform((80, 60), (160, 120), (count, 2))
    sides = rng.uniform(40, 110, (count, 2))
    joints, vertices = hand_points(rng, count)
    points = np.zeros((count, 21, 3))
    points[..., :2] = center[:, None] + 0.12 * sides.max(1)[:, None, None] * rng.normal(0, 1, (count, 21, 2))
    points[..., 2] = rng.random((count, 21)) > 0.2
    points[0, :, 2] = 1
    path = folder / "hamer_evaluation_data" / file
    path.parent.mkdir(exist_ok=True)
    extra: dict[str, Any] = {}
    if name == "FREIHAND-VAL":
        np.save(path.with_name(f"{path.stem}_vertices.npy"), vertices.astype(np.float32))
        extra = {
            "hand_keypoints_3d": np.concatenate([joints, np.ones((count, 21, 1))], -1).astype(np.float32),
            "vertices_file": np.array(f"{path.stem}_vertices.npy"),
        }
    np.savez(
        path, imgname=np.array(names), center=center, scale=sides, right=(rng.random(count) > 0.4).astype(np.float32),
        hand_keypoints_2d=points, **extra,
    )  # fmt: skip
    return path


def write_world(folder: Path, *names: str) -> Path:
    """The checkpoint and the named sets (all three by default); returns the checkpoint."""
    for name in names or SETS:
        write_set(folder, name)
    return write_checkpoint(folder)


def write_photos(folder: Path) -> Path:
    """Three annotated photos: two hands, one hand with 3D and intrinsics, none."""
    rng = np.random.default_rng(5)
    joints, _ = hand_points(rng, 3)
    photos = []
    for number, hands in enumerate(((0, 1), (2,), ())):
        file = f"photo{number}.png"
        cv2.imwrite(str(folder / file), rng.integers(0, 255, (240, 320, 3), np.uint8))
        focal = 400.0
        annotated = []
        for hand in hands:
            pixels = focal * joints[hand, :, :2] / joints[hand, :, 2:] + (160, 120)
            box = [*pixels.min(0), *pixels.max(0)]
            annotated.append(
                {
                    "box": [float(v) for v in box], "is_right": 1 if hand else 0,
                    "keypoints_2d": [[*map(float, p), 1] for p in pixels],
                    "keypoints_3d": [[*map(float, p), 1] for p in joints[hand]] if hand == 2 else None,
                }
            )  # fmt: skip
        intrinsics = {"focal": [focal, focal], "princpt": [160.0, 120.0]} if number == 1 else None
        photos.append({"file": file, "dataset": f"source{number % 2}", "intrinsics": intrinsics, "hands": annotated})
    path = folder / "mine.json"
    path.write_text(json.dumps(photos))
    return path
