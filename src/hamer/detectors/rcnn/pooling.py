"""Features of boxes from a pyramid: large boxes from coarse levels, small ones from fine levels (Lin et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hamer.detectors.rcnn.anchors import STRIDES
from hamer.detectors.rcnn.roi_align import roi_align, with_picture_index

#: Levels that boxes are pooled from; the last is that of boxes of this side in pixels and larger by a factor of two.
_FINEST, _COARSEST = 2, 5
_USUAL_LEVEL, _USUAL_SIDE = 4, 224


def pyramid_levels(boxes: Tensor) -> Tensor:
    """Level of each box (..., 4): 2 for p2, to 5; one more for each doubling of the side (Lin et al. 2017, equation 1)."""
    area = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    level = (_USUAL_LEVEL + (area.sqrt() / _USUAL_SIDE + 1e-8).log2()).floor()
    return level.nan_to_num(nan=_FINEST).clamp(_FINEST, _COARSEST).long()


def pool_boxes(features: Sequence[Tensor], boxes: Sequence[Tensor], output_size: int = 7) -> Tensor:
    """Features of the boxes of all pictures.

    Args:
        features: maps (N, C, H, W) of p2 to p5; coarser ones that follow are not used.
        boxes: (K_n, 4) xyxy px of each picture.
        output_size: bins along each axis.

    Returns:
        (K, C, output_size, output_size) float32, channels last in memory; picture by picture.
    """
    rois = with_picture_index(boxes)
    levels = pyramid_levels(rois[:, 1:])
    shape = (len(rois), features[0].shape[1], output_size, output_size)
    result = torch.zeros(shape, device=rois.device).to(memory_format=torch.channels_last)
    for index, (level, stride) in enumerate(zip(features[: _COARSEST - _FINEST + 1], STRIDES, strict=False)):
        members = (levels == index + _FINEST).nonzero()[:, 0]
        if len(members):
            result[members] = roi_align(level, rois[members], output_size, spatial_scale=1 / stride)
    return result
