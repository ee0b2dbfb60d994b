"""The list of converted sets for evaluation, in the form of `datasets_eval.yaml`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hamer.configs.reader import read_yaml
from hamer.datasets.conversion.common import Part
from hamer.results.writing import write_atomic

LISTING_NAME = "datasets_eval.yaml"


def add_to_listing(folder: Path, part: Part) -> Path:
    """Add the sets of `part` to the list in `folder`, in place of entries of the same names; paths are absolute."""
    path = folder / LISTING_NAME
    entries: dict[str, dict[str, Any]] = read_yaml(path).to_dict() if path.is_file() else {}
    for output in part.outputs:
        entries[output.name] = {
            "TYPE": "ImageDataset",
            "DATASET_FILE": str((folder / output.file).resolve()),
            "IMG_DIR": str(part.img_dir.resolve()),
            "KEYPOINT_LIST": [0],
        }
    blocks = [
        f"{name}:\n" + "".join(f"  {key}: {json.dumps(value)}\n" for key, value in entry.items())
        for name, entry in sorted(entries.items())
    ]
    return write_atomic(path, "".join(blocks).encode("utf-8"))
