"""Results as tables: the json that a run writes for every picture, and the npz with everything.

Both are in the camera frame, pixels of the upright picture and metres, with true left hands; docs/formats.md lists the
fields. The json has no vertices; the npz has, and reads back to an equal `Reconstruction` (without the picture itself).
"""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hamer.export.files import write_atomic
from hamer.structures import Camera, Hand, HandParameters, Reconstruction

SCHEMA = "hamer/1"

_ARRAYS = ("box", "keypoints_2d", "joints", "joint_confidence", "camera_translation")
_PARAMETERS = ("global_orient", "hand_pose", "betas")
_SCALARS = ("id", "is_right", "score")


def reconstruction_to_dict(result: Reconstruction) -> dict[str, Any]:
    """Everything about `result` but vertices and picture, as plain lists and numbers ready for json.

    Raises ValueError for a number that is NaN or infinite, which json cannot hold; the message names the field.
    """
    camera = result.camera
    table = {
        "schema": SCHEMA,
        "image": None if result.path is None else Path(result.path).name,
        "width": int(result.width),
        "height": int(result.height),
        "hand_model": result.hand_model,
        "camera": {
            "fx": camera.fx,
            "fy": camera.fy,
            "cx": camera.cx,
            "cy": camera.cy,
            "distortion": list(camera.distortion),
            "source": camera.source,
        },
        "model": result.model,
        "detector": result.detector,
        "notes": list(result.notes),
        "hands": [_hand_to_dict(hand) for hand in result.hands],
    }
    _check_finite(table, "result")
    return table


def reconstruction_from_dict(
    table: Mapping[str, Any], *, vertices: np.ndarray | None = None, faces: np.ndarray | None = None
) -> Reconstruction:
    """The `Reconstruction` that `table` describes.

    Args:
        table: as `reconstruction_to_dict` gives it.
        vertices: (N, V, 3) camera frame; without them hands get none, shape (0, 3).
        faces: (F, 3) of a right hand; none likewise.

    Raises:
        ValueError: `table` is of another schema, or a field is missing or misshapen; the message names it.
    """
    if not isinstance(table, Mapping):
        raise ValueError(f"the table must be a json object, got {type(table).__name__}")
    if table.get("schema") != SCHEMA:
        raise ValueError(f"schema must be {SCHEMA!r}, got {table.get('schema')!r}; was this file written by hamer?")
    try:
        hands = table["hands"]
        if vertices is not None and len(vertices) != len(hands):
            raise ValueError(f"vertices must be given for all {len(hands)} hands, got {len(vertices)}")
        empty = np.zeros((0, 3), np.float32)
        camera = table["camera"]
        return Reconstruction(
            hands=[_hand_from_dict(h, empty if vertices is None else vertices[n]) for n, h in enumerate(hands)],
            camera=Camera(
                camera["fx"],
                camera["fy"],
                camera["cx"],
                camera["cy"],
                tuple(camera.get("distortion", ())),
                camera.get("source", "given"),
            ),
            width=int(table["width"]),
            height=int(table["height"]),
            faces=np.zeros((0, 3), np.int64) if faces is None else faces,
            hand_model=table["hand_model"],
            model=table["model"],
            detector=table["detector"],
            path=None if table.get("image") is None else Path(table["image"]),
            notes=list(table.get("notes", ())),
        )
    except KeyError as error:
        raise ValueError(f"the table lacks the field {error}; see docs/formats.md for all fields") from error
    except TypeError as error:
        raise ValueError(f"the table has a field of a wrong type: {error}") from error


def write_json(result: Reconstruction, path: str | Path) -> Path:
    """Write `reconstruction_to_dict(result)`; raises ValueError for numbers that are not finite, OSError."""
    text = json.dumps(reconstruction_to_dict(result), ensure_ascii=False, allow_nan=False)
    # A file name may hold bytes that are no UTF-8 (surrogates here); backslashreplace writes them as json escapes.
    return write_atomic(path, (text + "\n").encode("utf-8", "backslashreplace"))


def read_json(path: str | Path) -> Reconstruction:
    """Read what `write_json` wrote; its hands have no vertices. Raises ValueError, which names the file, and OSError."""
    try:
        return reconstruction_from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(f"{Path(path).name}: {error}") from error


def write_npz(result: Reconstruction, path: str | Path) -> Path:
    """Write everything about `result` but the picture, with a leading axis for the hands; no pickles inside.

    Raises ValueError for numbers that are not finite, and OSError.
    """
    hands = result.hands
    table = reconstruction_to_dict(result)
    table.pop("hands")
    arrays: dict[str, np.ndarray] = {
        "id": np.array([hand.id for hand in hands], np.int64),
        "is_right": np.array([hand.is_right for hand in hands], bool),
        "score": np.array([hand.score for hand in hands], np.float32),
        "vertices": _stack([hand.vertices for hand in hands], (0, 3)),
        "faces": result.faces.astype(np.int32),
        "meta": np.array(json.dumps(table, ensure_ascii=False, allow_nan=False)),
    }
    for name in _ARRAYS:
        arrays[name] = _stack([getattr(hand, name) for hand in hands], _SHAPES[name])
    for name in _PARAMETERS:
        arrays[name] = _stack([getattr(hand.parameters, name) for hand in hands], _SHAPES[name])
    if not np.isfinite(arrays["vertices"]).all():
        raise ValueError("result.hands: vertices must be finite metres, got NaN or infinity; leave such hands out")
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return write_atomic(path, buffer.getvalue())


def read_npz(path: str | Path) -> Reconstruction:
    """Read what `write_npz` wrote. Raises ValueError for other files, naming the file and what is wrong, and OSError."""
    data = Path(path).read_bytes()
    if not data.startswith(b"PK"):  # said here: NumPy would take it for a pickle and advise to load it unsafely
        raise ValueError(
            f"{Path(path).name} is not an npz that hamer wrote: it is no zip archive; give NAME.npz of a run"
        )
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return _from_arrays({name: file[name] for name in file.files})
    # What a damaged archive raises: the last two are zipfile's, for methods and encryption that the damage names.
    except (
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        RuntimeError,
    ) as error:
        raise ValueError(f"{Path(path).name} is not an npz that hamer wrote: {error}") from error


def _from_arrays(arrays: Mapping[str, np.ndarray]) -> Reconstruction:
    """The result in the arrays of an npz; ValueError, KeyError, TypeError or IndexError where they are not ours."""
    vertices, faces = arrays["vertices"], arrays["faces"]
    if vertices.ndim != 3 or not np.isfinite(vertices).all():
        raise ValueError(f"vertices must be finite metres (N, V, 3), got NaN, infinity or shape {vertices.shape}")
    if vertices.size and faces.size and not (faces.min() >= 0 and faces.max() < vertices.shape[1]):
        raise ValueError(f"faces must name vertices 0..{vertices.shape[1] - 1}, got {faces.min()}..{faces.max()}")
    hands = [
        {
            **{name: arrays[name][n] for name in (*_SCALARS, *_ARRAYS)},
            "parameters": {name: arrays[name][n] for name in _PARAMETERS},
        }
        for n in range(len(arrays["id"]))
    ]
    return reconstruction_from_dict({**json.loads(str(arrays["meta"])), "hands": hands}, vertices=vertices, faces=faces)


_SHAPES = {
    "box": (4,),
    "keypoints_2d": (21, 2),
    "joints": (21, 3),
    "joint_confidence": (21,),
    "camera_translation": (3,),
    "global_orient": (3,),
    "hand_pose": (45,),
    "betas": (10,),
}


def _stack(values: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """(N, ...) float32; with no hands (0, *shape), so that readers may rely on the dimensions."""
    return np.stack(values).astype(np.float32) if values else np.zeros((0, *shape), np.float32)


def _hand_to_dict(hand: Hand) -> dict[str, Any]:
    return {
        "id": hand.id,
        "is_right": hand.is_right,
        "score": hand.score,
        **{name: _numbers(getattr(hand, name)) for name in _ARRAYS},
        "parameters": {name: _numbers(getattr(hand.parameters, name)) for name in _PARAMETERS},
    }


def _hand_from_dict(table: Mapping[str, Any], vertices: np.ndarray) -> Hand:
    parameters = table["parameters"]
    return Hand(
        vertices=vertices,
        parameters=HandParameters(*(parameters[name] for name in _PARAMETERS)),
        **{name: table[name] for name in (*_SCALARS, *_ARRAYS)},
    )


def _numbers(array: np.ndarray) -> Any:
    """Nested lists of the shortest decimals that read back as the same float32: 0.1, not 0.10000000149011612."""
    if array.ndim > 1:
        return [_numbers(row) for row in array]
    return [float(str(np.float32(value))) for value in array]


def _check_finite(value: Any, name: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number to be written, got {value}; leave this hand out or repair it")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_finite(item, f"{name}.{key}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _check_finite(item, f"{name}[{number}]")
