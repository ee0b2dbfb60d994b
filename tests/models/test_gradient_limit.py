"""One hand's gradient must not outweigh its batch."""

from __future__ import annotations

import torch

from hamer.models.config import DecoderConfig
from hamer.models.mano_head import MEAN_BOX_SIDE, MANOTransformerDecoderHead, limited, neutral_mean_params


def test_long_rows_are_cut_and_short_ones_are_not() -> None:
    gradient = torch.tensor([[3.0, 4.0], [30.0, 40.0], [0.0, 0.0]])
    assert torch.allclose(limited(gradient, 10.0), torch.tensor([[3.0, 4.0], [6.0, 8.0], [0.0, 0.0]]))


def _head(gradient_limit: float | None) -> MANOTransformerDecoderHead:
    """A head whose global orientation of hand 1 is a millionth of a direction long."""
    torch.manual_seed(0)
    config = DecoderConfig(width=16, depth=1, heads=1, dim_head=8, mlp_dim=8, context_dim=8)
    mean = neutral_mean_params()
    mean["pose"] = mean["pose"] * 1e-6
    head = MANOTransformerDecoderHead(config, mean)
    torch.nn.init.zeros_(head.decpose.weight)
    head.gradient_limit = gradient_limit
    return head


def _gradient(gradient_limit: float | None) -> float:
    head = _head(gradient_limit)
    parameters, camera = head(torch.ones(2, 8, 2, 2))
    (parameters["global_orient"][:, 0, 0, 1].sum() + camera.sum()).backward()
    assert head.decpose.bias.grad is not None
    return float(head.decpose.bias.grad.norm())


def test_a_rotation_without_length_has_an_unbounded_gradient_unless_limited() -> None:
    assert _gradient(None) > 1e4
    assert _gradient(20.0) <= 2 * 20.0 + 1e-4  # two hands, float32


def test_neutral_camera_shows_an_ordinary_hand() -> None:
    """Scale s puts 2 / s metres across the crop (weak perspective), which is the box times the factor."""
    for factor in (1.6, 2.0):
        scale = float(neutral_mean_params(factor)["cam"][0])
        assert abs(2 / scale - factor * MEAN_BOX_SIDE) < 1e-6
