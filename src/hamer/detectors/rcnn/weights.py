"""Weights of the person detectors: files of detectron2's zoo, checked name by name before a network takes them.

The network is built without memory (torch's meta device) and takes the file's tensors as they are. What the file may have
beyond the box branch (masks, constants, counters of training) is left out; anything else that differs is an error which
says what the file looks like.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from hamer.checkpoints.weights import check_fit, read_weights, require_finite
from hamer.detectors.weights_files import weights_file
from hamer.errors import WeightsError

logger = logging.getLogger(__name__)

Network = TypeVar("Network", bound=nn.Module)
DetectorName = Literal["vitdet", "regnety"]

# Beginnings of names that boxes do not need: the mask branch, and constants that the configuration fixes, which older
# versions stored.
_NOT_NEEDED = ("roi_heads.mask_head.", "pixel_mean", "pixel_std", "proposal_generator.anchor_generator.cell_anchors.")
_COUNTER = ".num_batches_tracked"  # of batch norms in training


class _Kind(NamedTuple):
    """A kind of weights file, known by beginnings of names that only it has."""

    description: str
    marks: tuple[str, ...]
    remedy: str = ""
    detector: DetectorName | None = None


_KINDS = (
    _Kind(
        "ViTDet weights (detectron2's cascade with a plain ViT)",
        ("backbone.net.blocks.", "backbone.simfp_"),
        "use them with --body_detector vitdet",
        "vitdet",
    ),
    _Kind(
        "RegNetY weights (detectron2's Mask R-CNN)",
        ("backbone.bottom_up.s1.b1.f.se.",),
        "use them with --body_detector regnety",
        "regnety",
    ),
    _Kind("a HaMeR checkpoint", ("mano_head.",), "give it as --checkpoint"),
    _Kind(
        "ViTPose weights",
        ("keypoint_head.", "associate_keypoint_heads."),
        "they find keypoints of persons whom a detector has found",
    ),
    _Kind(
        "weights of another detector of detectron2",
        ("roi_heads.", "proposal_generator.", "backbone.bottom_up."),
    ),
    _Kind("weights of the first Detectron or of Caffe2", ("conv1_w", "res2_0_branch", "conv_rpn")),
)
_TITLES: dict[DetectorName, str] = {
    "vitdet": "ViTDet-H, detectron2's model_final_f05665.pkl",
    "regnety": "RegNetY-4GF, detectron2's model_final_ef3a80.pkl",
}


def load_network(build: Callable[[Mapping[str, Tensor]], Network], path: str | Path, detector: DetectorName) -> Network:
    """The network that `build` makes, with the weights of a file, on the CPU, for inference.

    Args:
        build: makes the network for the file's tensors, which tell its sizes; it is called with torch's meta device as
            default, so that constants which are not in the state dict must be made later.
        path: `.pkl` of detectron2, `.pth` or `.safetensors`; names with or without "module." in front.
        detector: which detector's weights are expected.

    Raises:
        FileNotFoundError: there is no such file.
        UnsafeFileError: a pickle that asks for more than data; nothing was executed.
        WeightsError: truncated, of another kind, with missing, unexpected or misshapen tensors, or with NaN.
    """
    tensors = _detector_tensors(path, detector)
    kind = recognise(tensors)
    if kind.detector != detector:
        raise WeightsError(_wrong_kind(path, detector, kind))
    with torch.device("meta"):
        network = build(tensors)
    expected = network.state_dict()
    check_fit(expected, tensors, source=str(path), advice=f"Expected {_TITLES[detector]}. {_fetch(detector)}")
    tensors = {name: tensors[name].to(value.dtype) for name, value in expected.items()}
    require_finite(tensors, str(path))
    network.load_state_dict(tensors, assign=True)
    logger.debug("%s: %d tensors for %s", path, len(tensors), detector)
    return network.requires_grad_(False).eval()


def recognise(names: Collection[str]) -> _Kind:
    """What a file with tensors of these names seems to be."""
    for kind in _KINDS:
        if any(name.startswith(kind.marks) for name in names):
            return kind
    return _Kind(f"something else (its tensors are {', '.join(list(names)[:4])} ...)", ())


def _detector_tensors(path: str | Path, detector: DetectorName) -> dict[str, Tensor]:
    tensors = read_weights(weights_file(path, detector)).tensors
    return {
        name: value
        for name, value in tensors.items()
        if not name.startswith(_NOT_NEEDED) and not name.endswith(_COUNTER)
    }


def _wrong_kind(path: str | Path, detector: DetectorName, kind: _Kind) -> str:
    remedy = f"; {kind.remedy}" if kind.remedy else ""
    return f"{path} must hold {_TITLES[detector]}, but looks like {kind.description}{remedy}. {_fetch(detector)}"


def _fetch(detector: DetectorName) -> str:
    return f"The right file comes with: hamer fetch {detector}"
