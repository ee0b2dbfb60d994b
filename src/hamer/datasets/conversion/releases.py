"""The releases that can be converted, by the names of the command."""

from __future__ import annotations

import importlib
from pathlib import Path

from hamer.datasets.conversion.common import ConvertOptions, Count, Part, ReleaseError

RELEASES = {
    "freihand": "freihand",
    "ho3d": "ho3d",
    "hint": "hint",
    "interhand": "interhand",
    "rhd": "rhd",
    "coco-wholebody": "coco_wholebody",
    "onehand10k": "onehand10k",
}
"""Name -> module of this package."""


def read_parts(name: str, source: str | Path, options: ConvertOptions | None = None) -> list[Part]:
    """The parts of release `name` at `source`, a folder or, for COCO's kind, an annotation file.

    Raises:
        ReleaseError: unknown name, or the files are not there or not laid out as the release's makers say.
    """
    if name not in RELEASES:
        raise ReleaseError(f"the set must be one of {', '.join(RELEASES)}, got {name!r}")
    source = Path(source)
    if not source.exists():
        raise ReleaseError(f"nothing exists at {source}: give the folder of the unpacked release")
    options = options or ConvertOptions()
    if options.img_folder is not None and not options.img_folder.is_dir():
        raise ReleaseError(f"img_folder must be a folder, but there is none at {options.img_folder}")
    reader = importlib.import_module(f"hamer.datasets.conversion.{RELEASES[name]}")
    try:
        parts: list[Part] = reader.parts(source, options)
    except ReleaseError:
        raise
    except (ValueError, KeyError, TypeError, IndexError) as error:  # of readers that serve packing too
        reason = f"{type(error).__name__} {error}" if isinstance(error, (KeyError, IndexError)) else str(error)
        raise ReleaseError(f"{source} is not laid out as {name}: {reason}") from error
    return parts


def check_counts(parts: list[Part]) -> list[Count]:
    """The counts that are not those published."""
    return [count for part in parts for count in part.counts if not count.is_right]
