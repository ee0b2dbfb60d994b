"""What is written for one `Reconstruction`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hamer.export import Frame, write_glb, write_html, write_json, write_npz, write_obj
from hamer.export.files import write_atomic
from hamer.results.sheets import hand_sheet, overlay
from hamer.structures import Reconstruction

MAX_JPEG_SIDE = 65_500  # px, libjpeg's limit


@dataclass(frozen=True)
class Outputs:
    """Which files a run writes. The json is always written, last, as the sign that a picture is done.

    `sheets`: `<name>_<id>.png`, a row of views of every hand (`side_view` adds one); `full_frame`: `<name>_all.jpg`;
    `save_mesh`: `<name>_<id>.obj`; `npz`: `<name>.npz` with vertices; `glb`: `<name>.glb`; `html`: `<name>.html`;
    `frame`: axes of mesh files, "viewer" (y up, as the original's OBJ) or "opencv" (the camera frame).
    """

    sheets: bool = True
    side_view: bool = False
    full_frame: bool = True
    save_mesh: bool = False
    npz: bool = True
    glb: bool = True
    html: bool = False
    frame: Frame = "viewer"
    rescale_factor: float = 2.0


def save(
    result: Reconstruction,
    folder: str | Path,
    *,
    name: str | None = None,
    image: np.ndarray | None = None,
    outputs: Outputs | None = None,
) -> list[Path]:
    """Write everything about `result` into `folder` (made if needed) and return the files.

    Args:
        result: what `HandReconstructor` returned.
        folder: where to; files of the same names are replaced, each in one step.
        name: stem of the files; None takes the picture's, or "image".
        image: the picture, where `result` did not keep it.
        outputs: what to write; None for the defaults.

    Raises:
        OSError: the folder cannot be written or the disk is full.
    """
    outputs = outputs or Outputs()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    name = name or (Path(result.path).stem if result.path else "image")
    files: list[Path] = []
    if outputs.sheets:
        for hand in result.hands:
            sheet = hand_sheet(result, hand, image, side_view=outputs.side_view, rescale_factor=outputs.rescale_factor)
            files.append(write_picture(folder / f"{name}_{hand.id}.png", sheet))
    if outputs.full_frame:
        files.append(write_picture(folder / f"{name}_all.jpg", overlay(result, image)))
    files += _write_meshes(result, folder, name, outputs)
    if outputs.npz:
        files.append(write_npz(result, folder / f"{name}.npz"))
    files.append(write_json(result, folder / f"{name}.json"))
    return files


def _write_meshes(result: Reconstruction, folder: Path, name: str, outputs: Outputs) -> list[Path]:
    files: list[Path] = []
    if outputs.save_mesh:
        for hand in result.hands:
            files.append(write_obj(result, folder / f"{name}_{hand.id}.obj", hand_id=hand.id, frame=outputs.frame))
    if outputs.glb and result.hands:
        files.append(write_glb(result, folder / f"{name}.glb", frame=outputs.frame))
    if outputs.html and result.hands:
        files.append(write_html(result, folder / f"{name}.html"))
    return files


def write_picture(path: Path, rgb: np.ndarray) -> Path:
    """Write an RGB picture in one step, so that a killed run leaves no half file under its name.

    A JPEG wider or higher than the format allows is reduced to that. Raises OSError.
    """
    if path.suffix == ".jpg" and max(rgb.shape[:2]) > MAX_JPEG_SIDE:
        scale = MAX_JPEG_SIDE / max(rgb.shape[:2])
        size = [max(1, int(n * scale)) for n in (rgb.shape[1], rgb.shape[0])]
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 92] if path.suffix == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 4]
    done, data = cv2.imencode(path.suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), quality)
    if not done:
        raise OSError(f"cannot encode {path.name} ({rgb.shape[1]} x {rgb.shape[0]} px)")
    return write_atomic(path, data.tobytes())
