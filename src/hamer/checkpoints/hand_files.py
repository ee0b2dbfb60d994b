"""Hand models in files: MANO's pickle, npz, safetensors, a checkpoint's `mano.*` buffers, and the open hand.

Names inside files are MANO's own (`v_template`, `shapedirs`, `posedirs`, `J_regressor`, `weights`, `f`,
`kintree_table`, `hands_mean`, `hands_components`); npz and safetensors that this package writes use the field names
of `HandModelArrays`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hamer.checkpoints.unpickling import load_pickle
from hamer.errors import HamerError
from hamer.hand_models.arrays import N_BETAS, HandModelArrays, mano_wrist_faces

_ALIASES = {
    "lbs_weights": "weights",
    "faces": "f",
    "hands_mean": "hand_mean",
    "hands_components": "hand_components",
    "fingertips": "extra_joints_idxs",
}
"""Our field -> the name that MANO's files or HaMeR's buffers use."""


_REQUIRED = ("v_template", "shapedirs", "posedirs", "J_regressor", "lbs_weights", "faces")


class HandFileError(HamerError, ValueError):
    """A hand model file that lacks arrays, or holds something else."""


def read_mano(path: str | Path, *, is_right: bool = True) -> HandModelArrays:
    """MANO's right hand from a file or a folder that holds MANO_RIGHT.pkl.

    Args:
        is_right: False looks for MANO_LEFT; its arrays are then those of a left hand, as the file has them.
        path: `.pkl` (the licensed file, read without chumpy and SciPy), `.npz`, `.safetensors`; in a folder
            MANO_RIGHT.pkl, .npz or .safetensors is looked for.

    Raises:
        FileNotFoundError: says where MANO comes from.
        UnsafeFileError: a pickle that asks for more than data.
        HandFileError: arrays are missing or do not fit.
    """
    path = find_mano(path, is_right=is_right)
    if path.suffix == ".pkl":
        content = load_pickle(path)
    elif path.suffix == ".npz":
        content = _npz_content(path)
    elif path.suffix == ".safetensors":
        content = _safetensors_content(path)
    else:
        raise HandFileError(f"a hand model file must end in .pkl, .npz or .safetensors, got {path}")
    if not isinstance(content, Mapping):
        raise HandFileError(f"{path} must hold a dict of arrays, got {type(content).__name__}")
    arrays = arrays_from_mapping(content, source=str(path))
    if not is_right:
        arrays.wrist_faces = arrays.wrist_faces[:, ::-1].copy()
    return arrays


def find_mano(path: str | Path, *, is_right: bool = True) -> Path:
    """The hand model file that `path` (file or folder) means, or a FileNotFoundError that says how to get it."""
    path, stem = Path(path), "MANO_RIGHT" if is_right else "MANO_LEFT"
    candidates = [path / f"{stem}{suffix}" for suffix in (".pkl", ".npz", ".safetensors")] if path.is_dir() else [path]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(
        f"no hand model at {path} (looked for {', '.join(c.name for c in candidates)}). MANO needs a licence: "
        f"register at https://mano.is.tue.mpg.de, download the models and copy {stem}.pkl there; "
        "or use the open hand that comes with hamer"
    )


def arrays_from_mapping(content: Mapping[str, Any], *, source: str = "hand model") -> HandModelArrays:
    """HandModelArrays from named arrays: MANO's names or ours, `posedirs` as (V, 3, 135) or flattened to (135, 3 V)."""
    required = {name: _get(content, name, source) for name in _REQUIRED}
    try:
        return HandModelArrays(
            name=_name(content, len(required["v_template"])),
            **_in_our_layout(required),
            **_optional_arrays(content, len(required["v_template"])),
        )
    except (TypeError, ValueError, IndexError) as error:
        raise HandFileError(f"{source} does not fit a hand model: {error}") from error


def _name(content: Mapping[str, Any], n_vertices: int) -> Literal["mano", "open"]:
    """Files of other origin carry no name: MANO is known by its 778 vertices."""
    return "open" if str(content.get("name", "mano" if n_vertices == 778 else "open")) == "open" else "mano"


def _in_our_layout(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Ten betas of those that there are, and smplx's flattened posedirs (135, 3 V) as MANO's (V, 3, 135)."""
    posedirs = arrays["posedirs"]
    if posedirs.ndim == 2:
        posedirs = posedirs.T.reshape(len(arrays["v_template"]), 3, -1)
    return {**arrays, "shapedirs": arrays["shapedirs"][:, :, :N_BETAS], "posedirs": posedirs}


def _optional_arrays(content: Mapping[str, Any], n_vertices: int) -> dict[str, np.ndarray]:
    """What a file may leave out because MANO's values are the default."""
    names = ("hands_mean", "hands_components", "fingertips", "parents", "wrist_faces", "uv", "uv_faces")
    found = {name: array for name in names if (array := _optional(content, name)) is not None}
    if "kintree_table" in content:
        found["parents"] = np.asarray(content["kintree_table"])[0]
    found.setdefault("wrist_faces", mano_wrist_faces(n_vertices))
    return found


def arrays_from_state_dict(state_dict: Mapping[str, Any], prefix: str = "mano.") -> HandModelArrays:
    """The MANO model that a HaMeR checkpoint carries as buffers, e.g. `mano.v_template`.

    Only the first 6 pose components are stored there; `hand_mean` is zero where the checkpoint was made with a flat
    mean.
    """
    content = {
        name[len(prefix) :]: value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
        for name, value in state_dict.items()
        if name.startswith(prefix) and "." not in name[len(prefix) :]
    }
    if not content:
        raise HandFileError(f"the state dict must hold buffers named {prefix}*, got none; give a MANO file instead")
    return arrays_from_mapping(content, source=f"state dict ({prefix}*)")


def read_hand_npz(path: str | Path) -> HandModelArrays:
    """A hand model as `write_hand_npz` stores it (or any npz with MANO's names)."""
    return arrays_from_mapping(_npz_content(Path(path)), source=str(path))


def write_hand_npz(path: str | Path, arrays: HandModelArrays) -> Path:
    """Store a hand model as compressed npz under the field names of HandModelArrays; returns the path."""
    path = Path(path)
    content = {name: value for name, value in vars(arrays).items() if value is not None}
    with path.open("wb") as file:
        np.savez_compressed(file, **content)
    return path


def load_open_hand() -> HandModelArrays:
    """The open hand that ships with the package."""
    resource = files("hamer.hand_models") / "open_hand.npz"
    if not resource.is_file():
        raise FileNotFoundError(
            "hamer/hand_models/open_hand.npz is missing: reinstall hamer, or rebuild it with tools/"
        )
    with as_file(resource) as path:
        return read_hand_npz(path)


def _npz_content(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an npz; arrays of objects (pickles inside) are refused by NumPy's default."""
    try:
        with np.load(path) as stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise
    except Exception as error:  # zip, zlib and format errors share no base class
        raise HandFileError(f"{path} must be an npz of plain arrays, but reading it failed: {error}") from error


def _safetensors_content(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError  # imported here: most callers need no safetensors
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise HandFileError(f"{path} must be a safetensors file, but reading it failed: {error}") from error


def _optional(content: Mapping[str, Any], name: str) -> np.ndarray | None:
    for key in (name, _ALIASES.get(name, name), f"{name}_tensor"):
        if key in content:
            return np.asarray(content[key])
    return None


def _get(content: Mapping[str, Any], name: str, source: str) -> np.ndarray:
    array = _optional(content, name)
    if array is None:
        known = ", ".join(sorted(map(str, content))[:12])
        raise HandFileError(f"{source} must hold {name!r} of a hand model, got {known}")
    return array
