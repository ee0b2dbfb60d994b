"""A result as one HTML file that any browser shows, offline: hands to turn and zoom, over the photo they come from.

Nothing is loaded from elsewhere: the page is a WebGL 2 program of a few kilobytes (viewer.html, beside this file), and
the hands are in it as 16-bit fractions of their bounding boxes, which keeps them to a thousandth of a millimetre or so.
Lens distortion is not shown: with it, hands near the photo's edges lie slightly beside their place.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import cv2
import numpy as np

from hamer.export.files import write_atomic
from hamer.export.meshes import named_meshes
from hamer.rendering import tiles
from hamer.rendering.meshes import Mesh
from hamer.structures import Camera, Reconstruction

_PHOTO_SIDE = 1600  # px; larger photos are reduced for the page


def write_html(
    meshes: Reconstruction | Sequence[Mesh] | Mesh,
    path: str | Path,
    *,
    image: np.ndarray | None = None,
    camera: Camera | None = None,
    title: str | None = None,
) -> Path:
    """Write a page with `meshes`.

    Args:
        meshes: a result, or meshes in the camera frame.
        image: RGB uint8 photo behind the hands; default the result's own where it was kept.
        camera: that took `image`; default the result's.
        title: default the photo's name.

    Raises:
        ValueError: there is no hand, or an image without a camera.
        OSError: the file cannot be written.
    """
    size = None if image is None else (image.shape[1], image.shape[0])
    if isinstance(meshes, Reconstruction):
        image = meshes.image if image is None else image
        camera = camera or meshes.camera
        size = (meshes.width, meshes.height)
        title = title or (meshes.path.name if meshes.path else None)
    if image is not None and camera is None:
        raise ValueError("camera must be given with an image, so that the hands can be put in their place on it")
    data = _scene(named_meshes(meshes, None))
    data["camera"] = None if camera is None or size is None else _lens(camera, size)
    data["photo"] = None if image is None else _photo(image)
    page = Template(Path(__file__).with_name("viewer.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(title or "hands"),
        # "<" would let a name end the script element that holds the data.
        data=json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        key=_vector(tiles.KEY),
        fill=_vector(tiles.FILL),
    )
    return write_atomic(path, page.encode("utf-8", "replace"))


def _scene(named: list[tuple[str, Mesh]]) -> dict[str, Any]:
    """Hands about the scene's centre. Hands that share faces share their list."""
    everything = np.concatenate([mesh.vertices for _, mesh in named])
    centre = (everything.min(axis=0) + everything.max(axis=0)) / 2
    radius = float(np.linalg.norm(everything - centre, axis=1).max()) or 1e-3
    face_lists: list[bytes] = []
    hands = []
    for name, mesh in named:
        faces = mesh.faces.astype("<u2" if len(mesh.vertices) <= 65536 else "<u4").tobytes()
        if faces not in face_lists:
            face_lists.append(faces)
        local = mesh.vertices - centre
        low = local.min(axis=0)
        step = np.maximum(np.ptp(local, axis=0), 1e-9) / 65535
        coded = np.round((local - low) / step).astype("<u2")
        hands.append(
            {
                "name": name.replace("_", " "),
                "color": list(mesh.color),
                "low": low.tolist(),
                "step": step.tolist(),
                "positions": _base64(coded.tobytes()),
                "faces": face_lists.index(faces),
                "wide": len(mesh.vertices) > 65536,
            }
        )
    return {
        "centre": centre.tolist(),
        "radius": radius,
        "faces": [_base64(faces) for faces in face_lists],
        "hands": hands,
    }


def _lens(camera: Camera, size: tuple[int, int]) -> dict[str, float]:
    lens = {name: getattr(camera, name) for name in ("fx", "fy", "cx", "cy")}
    return {**lens, "width": int(size[0]), "height": int(size[1])}


def _photo(image: np.ndarray) -> str:
    """The photo as a data address, reduced where it is large: it is a backdrop."""
    scale = min(1.0, _PHOTO_SIDE / max(image.shape[:2]))
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    if not done:
        raise OSError(f"cannot encode the picture of shape {image.shape} for the page")
    return "data:image/jpeg;base64," + _base64(jpeg.tobytes())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _vector(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)
