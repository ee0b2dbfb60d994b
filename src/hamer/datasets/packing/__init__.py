"""The kit for people with their own data: pictures and annotations to training tars of the original's format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hamer.lazy import lazy_names

if TYPE_CHECKING:
    from hamer.datasets.packing.annotations import HandAnnotation, PictureAnnotation, Pictures
    from hamer.datasets.packing.card import DataSetCard
    from hamer.datasets.packing.packer import PackOptions, pack
    from hamer.datasets.packing.sources import SourceOptions, read_annotations

_HOMES = {
    "DataSetCard": "hamer.datasets.packing.card",
    "HandAnnotation": "hamer.datasets.packing.annotations",
    "PackOptions": "hamer.datasets.packing.packer",
    "PictureAnnotation": "hamer.datasets.packing.annotations",
    "Pictures": "hamer.datasets.packing.annotations",
    "SourceOptions": "hamer.datasets.packing.sources",
    "pack": "hamer.datasets.packing.packer",
    "read_annotations": "hamer.datasets.packing.sources",
}

__all__ = [
    "DataSetCard",
    "HandAnnotation",
    "PackOptions",
    "PictureAnnotation",
    "Pictures",
    "SourceOptions",
    "pack",
    "read_annotations",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
