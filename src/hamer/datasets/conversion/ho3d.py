"""HO-3D v2 and v3: right hands with objects, 640x480.

`<split>.txt` (lines `SEQ/0000`), `<split>/SEQ/rgb/0000.png` (v3: jpg), `<split>/SEQ/meta/0000.pkl` (read as data, never run).
Joints are MANO's 16 and the tips, in OpenGL's frame; both are turned into ours. The evaluation split's pickles have the
wrist and `handBoundingBox` alone; its truth (`evaluation_xyz.json`, `evaluation_verts.json`) was released later.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hamer.checkpoints.unpickling import load_pickle
from hamer.datasets.conversion.common import (
    ConvertOptions,
    Count,
    Output,
    Part,
    ReleaseError,
    TruthHand,
    require_folder,
)
from hamer.datasets.conversion.finger_angles import FingerAngles
from hamer.datasets.conversion.joint_orders import FROM_OPENGL, HO3D, frame_of, order_of
from hamer.datasets.conversion.json_rows import LazyRows, read_rows
from hamer.datasets.packing import ho3d
from hamer.datasets.packing.annotations import PictureAnnotation, Pictures
from hamer.datasets.packing.sources import SourceOptions
from hamer.structures import Camera

PUBLISHED = {
    ("v2", "evaluation"): 11524,
    ("v3", "evaluation"): 20137,
    ("v2", "train"): 66034,
    ("v3", "train"): 83325,
}
_OUTPUTS = {
    ("v2", "evaluation"): Output("HO3D-VAL", "ho3d_val.npz"),
    ("v3", "evaluation"): Output("HO3D-V3-VAL", "ho3d_v3_val.npz"),
    ("v2", "train"): Output("HO3D-TRAIN", "ho3d_train.npz"),
    ("v3", "train"): Output("HO3D-V3-TRAIN", "ho3d_v3_train.npz"),
}
_VERTICES = 778
_SAME_PLACE = 0.005  # m: the wrist in the pickles and in the later truth are one point, told to the millimetre


def parts(source: Path, options: ConvertOptions) -> list[Part]:
    """The split of the release in folder `source`; by default the one that is evaluated on."""
    split = options.split or "evaluation"
    if split not in ("evaluation", "train"):
        raise ReleaseError(f"HO-3D's splits are evaluation and train, got {split!r}")
    require_folder(source, "HO-3D's folder")
    listing = source / f"{split}.txt"
    if not listing.is_file():
        raise ReleaseError(f"{listing} is missing: expected HO-3D's list of pictures, lines such as SM1/0000")
    lines = [line.strip() for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]
    folder = options.img_folder or source / split
    version = options.version or _version(folder, lines)
    notes = [] if options.version else [f"the pictures are those of HO-3D {version}"]
    if split == "train":
        pictures: Pictures[Any] = ho3d.read(source, SourceOptions(options.img_folder, split, options.mano))
        notes += _pose_notes(pictures, options)
    else:
        pictures = _evaluation(source, folder, lines, version, options, notes)
    counts = [Count(f"pictures of {split}.txt", len(lines), PUBLISHED[version, split])]
    return [Part(split, pictures, folder, (_OUTPUTS[version, split],), counts, notes)]


def _version(folder: Path, lines: list[str]) -> str:
    """v3 has jpg pictures, v2 png; told by the first that is there."""
    for line in lines:
        for suffix, version in ((".png", "v2"), (".jpg", "v3")):
            if _picture(folder, line, suffix).is_file():
                return version
    raise ReleaseError(
        f"none of the {len(lines)} listed pictures is in {folder}: expected SEQ/rgb/0000.png or .jpg there"
    )


def _picture(folder: Path, line: str, suffix: str) -> Path:
    sequence, _, frame = line.rpartition("/")
    return folder / sequence / "rgb" / f"{frame}{suffix}"


def _pose_notes(pictures: Pictures[Any], options: ConvertOptions) -> list[str]:
    """What the joints say about the poses, which the reader takes as absolute; an error where they are not."""
    if options.mano is None:
        return ["finger angles are taken as absolute, as the release says; give --mano to have that checked"]
    found = FingerAngles(options.mano).find_in(pictures, mean_is_added=False)
    if found is None:
        return []
    if found.kind != "absolute":
        raise ReleaseError(f"HO-3D's poses should be absolute, but its {found}")
    return [str(found)]


def _evaluation(
    source: Path, folder: Path, lines: list[str], version: str, options: ConvertOptions, notes: list[str]
) -> Pictures[Any]:
    truth = options.truth or source
    files = [file for file in (truth / "evaluation_xyz.json", truth / "evaluation_verts.json") if file.is_file()]
    joints = vertices = None
    if truth / "evaluation_xyz.json" in files:
        joints = _joints(truth / "evaluation_xyz.json", len(lines), notes)
    elif options.truth is not None:
        raise ReleaseError(f"{truth / 'evaluation_xyz.json'} is missing")
    else:
        notes.append("no evaluation_xyz.json: boxes and wrists alone, from which predictions but no scores can be made")
    if truth / "evaluation_verts.json" in files and options.with_vertices is not False:
        vertices = LazyRows(truth / "evaluation_verts.json", (_VERTICES, 3), len(lines))
    suffix = ".png" if version == "v2" else ".jpg"

    def make(index: int) -> PictureAnnotation:
        line = lines[index]
        sequence, _, frame = line.rpartition("/")
        meta = load_pickle(source / "evaluation" / sequence / "meta" / f"{frame}.pkl")
        camera, wrist, box = _meta(meta)
        if joints is not None and wrist is not None:
            apart = float(np.linalg.norm(joints[index, 0] - wrist))
            if apart > _SAME_PLACE:
                raise ValueError(f"the wrist is {1000 * apart:.0f} mm from that of evaluation_xyz.json: another order?")
        hand = _hand(camera, box, None if joints is None else joints[index], wrist)
        if vertices is not None:
            hand.vertices = _in_our_frame(vertices.all()[index])
        return PictureAnnotation(_picture(folder, line, suffix), line, [hand], camera)

    listing = source / "evaluation.txt"
    return Pictures(range(len(lines)), make, name=lambda i: lines[i], files=[listing, *files])


def _joints(file: Path, count: int, notes: list[str]) -> np.ndarray:
    """(N, 21, 3) m in our order and frame."""
    joints = read_rows(file, (21, 3))
    if len(joints) != count:
        raise ReleaseError(f"{file} must have an entry a picture of evaluation.txt ({count}), got {len(joints)}")
    order, frame = order_of(joints[:: max(1, count // 500)]), frame_of(joints)
    notes.append(f"{file.name} is in the order {order} and the frame of {frame}")
    if order not in ("ho3d", "openpose"):
        raise ReleaseError(f"{file} must be in HO-3D's order of joints, got {order}")
    joints = joints[:, list(HO3D)] if order == "ho3d" else joints
    return _in_our_frame(joints)


def _in_our_frame(points: np.ndarray) -> np.ndarray:
    return (points * FROM_OPENGL).astype(np.float32) if frame_of(points) == "opengl" else points


def _meta(meta: dict[str, Any]) -> tuple[Camera, np.ndarray | None, np.ndarray | None]:
    """Camera, wrist (3,) m in our frame and box of an evaluation pickle."""
    matrix = np.asarray(meta["camMat"], np.float64).reshape(3, 3)
    given = meta.get("handJoints3D")
    wrist = None if given is None else np.asarray(given, np.float64).reshape(-1, 3)[0] * FROM_OPENGL
    box = meta.get("handBoundingBox")
    camera = Camera(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
    return camera, wrist, None if box is None else np.asarray(box, np.float32).reshape(-1)


def _hand(camera: Camera, box: np.ndarray | None, joints: np.ndarray | None, wrist: np.ndarray | None) -> TruthHand:
    """A hand with all joints, or, without truth, with its wrist alone."""
    points, known = np.zeros((21, 3)), np.zeros(21)
    if joints is not None:
        points, known = np.asarray(joints, np.float64), np.ones(21)
    elif wrist is not None:
        points[0], known[0] = wrist, 1
    depth = np.where(points[:, 2] > 0, points[:, 2], np.inf)
    pixels = points @ camera.matrix.T
    pixels[:, :2] /= depth[:, None]
    seen = known * (points[:, 2] > 0)
    return TruthHand(True, box, np.c_[pixels[:, :2] * seen[:, None], seen], np.c_[points, known])
