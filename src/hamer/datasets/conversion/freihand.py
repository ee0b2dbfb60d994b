"""FreiHAND v2: right hands before screens, with and without objects.

`<split>_K.json`, `<split>_xyz.json`, `<split>_mano.json`, `<split>_verts.json`, `<split>/rgb/%08d.jpg`; splits training (32,560
samples in four versions of the picture) and evaluation (3,960; its xyz, verts and mano were released later). Joints are in
our order and frame already. Which of the original's boxes were drawn how is not known: ours are tight around the joints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hamer.datasets.conversion.common import (
    ConvertOptions,
    Count,
    Output,
    Part,
    ReleaseError,
    extended,
    require_folder,
    with_hand,
)
from hamer.datasets.conversion.finger_angles import SAMPLES, FingerAngles
from hamer.datasets.conversion.joint_orders import order_of
from hamer.datasets.conversion.json_rows import LazyRows
from hamer.datasets.packing import freihand
from hamer.datasets.packing.annotations import PictureAnnotation, Pictures
from hamer.datasets.packing.sources import SourceOptions, read_json

PUBLISHED = {"evaluation": 3960, "training": 4 * 32560}
_OUTPUTS = {
    "evaluation": Output("FREIHAND-VAL", "freihand_val.npz"),
    "training": Output("FREIHAND-TRAIN", "freihand_train.npz"),
}
_VERTICES = 778


def parts(source: Path, options: ConvertOptions) -> list[Part]:
    """The split of the release in folder `source`; by default the one that is evaluated on."""
    split = options.split or "evaluation"
    if split not in PUBLISHED:
        raise ReleaseError(f"FreiHAND's splits are {' and '.join(PUBLISHED)}, got {split!r}")
    require_folder(source, "FreiHAND's folder")
    if not (source / f"{split}_xyz.json").is_file():
        raise ReleaseError(
            f"{source / f'{split}_xyz.json'} is missing; the evaluation split's truth (evaluation_xyz.json, _verts.json, "
            "_mano.json) was released after its pictures: fetch FreiHAND_pub_v2_eval.zip and unpack it there"
        )
    notes: list[str] = []
    read_as = SourceOptions(options.img_folder, split, options.mano, notes=notes)
    pictures: Pictures[Any] = freihand.read(source, read_as)
    notes += _order_note(pictures)
    pictures = _with_poses(pictures, options, notes)
    pictures = _with_vertices(pictures, source / f"{split}_verts.json", split, options, notes)
    folder = options.img_folder or source / split / "rgb"
    counts = [Count(f"pictures of {split}", len(pictures), PUBLISHED[split])]
    return [Part(split, pictures, folder, (_OUTPUTS[split],), counts, notes)]


def _order_note(pictures: Pictures[Any]) -> list[str]:
    joints = np.stack([_joints(pictures[i]) for i in range(min(len(pictures), SAMPLES))])
    order = order_of(joints)
    if order != "openpose":
        raise ReleaseError(
            f"FreiHAND's joints must be in our order (wrist, thumb to little from the base), got {order}"
        )
    return []


def _with_poses(pictures: Pictures[Any], options: ConvertOptions, notes: list[str]) -> Pictures[Any]:
    """The pictures with absolute finger angles, whatever the release's are; the shared reader has added the mean."""
    if options.mano is None:
        return pictures
    angles = FingerAngles(options.mano)
    finding = angles.find_in(pictures, mean_is_added=True)
    if finding is None:
        return pictures
    notes.append(str(finding))
    mean = angles.absolute(np.zeros(48), "relative to the mean")

    def read_again(_index: int, picture: PictureAnnotation) -> PictureAnnotation:
        pose = np.asarray(picture.hands[0].hand_pose, np.float64) - mean
        return with_hand(picture, hand_pose=angles.absolute(pose, finding.kind))

    return pictures if finding.kind == "relative to the mean" else extended(pictures, read_again)


def _with_vertices(
    pictures: Pictures[Any], file: Path, split: str, options: ConvertOptions, notes: list[str]
) -> Pictures[Any]:
    wanted = options.with_vertices if options.with_vertices is not None else split == "evaluation"
    if not wanted or not file.is_file():
        if wanted:
            notes.append(f"{file.name} is not there: errors of vertices cannot be computed")
        return pictures
    count = len(read_json(file.with_name(f"{split}_K.json")))
    vertices = LazyRows(file, (_VERTICES, 3), count)
    return extended(pictures, lambda i, picture: with_hand(picture, vertices=vertices.all()[i % count]), (file,))


def _joints(picture: PictureAnnotation) -> np.ndarray:
    joints = picture.hands[0].keypoints_3d
    assert joints is not None
    return joints[:, :3]
