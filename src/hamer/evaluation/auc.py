"""Area under the curve of the share of points below a distance, as FreiHAND's and HO-3D's programs compute it.

The curve has 100 thresholds from 0 to 50 mm, a point counts from the threshold that equals its distance, and the area is
the trapezoids' over 50 mm. Area is linear in the points, so every point has an area of its own and any mean of those is
the area of those points' curve: no curve need be kept.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

LIMIT = 0.05
"""Metres at which the curve ends."""
STEPS = 100
"""How many thresholds the curve has, both ends included."""


def thresholds(limit: float = LIMIT, steps: int = STEPS) -> Float[Tensor, " steps"]:
    """The distances at which the curve is known, double precision."""
    return torch.linspace(0, limit, steps, dtype=torch.float64)


def area(errors: Float[Tensor, "*shape"], *, limit: float = LIMIT, steps: int = STEPS) -> Float[Tensor, "*shape"]:
    """Each distance's share of the area, 1 (no error) to 0 (beyond `limit`); NaN stays NaN.

    The mean over hands, then over joints, is `auc3d` of the public programs.

    Args:
        errors: distances, in the unit of `limit`.
    """
    if limit <= 0 or steps < 2:
        raise ValueError(f"area: limit must be above 0 and steps 2 or more, got limit {limit} and steps {steps}")
    edges = thresholds(limit, steps).to(errors.device)
    first = torch.searchsorted(
        edges, errors.double().contiguous()
    )  # the first threshold that the distance is not above
    trapezoids = (steps - 0.5 - first.double()) / (steps - 1)
    share = trapezoids.where(first > 0, 1.0).where(first < steps, 0.0)
    return share.where(~errors.isnan(), torch.nan).to(errors.dtype)
