"""RoIAlign (He et al. 2017): the features inside each box, averaged over a grid of equal bins.

A bin's value is the mean of bilinear samples. There are ceil(box size / grid) of them along each axis of a bin, so their
number differs from box to box and between the axes. Letters: N pictures, C channels, H, W map, K boxes, G bins an axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from hamer.detectors.rcnn.operators import torchvision_ops

#: Numbers gathered at once: 64 MB.
_MOST_GATHERED = 1 << 24
#: Rows or columns that boxes are cut out with; four more for each doubling.
_EXTENTS = (4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64)


def roi_align(
    features: Tensor, boxes: Tensor | Sequence[Tensor], output_size: int = 7, *, spatial_scale: float
) -> Tensor:
    """Features inside boxes, with the half-pixel shift ("aligned") and the adaptive number of samples.

    Args:
        features: (N, C, H, W); computed in float32.
        boxes: (K, 5) picture index and xyxy, or one (K_n, 4) for each picture; pixels of the network's input.
        output_size: G.
        spatial_scale: pixels of the map for one of the input, 1 / stride.

    Returns:
        (K, C, G, G) float32. Boxes without area or with NaN give zeros, as do samples more than a pixel outside the map.
    """
    rois = boxes if isinstance(boxes, Tensor) else with_picture_index(boxes)
    ops = torchvision_ops(features.device.type)
    if ops is not None:
        return ops.roi_align(features.float(), rois.float(), output_size, spatial_scale, 0, aligned=True)
    return plain_roi_align(features, rois, output_size, spatial_scale=spatial_scale)


def with_picture_index(boxes: Sequence[Tensor]) -> Tensor:
    """One (K_n, 4) for each picture to (K, 5), the picture's index before each box."""
    index = [torch.full_like(b[:, :1], n) for n, b in enumerate(boxes)]
    return torch.cat([torch.cat(pair, 1) for pair in zip(index, boxes, strict=True)])


def plain_roi_align(features: Tensor, rois: Tensor, output_size: int = 7, *, spatial_scale: float) -> Tensor:
    """`roi_align` in plain torch, from (K, 5) boxes.

    Sampling and averaging are linear in the map and separate into rows and columns, so a box's result is
    Y @ map @ X^T with Y (G, rows) and X (G, columns) that are zero outside the box. Boxes of about the same extent are
    cut out and multiplied together: each pixel is read once instead of four times for each of many samples.
    """
    channels, height, width = features.shape[1:]
    result = features.new_zeros((len(rois), output_size, output_size, channels), dtype=torch.float32)
    edges = rois[:, 1:].float() * spatial_scale - 0.5
    vertical = _Axis(edges[:, 1], edges[:, 3], height, output_size)
    horizontal = _Axis(edges[:, 0], edges[:, 2], width, output_size)
    by_pixel = features.permute(0, 2, 3, 1)
    picture = rois[:, 0].long()
    for members, rows, columns in _groups(vertical.extent, horizontal.extent, channels):
        y, y_weights = vertical.weights(members, rows)
        x, x_weights = horizontal.weights(members, columns)
        cut = by_pixel[picture[members][:, None, None], y[:, :, None], x[:, None, :]].float()  # (k, rows, columns, C)
        narrow = torch.bmm(y_weights, cut.flatten(2)).unflatten(2, (columns, channels))  # (k, G, columns, C)
        result[members] = torch.matmul(x_weights[:, None], narrow)
    return result.permute(0, 3, 1, 2)


class _Axis:
    """The boxes along one axis: where they begin and end on the map, and which pixels they touch."""

    def __init__(self, start: Tensor, end: Tensor, length: int, bins: int) -> None:
        self.start, self.length, self.bins = start, length, bins
        self.size = (end - start).nan_to_num(nan=0.0)
        self.samples = (self.size / bins).ceil().clamp_min(0).long()  # in each bin
        last = length - 1
        self.first = start.floor().clamp(0, last).long()
        # a sample between two pixels reads both
        self.extent = torch.where(self.samples > 0, end.floor().add(1).clamp(0, last).long() - self.first + 1, 0)

    def weights(self, members: Tensor, extent: int) -> tuple[Tensor, Tensor]:
        """Pixels (k, extent) that boxes `members` read, and each bin's weights of them: (k, G, extent)."""
        samples, size = self.samples[members], self.size[members]
        most = int(samples.max())
        bin_size = size / self.bins
        bins = torch.arange(self.bins, device=size.device)
        steps = torch.arange(most, device=size.device)
        within = (steps + 0.5) * (bin_size / samples)[:, None]  # (k, most)
        position = self.start[members][:, None, None] + bins[:, None] * bin_size[:, None, None] + within[:, None]
        counts = (steps < samples[:, None])[:, None] & (position >= -1) & (position <= self.length)
        pixels = self.first[members][:, None] + torch.arange(extent, device=size.device)
        # Bilinear weights of a sample: one minus the distance, for the pixels nearer than one.
        distance = (position.clamp(0, self.length - 1)[..., None] - pixels[:, None, None]).abs_()
        weights = distance.neg_().add_(1).clamp_min_(0).mul_(counts[..., None]).sum(2) / samples[:, None, None]
        # Pixels past the end of the map stand in for the rest of the row: their distance to every sample is over one.
        return pixels.clamp_max(self.length - 1), weights


def _groups(rows: Tensor, columns: Tensor, channels: int) -> Iterator[tuple[Tensor, int, int]]:
    """Boxes to be cut out together: their indices, rows, columns. Boxes that touch no pixel are in none.

    Extents are rounded up to one of a few sizes, so that groups are few and little is read in vain.
    """
    longest = int(torch.maximum(rows.max(), columns.max())) if len(rows) else 0
    sizes = list(_EXTENTS)
    while longest > sizes[-1]:
        sizes += [2 * size for size in sizes[-4:]]
    bounds = torch.tensor(sizes, device=rows.device)
    code = torch.bucketize(rows, bounds) * len(sizes) + torch.bucketize(columns, bounds)
    code = torch.where((rows > 0) & (columns > 0), code, -1)
    for value in code.unique().tolist():
        if value < 0:
            continue
        r, c = (sizes[index] for index in divmod(value, len(sizes)))
        for members in (code == value).nonzero()[:, 0].split(max(1, _MOST_GATHERED // (r * c * channels))):
            yield members, r, c
