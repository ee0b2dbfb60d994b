"""InterHand2.6M's layout: several cameras around one or two hands, joints in a common world.

`InterHand2.6M_<split>_data.json` (`images`: `file_name`, `capture`, `camera`, `frame_idx`, `width`, `height`; `annotations`:
`image_id`, `joint_valid` 42, `hand_type`), `_camera.json` ([capture] `campos`, `camrot`, `focal`, `princpt` by camera),
`_joint_3d.json` ([capture][frame] `world_coord` 42x3 mm: right hand, then left, each finger from the tip to the base, wrist
last) and optionally `_MANO_NeuralAnnot.json` ([capture][frame][side] `pose` 48 relative to MANO's mean, `shape` 10, in the
world). A point in the camera's frame is R (world - campos).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hamer.datasets.packing.annotations import HandAnnotation, PictureAnnotation, Pictures
from hamer.datasets.packing.mean_pose import absolute_pose, mean_pose
from hamer.datasets.packing.sources import SourceOptions, read_json
from hamer.structures import Camera

TO_OPENPOSE = (20, *(4 * finger + joint for finger in range(5) for joint in (3, 2, 1, 0)))
"""Where each of our 21 joints lies in a hand of the release."""

_ROOT = 20
_MM = 0.001


def read(path: Path, options: SourceOptions) -> Pictures[int]:
    """The pictures of the release whose annotation files lie in `path`, or whose data file it is, by their ids.

    Raises:
        ValueError: files are missing.
    """
    split = options.split or "train"
    folder = path.parent if path.is_file() else path
    files = {name: _find(folder, split, name) for name in ("data", "camera", "joint_3d", "MANO_NeuralAnnot")}
    missing = [name for name, file in files.items() if file is None and name != "MANO_NeuralAnnot"]
    if missing:
        raise ValueError(f"{folder} must hold InterHand2.6M_{split}_{missing[0]}.json (other splits: --split)")
    content = {name: read_json(file) for name, file in files.items() if file is not None}
    images = {image["id"]: image for image in content["data"]["images"]}
    annotations: dict[int, list[Any]] = defaultdict(list)
    for annotation in content["data"]["annotations"]:
        annotations[annotation["image_id"]].append(annotation)
    base = options.img_folder or _images_folder(folder, split)
    mean = mean_pose(options, "InterHand2.6M") if "MANO_NeuralAnnot" in content else None
    reader = _Reader(content, images, annotations, base, mean)
    given = [file for file in files.values() if file is not None]
    return Pictures(sorted(annotations), reader, name=lambda i: str(images.get(i, {}).get("file_name", i)), files=given)


def _images_folder(folder: Path, split: str) -> Path:
    """`images/<split>` beside one of the folders above the annotations, as the release has it."""
    for above in (folder, *folder.resolve().parents[:3]):
        if (above / "images" / split).is_dir():
            return above / "images" / split
    return folder


def _find(folder: Path, split: str, name: str) -> Path | None:
    return next(iter(sorted(folder.rglob(f"*_{split}_{name}.json"))), None)


class _Reader:
    """Id of a picture to its annotation."""

    def __init__(
        self,
        content: Mapping[str, Any],
        images: Mapping[int, Any],
        annotations: Mapping[int, list[Any]],
        folder: Path,
        mean: np.ndarray | None,
    ) -> None:
        self._content, self._images, self._annotations = content, images, annotations
        self._folder, self._mean = folder, mean

    def __call__(self, image_id: int) -> PictureAnnotation:
        image = self._images[image_id]
        camera, rotation, position = self._camera(image)
        frame = self._content["joint_3d"][str(image["capture"])][str(image["frame_idx"])]
        world = np.asarray(frame["world_coord"], np.float64).reshape(42, 3)
        joints = (world - position) @ rotation.T * _MM
        size = (int(image["width"]), int(image["height"])) if "width" in image else None
        result = PictureAnnotation(self._folder / image["file_name"], image["file_name"], [], camera, size)
        for annotation in self._annotations[image_id]:
            valid = np.asarray(annotation["joint_valid"], np.float64).reshape(42) > 0
            for side in ("right", "left"):
                if annotation["hand_type"] in (side, "interacting"):
                    self._add(result, side, joints, valid, self._parameters(image, side, rotation))
        return result

    def _camera(self, image: Mapping[str, Any]) -> tuple[Camera, np.ndarray, np.ndarray]:
        """The camera of a picture, its rotation (3, 3) and its position (3,) mm in the world."""
        capture, name = self._content["camera"][str(image["capture"])], str(image["camera"])
        focal, center = capture["focal"][name], capture["princpt"][name]
        rotation = np.asarray(capture["camrot"][name], np.float64).reshape(3, 3)
        return Camera(*focal, *center), rotation, np.asarray(capture["campos"][name], np.float64).reshape(3)

    def _add(
        self, result: PictureAnnotation, side: str, joints: np.ndarray, valid: np.ndarray, parameters: tuple[Any, Any]
    ) -> None:
        rows = np.array(TO_OPENPOSE) + (0 if side == "right" else 21)
        assert result.camera is not None
        if not valid[rows].any():
            result.faults.append(f"{side} hand: no valid joint")
            return
        points = joints[rows]
        pixels = points @ result.camera.matrix.T
        seen = valid[rows] & (points[:, 2] > 0)
        points_2d = np.where(seen[:, None], pixels[:, :2] / np.where(seen, pixels[:, 2], 1)[:, None], 0)
        # Without its wrist a hand's joints have nothing to be relative to: the 3D loss would compare apples.
        confidence_3d = seen & valid[rows[0]]
        rows_2d, rows_3d = (np.c_[p, c].astype(np.float32) for p, c in ((points_2d, seen), (points, confidence_3d)))
        pose, betas = parameters
        result.hands.append(HandAnnotation(side == "right", None, rows_2d, rows_3d, pose, betas))

    def _parameters(self, image: Mapping[str, Any], side: str, rotation: np.ndarray) -> tuple[Any, Any]:
        """Pose (48,) and betas (10,) in the camera's frame, None where they are not known."""
        frames = self._content.get("MANO_NeuralAnnot", {}).get(str(image["capture"]), {})
        fit = (frames.get(str(image["frame_idx"])) or {}).get(side)
        if fit is None:
            return None, None
        pose = np.asarray(fit["pose"], np.float64).reshape(48)
        turned = rotation @ cv2.Rodrigues(pose[:3])[0]
        pose[:3] = cv2.Rodrigues(turned)[0].ravel()
        return absolute_pose(pose, self._mean, is_right=side == "right"), np.asarray(fit["shape"], np.float32)
