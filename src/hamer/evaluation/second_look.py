"""Evaluation crops for networks that see hands upright (`MODEL.UPRIGHT`): turned in place, as a first look tells.

The pipeline cuts a new crop from the picture (`hamer.pipeline.views`). Here the crop itself is turned about its centre: the
hand stays inside, and what lies beyond its corners is black, as beyond a picture's edge.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hamer.crops.normalisation import IMAGE_MEAN, IMAGE_STD, normalise
from hamer.crops.upright import hand_rotation
from hamer.geometry.directions import turns_about_view

OUTPUTS = ("pred_keypoints_3d", "pred_vertices", "pred_keypoints_2d", "pred_cam")


def looked_at(network: Any, image: Tensor) -> dict[str, Tensor]:
    """The `OUTPUTS` of crops (N, 3, S, S), after a second, upright look where the network is to see hands so."""
    output = network({"img": image})
    if not network.cfg.MODEL.get("UPRIGHT"):
        return {name: output[name] for name in OUTPUTS}
    points = output.get("pred_points", output["pred_keypoints_2d"])[..., :2]
    rotation = np.nan_to_num(hand_rotation(points.float().cpu().numpy()))
    turn = torch.from_numpy(turns_about_view(rotation)).float().to(image)
    black = _black(network.cfg.MODEL).to(image)
    again = network({"img": turned_crops(image - black, turn) + black})
    return _turned_back({name: again[name] for name in OUTPUTS}, turn)


def turned_crops(image: Tensor, turn: Tensor) -> Tensor:
    """Crops (N, 3, S, S) that show what the given ones do when their square is turned by `turn` (N, 3, 3); 0 outside."""
    middle = image.new_full((len(image), 2, 1), 1 / image.shape[-1])  # a crop's centre is pixel S / 2, not (S - 1) / 2
    matrix = turn[:, :2, :2]
    theta = torch.cat([matrix, middle - matrix @ middle], dim=-1)
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, align_corners=False)


def _turned_back(output: dict[str, Tensor], turn: Tensor) -> dict[str, Tensor]:
    """Outputs of turned crops as those of the crops that were, all turned about the crop's viewing axis."""
    turn = turn.to(output["pred_cam"])
    scale, across = output["pred_cam"].split([1, 2], dim=-1)
    flat = turn[:, :2, :2]
    return {
        "pred_keypoints_3d": output["pred_keypoints_3d"] @ turn.mT,
        "pred_vertices": output["pred_vertices"] @ turn.mT,
        "pred_keypoints_2d": output["pred_keypoints_2d"] @ flat.mT,
        "pred_cam": torch.cat([scale, (across[:, None] @ flat.mT)[:, 0]], dim=-1),
    }


def _black(model: Any) -> Tensor:
    """(3, 1, 1): a black pixel as the network sees it."""
    mean, std = (
        tuple(model.get(k) or default) for k, default in (("IMAGE_MEAN", IMAGE_MEAN), ("IMAGE_STD", IMAGE_STD))
    )
    return torch.from_numpy(normalise(np.zeros((1, 1, 3), np.uint8), mean, std))
