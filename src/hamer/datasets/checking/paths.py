"""What a user names for a check as files: tars, npz files, folders, brace patterns, lists of data sets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from hamer.configs.reader import read_yaml

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def files_to_check(names: Iterable[str | Path]) -> list[Path]:
    """The files that `names` mean, in order, each once.

    A name is a tar or npz file, a pattern such as `set/{000000..000012}.tar`, a folder (its tars, else its npz files), or a
    yaml list of data sets (its URLS and DATASET_FILE).

    Raises:
        ValueError: a folder or list holds nothing to check, or a file is of another kind.
    """
    files: dict[Path, None] = {}
    for name in names:
        files.update(dict.fromkeys(_files(str(name))))
    return list(files)


def expand_braces(pattern: str) -> list[str]:
    """`a/{00..02}.tar` as its three names, `{a,b}.tar` as its two; several braces multiply."""
    found = _BRACES.search(pattern)
    if found is None:
        return [pattern]
    inner = found.group(1)
    span = _RANGE.fullmatch(inner)
    if span is not None:
        first, last = span.groups()
        choices = [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
    else:
        choices = inner.split(",")
    head, tail = pattern[: found.start()], pattern[found.end() :]
    return [name for choice in choices for name in expand_braces(f"{head}{choice}{tail}")]


def _files(name: str) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        return _files_of_folder(path)
    if path.suffix in (".yaml", ".yml"):
        return [file for entry in read_yaml(path).to_dict().values() for file in _files_of_set(entry, path)]
    if path.suffix not in (".tar", ".npz"):
        raise ValueError(f"a file to check must be a .tar, .npz, .yaml or a folder, got {name}")
    return [path] if path.exists() else [Path(one) for one in expand_braces(name)]


def _files_of_folder(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.tar")) or sorted(folder.glob("*.npz"))
    if not files:
        raise ValueError(f"{folder} holds no .tar and no .npz: name the files, or another folder")
    return files


def _files_of_set(entry: object, path: Path) -> list[Path]:
    if not isinstance(entry, dict) or not (entry.get("URLS") or entry.get("DATASET_FILE")):
        raise ValueError(f"{path} must list data sets, each with URLS or DATASET_FILE")
    patterns = entry.get("URLS") or entry["DATASET_FILE"]
    return [
        Path(one)
        for pattern in ([patterns] if isinstance(patterns, str) else patterns)
        for one in expand_braces(pattern)
    ]
