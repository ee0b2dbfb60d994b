"""Annotated hands of an .npz file as a data set, with the original's class, arguments and item (drop-in)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hamer.datasets import utils
from hamer.datasets.crop_settings import CropSettings
from hamer.datasets.npz_arrays import read_npz
from hamer.datasets.streams import quiet_worker
from hamer.datasets.tar_dataset import load_tars
from hamer.datasets.tar_items import FLIP_KEYPOINT_PERMUTATION, IS_AXIS_ANGLE
from hamer.errors import AssetError, require

logger = logging.getLogger(__name__)

_OPTIONAL = {
    "right": ((), 1.0),
    "hand_pose": ((48,), 0.0),
    "has_hand_pose": ((), 0.0),
    "betas": ((10,), 0.0),
    "has_betas": ((), 0.0),
    "hand_keypoints_2d": ((21, 3), 0.0),
    "hand_keypoints_3d": ((21, 4), 0.0),
}
"""What a file may leave out: its shape a hand, and the value that stands for it."""

_FLOAT64 = ("hand_keypoints_2d",)  # kept as the file has it; the rest becomes float32


class ImageDataset(torch.utils.data.Dataset):
    """The hands of an annotation file, one item a hand.

    The file holds imgname, center (N, 2) px, scale (N,) or (N, 2): sides of the box, px; and where known right,
    hand_keypoints_2d (N, 21, 3), hand_keypoints_3d (N, 21, 4), hand_pose (N, 48), has_hand_pose, betas (N, 10),
    has_betas. Items have the original's keys; see `__getitem__`.
    """

    def __init__(
        self,
        cfg: Any,
        dataset_file: str | Path,
        img_dir: str | Path,
        train: bool = True,
        rescale_factor: float = 2,
        prune: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Read the annotations; pictures are read when their items are taken.

        Args:
            cfg: MODEL.IMAGE_SIZE, IMAGE_MEAN, IMAGE_STD, BBOX_SHAPE; DATASETS.CONFIG where `train`.
            dataset_file: the npz.
            img_dir: folder that the file's imgname are relative to.
            train: augment.
            rescale_factor: how much larger than the box's longer side the crop is; -1 for the box itself, brought to the
                aspect ratio of BBOX_SHAPE. A network with MODEL.RESCALE_FACTOR sees its share of that, as in training
                (`CropSettings.share_of_box`).
            prune: has no effect, as in the original; anything but nothing warns.
            kwargs: what else an entry of a list of data sets may hold (TYPE, KEYPOINT_LIST); not used.

        Raises:
            AssetError: no such file.
            ValueError: arrays that are missing or do not fit each other.
        """
        super().__init__()
        if prune:
            logger.warning("ImageDataset: prune has no effect (nor has it in the original), got %s", prune)
        self.cfg, self.train, self.rescale_factor = cfg, train, rescale_factor
        self.img_dir = img_dir
        self.settings = CropSettings.from_cfg(cfg, train=train)
        self.img_size = self.settings.size
        self.mean = 255.0 * np.array(self.settings.mean)
        self.std = 255.0 * np.array(self.settings.std)
        arrays = _read(dataset_file)
        self.imgname: Sequence[str] = [_text(name) for name in arrays["imgname"].tolist()]
        count = len(self.imgname)
        self.personid = np.zeros(count, dtype=np.int32)
        self.center = _check(arrays["center"], (2,), count, "center", dataset_file)
        scale = np.asarray(arrays["scale"]).reshape(count, -1) / 200.0
        self.scale = _check(
            np.tile(scale, (1, 2)) if scale.shape[1] == 1 else scale, (2,), count, "scale", dataset_file
        )
        for name, (shape, default) in _OPTIONAL.items():
            values = _optional(arrays.get(name), shape, default, count, name, dataset_file)
            setattr(self, name, values if name in _FLOAT64 else values.astype(np.float32))
        self.keypoints_2d = self.hand_keypoints_2d
        self.keypoints_3d = self.hand_keypoints_3d

    hand_keypoints_2d: np.ndarray
    hand_keypoints_3d: np.ndarray
    right: np.ndarray
    hand_pose: np.ndarray
    has_hand_pose: np.ndarray
    betas: np.ndarray
    has_betas: np.ndarray

    def __len__(self) -> int:
        """The number of hands."""
        return len(self.imgname)

    def __getitem__(self, idx: int) -> dict[str, Any]:
        """One hand.

        img (3, S, S), keypoints_2d (21, 3) in crop widths, keypoints_3d (21, 4), orig_keypoints_2d (21, 3) px, box_center
        px, box_size px, bbox_expand_factor: crop over box, img_size (width, height), mano_params with has_ and
        is_axis_angle, imgname (whole path), imgname_rel, personid, idx, _scale, right.

        Raises:
            PictureError: the picture cannot be read.
        """
        quiet_worker()
        name = str(Path(self.img_dir) / self.imgname[idx])
        points_2d, points_3d = self.keypoints_2d[idx].copy(), self.keypoints_3d[idx].copy()
        center, scale = self.center[idx].copy(), self.scale[idx].copy()
        box_size, expansion = self._box(scale)
        if not box_size >= 1:
            raise ValueError(f"hand {idx} of {name} must have a box of at least 1 px, got {box_size:g}: correct scale")
        pose = self.hand_pose[idx]
        has_pose, has_betas = self.has_hand_pose[idx], self.has_betas[idx]
        img, new_2d, new_3d, params, has_params, img_size = utils.get_example(
            name,
            float(center[0]),
            float(center[1]),
            box_size,
            box_size,
            points_2d,
            points_3d,
            {"global_orient": pose[:3].copy(), "hand_pose": pose[3:].copy(), "betas": self.betas[idx].copy()},
            {"global_orient": has_pose, "hand_pose": has_pose, "betas": has_betas},
            FLIP_KEYPOINT_PERMUTATION,
            self.img_size,
            self.img_size,
            self.mean,
            self.std,
            self.train,
            bool(self.right[idx]),
            self.settings.augment,
            is_bgr=True,
            use_skimage_antialias=self.settings.antialias,
            border_mode=self.settings.border_mode,
        )
        return {
            "img": img,
            "keypoints_2d": new_2d.astype(np.float32),
            "keypoints_3d": new_3d.astype(np.float32),
            "orig_keypoints_2d": self.keypoints_2d[idx].copy(),
            "box_center": self.center[idx].copy(),
            "box_size": box_size,
            "bbox_expand_factor": expansion,
            "img_size": 1.0 * img_size[::-1],
            "mano_params": params,
            "has_mano_params": has_params,
            "mano_params_is_axis_angle": dict(IS_AXIS_ANGLE),
            "imgname": name,
            "imgname_rel": self.imgname[idx],
            "personid": int(self.personid[idx]),
            "idx": idx,
            "_scale": scale,
            "right": self.right[idx].copy(),
        }

    def _box(self, scale: np.ndarray) -> tuple[Any, Any]:
        """Side of the crop, px, and how much larger than the box's longer side it is."""
        share = self.settings.share_of_box
        if self.rescale_factor == -1:
            sides = scale * 200
            size = utils.expand_to_aspect_ratio(sides, target_aspect_ratio=self.settings.bbox_shape).max()
            return share * size, share * size / sides.max()
        if self.rescale_factor > 0:
            factor = self.rescale_factor if share == 1 else share * self.rescale_factor
            return factor * scale.max() * 200, factor
        raise ValueError(f"rescale_factor must be positive, or -1 for the box itself, got {self.rescale_factor}")

    @staticmethod
    def load_tars_as_webdataset(
        cfg: Any,
        urls: str | Sequence[str],
        train: bool,
        resampled: bool = False,
        epoch_size: int | None = None,
        cache_dir: str | Path | None = None,
        **kwargs: Any,
    ) -> Any:
        """The items of tars as a webdataset pipeline, to which `.shuffle`, `.with_epoch`, ... can be appended.

        Args:
            cfg: MODEL and DATASETS (filters; CONFIG where `train`).
            urls: names of tars; braces are expanded.
            train: augment, and read in random order.
            resampled: draw tars with replacement, without end.
            epoch_size: items that each worker gives in an epoch; means `resampled`.
            cache_dir: where tars of other machines are kept.
            kwargs: `seed` and `name` (of the data set, for messages); what else a list of data sets holds is not used.
        """
        wds = require("webdataset", extra="train", purpose="load_tars_as_webdataset")
        known = {name: kwargs[name] for name in ("seed", "name") if name in kwargs}
        return wds.compat.FluidWrapper(load_tars(cfg, urls, train, resampled, epoch_size, cache_dir, **known))


def _read(dataset_file: str | Path) -> dict[str, np.ndarray]:
    if not Path(dataset_file).is_file():
        raise AssetError(
            f"no annotation file at {dataset_file} (relative to {Path.cwd()}): fetch the original's with "
            "`hamer fetch hamer_evaluation_data` in this folder, or correct DATASET_FILE"
        )
    arrays = read_npz(dataset_file, ("imgname", "center", "scale", *_OPTIONAL))
    missing = [name for name in ("imgname", "center", "scale") if name not in arrays]
    if missing:
        raise ValueError(f"{dataset_file} must hold imgname, center and scale, it lacks {', '.join(missing)}")
    return arrays


def _optional(
    values: np.ndarray | None, shape: tuple[int, ...], default: float, count: int, name: str, file: str | Path
) -> np.ndarray:
    if values is None:
        return np.full((count, *shape), default, np.float64)
    return _check(values, shape, count, name, file)


def _check(values: np.ndarray, shape: tuple[int, ...], count: int, name: str, file: str | Path) -> np.ndarray:
    array = np.asarray(values)
    if array.shape == (count, *shape, 1) and not shape:
        array = array.reshape(count)
    if array.shape != (count, *shape) or array.dtype.kind not in "fiub":
        raise ValueError(
            f"{name} of {file} must be numbers of shape {(count, *shape)}, got {array.dtype} {array.shape}"
        )
    return array


def _text(name: Any) -> str:
    return name.decode("utf-8") if isinstance(name, bytes) else str(name)
