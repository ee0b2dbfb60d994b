"""The original's `hamer.utils.utils_detectron2` (drop-in): one BGR picture in, detectron2's instances out, without detectron2."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import torch
from torch import Tensor

from hamer.assets.places import ORIGINAL_FILES
from hamer.detectors import BODY_DETECTORS, load
from hamer.structures import Detections

Detector = Callable[[Sequence[np.ndarray]], list[Detections]]
_FILES = {Path(ORIGINAL_FILES[name]).name: name for name in BODY_DETECTORS}


class DefaultPredictor_Lazy:
    """A person detector that is called with one picture.

    Args:
        cfg: "vitdet" or "regnety" (the original's weights, see `hamer.assets.require_original`); or a detector of
            `hamer.detectors.load`; or a configuration as detectron2's LazyConfig gives it, of which `train.init_checkpoint`
            (by the file's name) and the thresholds of `model.roi_heads` are taken.

    Raises:
        ValueError: none of these, or a configuration whose weights are of no detector that exists here.
    """

    def __init__(self, cfg: str | Detector | Any) -> None:
        self.cfg = cfg
        self.model: Detector = _detector_of(cfg)
        if hasattr(self.model, "load"):
            self.model.load()  # missing or wrong weights are told here, as by the original

    def __call__(self, original_image: np.ndarray) -> dict[str, Instances]:
        """{"instances": ...} of a BGR uint8 picture (H, W, 3), scores descending."""
        if not isinstance(original_image, np.ndarray) or original_image.ndim != 3:
            got = getattr(original_image, "shape", type(original_image).__name__)
            raise ValueError(f"original_image must be one BGR uint8 picture (H, W, 3), got {got}")
        (found,) = self.model([np.ascontiguousarray(original_image[..., ::-1])])
        height, width = original_image.shape[:2]
        return {
            "instances": Instances(
                (height, width),
                pred_boxes=Boxes(torch.from_numpy(found.boxes)),
                scores=torch.from_numpy(found.scores),
                pred_classes=torch.from_numpy(found.classes),
            )
        }


class Boxes:
    """Boxes as detectron2 wraps them: `tensor` (N, 4) xyxy px."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __len__(self) -> int:
        return len(self.tensor)

    def __getitem__(self, item: Any) -> Boxes:
        """The boxes that an index, a slice or a mask selects."""
        return Boxes(self.tensor[item].reshape(-1, 4))

    def __iter__(self) -> Iterator[Tensor]:
        yield from self.tensor

    def to(self, device: str | torch.device) -> Boxes:
        """On another device."""
        return Boxes(self.tensor.to(device))

    def area(self) -> Tensor:
        """(N,) px^2."""
        return (self.tensor[:, 2:] - self.tensor[:, :2]).prod(1)


class Instances:
    """What was found in a picture: fields of one length as attributes, `image_size` (height, width)."""

    def __init__(self, image_size: tuple[int, int], **fields: Any) -> None:
        self.image_size = image_size
        self._fields = fields

    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__.get("_fields", {})  # absent while a copy is put together
        if name not in fields:
            why = ": masks are not computed here" if name == "pred_masks" else ""
            raise AttributeError(f"instances have no field {name!r}{why}; fields: {', '.join(fields)}")
        return fields[name]

    def __len__(self) -> int:
        return len(self._fields["scores"])

    def __getitem__(self, item: Any) -> Instances:
        """The instances that an index, a slice or a mask selects; a single one stays a list of one."""
        rows = slice(item, item + 1 or None) if isinstance(item, int) else item
        if isinstance(item, int) and not -len(self) <= item < len(self):
            raise IndexError(f"instance {item} of {len(self)}")
        return Instances(self.image_size, **{name: value[rows] for name, value in self._fields.items()})

    def to(self, device: str | torch.device) -> Instances:
        """On another device."""
        return Instances(self.image_size, **{name: value.to(device) for name, value in self._fields.items()})

    def has(self, name: str) -> bool:
        """Whether there is a field of that name."""
        return name in self._fields

    def get(self, name: str) -> Any:
        """The field of that name."""
        return getattr(self, name)

    def get_fields(self) -> dict[str, Any]:
        """All fields by name."""
        return dict(self._fields)


def _detector_of(cfg: Any) -> Detector:
    if isinstance(cfg, str):
        if cfg not in BODY_DETECTORS:
            raise ValueError(f"cfg must be {_known()}, or a detector, got {cfg!r}")
        return load(cfg)
    if callable(cfg):
        return cfg
    checkpoint = _at(cfg, "train", "init_checkpoint")
    if checkpoint is None:
        raise ValueError(
            f"cfg must be {_known()}, a detector, or a configuration with train.init_checkpoint, got {type(cfg).__name__}"
        )
    name = _FILES.get(Path(urlparse(str(checkpoint)).path).name)
    if name is None:
        raise ValueError(
            f"train.init_checkpoint must name one of {', '.join(_FILES)}, got {checkpoint!r}: other detectors do not exist "
            f"here. Take {_known()}, or give a detector of your own: any callable from RGB pictures to hamer.structures.Detections"
        )
    detector: Any = load(name, weights=checkpoint if Path(str(checkpoint)).is_file() else None)
    thresholds = {
        "score_threshold": _threshold(cfg, "test_score_thresh"),
        "overlap": _threshold(cfg, "test_nms_thresh"),
    }
    detector.rule = replace(detector.rule, **{key: value for key, value in thresholds.items() if value is not None})
    return detector


def _threshold(cfg: Any, name: str) -> float | None:
    """A threshold of the last predictor, the one that counts in a cascade too."""
    heads = _at(cfg, "model", "roi_heads")
    last = _at(heads, "box_predictor")
    several = _at(heads, "box_predictors")
    value = _at(several[-1] if several else last, name)
    return None if value is None else float(value)


def _at(tree: Any, *names: str) -> Any:
    """tree.a.b of attributes or items, None where it ends before."""
    for name in names:
        tree = tree.get(name) if isinstance(tree, Mapping) else getattr(tree, name, None)
    return tree


def _known() -> str:
    return " or ".join(f'"{name}"' for name in BODY_DETECTORS)
