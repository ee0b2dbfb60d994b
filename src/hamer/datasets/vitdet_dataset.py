"""Crops for inference, with the original's class, arguments and item (drop-in)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hamer.crops.normalisation import IMAGE_MEAN, IMAGE_STD, normalise
from hamer.crops.patches import check_picture
from hamer.crops.reference import crop_patch
from hamer.crops.windows import check_is_right, crop_windows

DEFAULT_MEAN: np.ndarray = 255.0 * np.array(IMAGE_MEAN)
DEFAULT_STD: np.ndarray = 255.0 * np.array(IMAGE_STD)


class ViTDetDataset(torch.utils.data.Dataset):
    """The hands of one picture, one item a hand.

    An item holds `img` (3, S, S) float32, normalised RGB, left hands mirrored; `personid` int, the hand's index;
    `box_center` (2,) float32 px; `box_size` float32 px; `img_size` (2,) float64, width and height; `right` float32.
    Unlike the original, nothing is printed and only the crop's part of the picture is blurred; the numbers are the
    same.
    """

    def __init__(
        self,
        cfg: Any,
        img_cv2: np.ndarray,
        boxes: np.ndarray,
        right: np.ndarray,
        rescale_factor: float = 2.5,
        train: bool = False,
        **kwargs: Any,
    ) -> None:
        """Check the boxes and set the crops' windows.

        Args:
            cfg: the model's configuration: MODEL.IMAGE_SIZE, IMAGE_MEAN, IMAGE_STD and, where present, BBOX_SHAPE.
            img_cv2: BGR uint8 (H, W, 3).
            boxes: (N, 4) xyxy px.
            right: (N,) 1 for right hands, 0 for left ones.
            rescale_factor: how much larger than the box the crop is.
            train: must be False, this class does not augment.
            kwargs: accepted and not used, as in the original.
        """
        super().__init__()
        if train:
            raise ValueError("train must be False: ViTDetDataset only makes crops for inference")
        self.cfg = cfg
        self.img_cv2 = check_picture(img_cv2, "img_cv2")
        self.train = train
        self.img_size = int(_setting(cfg.MODEL, "IMAGE_SIZE", 256))
        self.mean = 255.0 * np.array(_setting(cfg.MODEL, "IMAGE_MEAN", IMAGE_MEAN))
        self.std = 255.0 * np.array(_setting(cfg.MODEL, "IMAGE_STD", IMAGE_STD))
        shape = _setting(cfg.MODEL, "BBOX_SHAPE", None)
        bbox_shape = None if shape is None else (int(shape[0]), int(shape[1]))
        self.center, self._box_size = crop_windows(boxes, rescale_factor=rescale_factor, bbox_shape=bbox_shape)
        box_array = np.asarray(boxes, np.float32).reshape(-1, 4)
        self.scale = np.float32(rescale_factor) * (box_array[:, 2:4] - box_array[:, 0:2]) / np.float32(200.0)
        self.personid = np.arange(len(self.center), dtype=np.int32)
        self.right = check_is_right(right, len(self.center))

    def __len__(self) -> int:
        """The number of hands."""
        return len(self.personid)

    def __getitem__(self, idx: int) -> dict[str, Any]:
        """One hand's crop and its place in the picture."""
        box_size, right = self._box_size[idx], self.right[idx]
        patch = crop_patch(self.img_cv2, self.center[idx], box_size, mirrored=bool(right == 0), size=self.img_size)
        height, width = self.img_cv2.shape[:2]
        return {
            "img": normalise(patch[:, :, ::-1], tuple(self.mean / 255.0), tuple(self.std / 255.0)),
            "personid": int(self.personid[idx]),
            "box_center": self.center[idx].copy(),
            "box_size": box_size,
            "img_size": np.array([width, height], dtype=np.float64),
            "right": right.copy(),
        }


def _setting(node: Any, name: str, default: Any) -> Any:
    """A value of a configuration node (attribute or mapping), or `default` where it is absent."""
    if hasattr(node, "get"):
        return node.get(name, default)
    return getattr(node, name, default)
