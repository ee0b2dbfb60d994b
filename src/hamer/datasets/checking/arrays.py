"""npz files of training and evaluation examined: hands for the discriminator, and annotation files with a row a hand."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hamer.datasets.checking.findings import Findings
from hamer.datasets.checking.sample_checks import Problem
from hamer.datasets.npz_arrays import read_npz
from hamer.errors import HamerError

EVALUATION_FIELDS: dict[str, tuple[int, ...]] = {
    "hand_keypoints_2d": (21, 3),
    "hand_keypoints_3d": (21, 4),
    "hand_pose": (48,),
    "betas": (10,),
    "right": (),
    "has_hand_pose": (),
    "has_betas": (),
}
"""Optional fields of an annotation file; it needs imgname, center (N, 2) px and scale, the box's side or sides in px."""


def check_npz(path: Path, findings: Findings, *, img_folder: Path | None = None) -> None:
    """Examine a mocap file (hand_pose, betas) or an annotation file (imgname, center, scale ...).

    Args:
        img_folder: with one, the pictures that an annotation file names must be in it.
    """
    problems: list[Problem] = []
    findings.files.append(str(path))
    try:
        arrays = read_npz(path)
    except (HamerError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        findings.add_problems(str(path), [Problem("npz", f"the file cannot be read: {error}")])
        return
    if "imgname" in arrays or "center" in arrays:
        _check_evaluation(arrays, problems)
        if img_folder is not None and "imgname" in arrays:
            _check_pictures(arrays["imgname"], img_folder, problems)
        findings.samples += len(np.atleast_1d(arrays.get("center", ())))
    elif "hand_pose" in arrays:
        _check_mocap(arrays, problems)
        findings.samples += len(np.atleast_1d(arrays["hand_pose"]))
    else:
        expected = "hand_pose and betas (mocap), or imgname, center, scale (annotation)"
        problems.append(Problem("npz", f"the file must hold {expected}, got {sorted(arrays)}"))
    findings.add_problems(str(path), problems)


def _check_mocap(arrays: Mapping[str, np.ndarray], problems: list[Problem]) -> None:
    """`hand_pose` (N, 48), global orientation first, or (N, 45), and `betas` (N, 10)."""
    pose = arrays["hand_pose"]
    count = len(np.atleast_1d(pose))
    width = 45 if pose.ndim == 2 and pose.shape[1] == 45 else 48
    _check_rows("hand_pose", pose, (count, width), problems)
    if "betas" in arrays:
        _check_rows("betas", arrays["betas"], (count, 10), problems)
    else:
        problems.append(Problem("fields", f"betas is missing; expected ({count}, 10)"))
    if not problems:
        _check_angles(pose, problems)


def _check_evaluation(arrays: Mapping[str, np.ndarray], problems: list[Problem]) -> None:
    for name in ("imgname", "center", "scale"):
        if name not in arrays:
            problems.append(Problem("fields", f"{name} is missing"))
    if "center" not in arrays or "scale" not in arrays:
        return
    count = len(np.atleast_1d(arrays["center"]))
    _check_rows("center", arrays["center"], (count, 2), problems)
    scale = arrays["scale"]
    _check_rows("scale", scale, (count,) if scale.ndim == 1 else (count, 2), problems)
    if scale.dtype.kind in "fiu" and not (scale >= 1).all():
        problems.append(Problem("box", f"scale is the box's side in px and must be 1 or more, got {scale.min():g}"))
    if "imgname" in arrays and len(np.atleast_1d(arrays["imgname"])) != count:
        problems.append(Problem("shape", f"imgname must have {count} rows, got {arrays['imgname'].shape}"))
    for name, shape in EVALUATION_FIELDS.items():
        if name in arrays:
            _check_rows(name, arrays[name], (count, *shape), problems)
    for name in ("right", "has_hand_pose", "has_betas"):
        if name in arrays and not np.isin(arrays[name], (0, 1)).all():
            problems.append(Problem("flag", f"{name} must hold 0 and 1 only"))
    if not any(p.is_error for p in problems) and "hand_pose" in arrays:
        known = np.asarray(arrays.get("has_hand_pose", np.ones(count))) > 0
        _check_angles(arrays["hand_pose"][known], problems)


def _check_pictures(names: np.ndarray, folder: Path, problems: list[Problem]) -> None:
    texts = {name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names.ravel().tolist()}
    missing = sorted(name for name in texts if not (folder / name).is_file())
    if missing:
        text = f"{len(missing)} of {len(texts)} pictures are not in {folder}, the first {missing[0]}"
        problems.append(Problem("missing", text))


def _check_rows(name: str, array: np.ndarray, shape: tuple[int, ...], problems: list[Problem]) -> None:
    if array.dtype.kind not in "fiub":
        problems.append(Problem("fields", f"{name} must hold numbers, got dtype {array.dtype}"))
    elif array.shape != shape:
        problems.append(Problem("shape", f"{name} must have shape {shape}, got {array.shape}"))
    elif not np.isfinite(array).all():
        rows = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
        problems.append(Problem("finite", f"{name} must be finite, but {len(rows)} rows are not, the first {rows[0]}"))


def _check_angles(pose: Any, problems: list[Problem]) -> None:
    rows = np.asarray(pose, np.float64)  # maybe none: where no pose is known
    angles = np.linalg.norm(rows.reshape(len(rows), rows.shape[-1] // 3, 3), axis=2)
    far = angles.max(axis=1, initial=0) > 2 * np.pi + 1e-3
    if far.any():
        text = f"hand_pose must be axis-angle in radians, but {int(far.sum())} rows turn by more than 360 degrees"
        problems.append(Problem("hand_pose", text, False))
