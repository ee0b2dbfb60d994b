"""Official releases of data sets to the files that evaluation (npz) and training (tars) read; a file a set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hamer.lazy import lazy_names

if TYPE_CHECKING:
    from hamer.datasets.conversion.common import ConvertOptions, ReleaseError
    from hamer.datasets.conversion.converter import Converted, convert, convert_to_tars
    from hamer.datasets.conversion.releases import RELEASES, read_parts
    from hamer.datasets.conversion.truth import Truth, read_truth

_HOMES = {
    "RELEASES": "hamer.datasets.conversion.releases",
    "ConvertOptions": "hamer.datasets.conversion.common",
    "Converted": "hamer.datasets.conversion.converter",
    "ReleaseError": "hamer.datasets.conversion.common",
    "Truth": "hamer.datasets.conversion.truth",
    "convert": "hamer.datasets.conversion.converter",
    "convert_to_tars": "hamer.datasets.conversion.converter",
    "read_parts": "hamer.datasets.conversion.releases",
    "read_truth": "hamer.datasets.conversion.truth",
}

__all__ = [
    "RELEASES",
    "ConvertOptions",
    "Converted",
    "ReleaseError",
    "Truth",
    "convert",
    "convert_to_tars",
    "read_parts",
    "read_truth",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
