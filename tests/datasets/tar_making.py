"""Small tars of the original's format for tests."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hamer.configs import ConfigNode

AUGMENT = {
    "SCALE_FACTOR": 0.3,
    "ROT_FACTOR": 30,
    "TRANS_FACTOR": 0.02,
    "COLOR_SCALE": 0.2,
    "ROT_AUG_RATE": 0.6,
    "TRANS_AUG_RATE": 0.5,
    "DO_FLIP": False,
    "FLIP_AUG_RATE": 0.0,
    "EXTREME_CROP_AUG_RATE": 0.0,
    "EXTREME_CROP_AUG_LEVEL": 1,
}


def annotation(**changes: Any) -> dict[str, Any]:
    """A hand in the middle of a picture of 48x40 px."""
    points = np.column_stack([np.linspace(12, 32, 21), np.linspace(10, 30, 21), np.ones(21)])
    return {
        "keypoints_2d": points.astype(np.float32),
        "keypoints_3d": np.full((21, 4), 0.1, np.float32),
        "center": np.array([22, 20], np.float32),
        "scale": np.array([0.12, 0.1], np.float32),
        "hand_pose": np.full(48, 0.1, np.float32),
        "betas": np.full(10, 0.5, np.float32),
        "right": np.float32(1),
        "has_hand_pose": np.float32(1),
        "has_betas": np.float32(1),
        "extra_info": {"fitting_loss": np.array({"reprojection_loss": 10.0}), "detection_npz_idx": 0},
        **changes,
    }


def jpg(seed: int = 0) -> bytes:
    """A small picture, encoded."""
    picture = np.random.default_rng(seed).integers(0, 256, (40, 48, 3), np.uint8)
    return cv2.imencode(".jpg", cv2.GaussianBlur(picture, (0, 0), 2))[1].tobytes()


def masks(array: np.ndarray) -> bytes:
    """A detection.npz."""
    stream = io.BytesIO()
    np.savez_compressed(stream, masks=array)
    return stream.getvalue()


def sample(*annotations: Any, seed: int = 0, **members: bytes | None) -> dict[str, bytes]:
    """Members of one sample; a name given (dots as underscores) replaces that member, None leaves it out."""
    content: dict[str, bytes | None] = {"jpg": jpg(seed), "data_pyd": pickle.dumps(list(annotations), protocol=2)}
    merged = {**content, **members}
    return {name.replace("_", "."): data for name, data in merged.items() if data is not None}


def write_tar(path: Path, samples: Mapping[str, Mapping[str, bytes]]) -> Path:
    """A tar of samples, key -> extension -> content."""
    with tarfile.open(path, "w") as tar:
        for key, members in samples.items():
            for extension, data in members.items():
                info = tarfile.TarInfo(f"{key}.{extension}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


def numbered_tar(path: Path, numbers: range, hands: int = 1) -> Path:
    """A tar whose samples have the keys of `numbers` and `hands` hands each."""
    return write_tar(path, {f"{n:03d}": sample(*[annotation() for _ in range(hands)], seed=n) for n in numbers})


def config(**datasets: Any) -> ConfigNode:
    """A small configuration with augmentation."""
    return ConfigNode({"MODEL": {"IMAGE_SIZE": 32}, "DATASETS": {"CONFIG": AUGMENT, **datasets}})
