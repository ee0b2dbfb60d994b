"""What a user names for a check as files: tars, npz files, folders, brace patterns, lists of data sets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hamer.configs.reader import read_yaml
from hamer.datasets.tar_reading import expand_urls


def files_to_check(names: Iterable[str | Path]) -> list[Path]:
    """The files that `names` mean, in order, each once.

    A name is a tar or npz file, a pattern such as `set/{000000..000012}.tar`, a folder (its tars, else its npz files), or a
    yaml list of data sets (its URLS and DATASET_FILE).

    Raises:
        ValueError: a folder or list holds nothing to check, or a file is of another kind.
    """
    files: dict[Path, Path] = {}
    for name in names:
        for file in _files(str(name)):
            files.setdefault(file.resolve(), file)
    return list(files.values())


def _files(name: str) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        return _files_of_folder(path)
    if path.suffix in (".yaml", ".yml"):
        return [file for entry in read_yaml(path).to_dict().values() for file in _files_of_set(entry, path)]
    if path.suffix not in (".tar", ".npz"):
        raise ValueError(f"a file to check must be a .tar, .npz, .yaml or a folder, got {name}")
    return [path] if path.exists() else [Path(one) for one in expand_urls(name)]


def _files_of_folder(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.tar")) or sorted(folder.glob("*.npz"))
    if not files:
        raise ValueError(f"{folder} holds no .tar and no .npz: name the files, or another folder")
    return files


def _files_of_set(entry: object, path: Path) -> list[Path]:
    if not isinstance(entry, dict) or not (entry.get("URLS") or entry.get("DATASET_FILE")):
        raise ValueError(f"{path} must list data sets, each with URLS or DATASET_FILE")
    return [Path(name) for name in expand_urls(entry.get("URLS") or entry["DATASET_FILE"])]
