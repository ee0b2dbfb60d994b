"""Our own annotation format, and with it the results of `hamer demo` as pseudo labels.

One json a picture, or one json with `{"pictures": [...]}` or a plain list of them; docs/training_data.md has the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hamer.datasets.packing.annotations import HandAnnotation, PictureAnnotation, Pictures
from hamer.datasets.packing.sources import SourceOptions, read_json
from hamer.geometry.cameras import project_with_camera
from hamer.geometry.rotations import rotmat_to_aa
from hamer.structures import Camera

_SHAPES = {"global_orient": 1, "hand_pose": 15}  # rotations of each


def read(path: Path, options: SourceOptions) -> Pictures[Any]:
    """The pictures of a json file, or of a folder with a json for each."""
    base = options.img_folder or (path if path.is_dir() else path.parent)
    if path.is_dir():
        files = sorted(path.glob("*.json"))
        if not files:
            raise ValueError(f"{path} must hold a json for each picture, got none")
        return Pictures(
            files,
            lambda file: read_picture(read_json(file), base, file.parent, options),
            name=lambda f: f.name,
            files=files,
        )
    content = read_json(path)
    entries = [content] if isinstance(content, dict) and "hands" in content else content
    entries = entries.get("pictures") if isinstance(entries, dict) else entries
    if not isinstance(entries, list):
        raise ValueError(f'{path} must hold a list of pictures, {{"pictures": [...]}} or one picture with "hands"')
    return Pictures(entries, lambda entry: read_picture(entry, base, path.parent, options), name=_name, files=[path])


def read_picture(
    entry: Mapping[str, Any], img_folder: Path, mask_folder: Path, options: SourceOptions
) -> PictureAnnotation:
    """The annotation of one picture; hands that are no annotation are among its `faults`.

    Raises:
        ValueError: `image` or `hands` is missing, or the camera is none.
    """
    if not isinstance(entry, Mapping) or not isinstance(entry.get("image"), str):
        raise ValueError("a picture must be a dict with the file's name as image")
    if not isinstance(entry.get("hands"), list):
        raise ValueError(f"hands must be a list, got {type(entry.get('hands')).__name__}")
    camera = _camera(entry.get("camera"))
    own_betas = entry.get("hand_model", options.hand_model) == options.hand_model
    result = PictureAnnotation(img_folder / entry["image"], entry["image"], [], camera, _size(entry))
    for number, hand in enumerate(entry["hands"]):
        try:
            if _score(hand) < options.min_score:
                result.faults.append(f"hand {number}: score {_score(hand):.2f} is below {options.min_score:g}")
                continue
            result.hands.append(read_hand(hand, camera, mask_folder, options.side, with_betas=own_betas))
        except (ValueError, TypeError, KeyError) as error:
            result.faults.append(f"hand {number}: {error}")
    return result


def read_hand(
    hand: Any, camera: Camera | None, mask_folder: Path, side: str | None = None, *, with_betas: bool = True
) -> HandAnnotation:
    """One entry of `hands`; keypoints_2d come from keypoints_3d and the camera where they are not given.

    Raises:
        ValueError: a field is missing or misshapen; the message names it.
    """
    if not isinstance(hand, Mapping):
        raise ValueError(f"a hand must be a dict, got {type(hand).__name__}")
    parameters = hand.get("parameters") or {key: hand[key] for key in (*_SHAPES, "betas") if key in hand}
    points_3d = _points(hand, "keypoints_3d" if "keypoints_3d" in hand else "joints", 3)
    points_2d = _points(hand, "keypoints_2d", 2)
    if points_2d is None and points_3d is not None and camera is not None:
        points_2d = np.c_[project_with_camera(points_3d[:, :3], camera), points_3d[:, 3]].astype(np.float32)
    betas = parameters.get("betas") if with_betas else None
    mask = hand.get("mask")
    return HandAnnotation(
        _is_right(hand, side), hand.get("box"), points_2d, points_3d, _pose(parameters), betas,
        mask=None if mask is None else mask_folder / str(mask),
    )  # fmt: skip


def _is_right(hand: Mapping[str, Any], side: str | None) -> bool:
    value = hand.get("is_right")
    if value is None and side is not None:
        return side == "right"
    if value not in (0, 1):
        raise ValueError(f"is_right must be true or false, got {value!r}: say the side of such hands with --side")
    return bool(value)


def _points(hand: Mapping[str, Any], name: str, n: int) -> np.ndarray | None:
    """(21, n + 1): coordinates and confidence, which is the row's own, else joint_confidence, else 1."""
    if hand.get(name) is None:
        return None
    try:
        width = next((len(row) for row in hand[name] if row is not None), n)
        rows = np.array([[np.nan] * width if row is None else row for row in hand[name]], np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be 21 rows of {n} numbers, or {n + 1} with a confidence ({error})") from error
    if rows.ndim != 2 or rows.shape[0] != 21 or rows.shape[1] not in (n, n + 1):
        raise ValueError(f"{name} must be 21 rows of {n} numbers, or {n + 1} with a confidence, got {rows.shape}")
    if rows.shape[1] == n:
        given = hand.get("joint_confidence")
        confidence = np.ones(21, np.float32) if given is None else np.asarray(given, np.float32).reshape(21)
        rows = np.c_[rows, confidence]
    known = np.asarray(np.isfinite(rows).all(axis=1))
    return np.where(known[:, None], rows, 0).astype(np.float32)


def _pose(parameters: Mapping[str, Any]) -> np.ndarray | None:
    """(48,) axis-angle of global_orient and hand_pose, given as axis-angle or as rotation matrices."""
    if any(parameters.get(name) is None for name in _SHAPES):
        return None
    parts = []
    for name, n in _SHAPES.items():
        values = np.asarray(parameters[name], np.float64)
        if values.size == 9 * n:
            values = rotmat_to_aa(torch.as_tensor(_checked_rotations(values.reshape(n, 3, 3), name))).numpy()
        if values.size != 3 * n:
            raise ValueError(f"{name} must be {n} rotations, axis-angle or (3, 3) matrices, got shape {values.shape}")
        parts.append(values.reshape(-1))
    return np.concatenate(parts).astype(np.float32)


def _checked_rotations(matrices: np.ndarray, name: str) -> np.ndarray:
    error = np.abs(matrices @ matrices.transpose(0, 2, 1) - np.eye(3)).max()
    if not error < 1e-2 or (np.linalg.det(matrices) < 0).any():
        raise ValueError(f"{name} must be rotation matrices (orthonormal, determinant 1), got some off by {error:.2g}")
    return matrices


def _camera(camera: Any) -> Camera | None:
    if camera is None or (isinstance(camera, Mapping) and camera.get("source") == "assumed"):
        return None  # what was assumed is no knowledge
    if not isinstance(camera, Mapping) or not {"fx", "fy", "cx", "cy"} <= set(camera):
        raise ValueError("camera must be a dict with fx, fy, cx, cy in pixels")
    distortion = tuple(camera.get("distortion") or ())
    return Camera(camera["fx"], camera["fy"], camera["cx"], camera["cy"], distortion)


def _size(entry: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = entry.get("width"), entry.get("height")
    return None if width is None or height is None else (int(width), int(height))


def _score(hand: Any) -> float:
    return float(hand.get("score", 1.0)) if isinstance(hand, Mapping) else 1.0


def _name(entry: Any) -> str:
    return str(entry.get("image", "?")) if isinstance(entry, Mapping) else "?"
