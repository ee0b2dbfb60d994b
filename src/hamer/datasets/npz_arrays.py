"""Arrays of .npz files, objects among them: those through the allow-list unpickler, never NumPy's own."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hamer.checkpoints.unpickling import load_pickle


def read_npz(path: str | Path, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Arrays of a file by name.

    Args:
        names: those to read, absent ones are left out; None for all.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no npz; or (UnsafeFileError) an array of objects that asks for more than data.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            present = {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}
            for name in present if names is None else present & set(names):
                arrays[name] = _read_array(archive, name, f"{name} of {path}")
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} must be an .npz file (a zip of arrays), and is not: {error}") from error
    return arrays


def _read_array(archive: zipfile.ZipFile, name: str, label: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(member)
        if dtype.hasobject:
            value = load_pickle(member.read())
            if not isinstance(value, np.ndarray) or value.shape != shape:
                raise ValueError(f"{label} must be an array of shape {shape}, got {type(value).__name__}")
            return value
    with archive.open(f"{name}.npy") as member:
        return np.lib.format.read_array(member, allow_pickle=False)
