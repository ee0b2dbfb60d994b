"""Which vertices stand for the fingertips: the definitions differ between programs, and so do joint scores.

Data sets' joints end at the fingertips that their makers chose. A prediction scored with others loses up to half a
millimetre without being worse.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from hamer.hand_models.joints import FREIHAND_FINGERTIPS, MANO_FINGERTIPS

Definition = Literal["smplx", "freihand", "alternative"]

FINGERTIP_VERTICES: dict[str, tuple[int, ...]] = {
    "smplx": MANO_FINGERTIPS,
    "freihand": FREIHAND_FINGERTIPS,
    "alternative": (745, 317, 444, 556, 673),
}
"""MANO's vertices, thumb to little: as smplx and the original choose them, FreiHAND's program, and other projects."""

OPENPOSE_TIPS = (4, 8, 12, 16, 20)
"""Where fingertips stand among the 21 joints in our order."""
HO3D_TIPS = (16, 17, 18, 19, 20)
"""The same in HO-3D's order."""

HO3D_ORDER = (0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3, 4, 8, 12, 16, 20)
"""Joints of our order as HO-3D lists them: wrist; index, middle, little, ring, thumb from the base, three each; the tips."""

N_MANO_VERTICES = 778


def with_fingertips(
    joints: Float[np.ndarray, "*batch 21 3"],
    vertices: Float[np.ndarray, "*batch 778 3"],
    definition: Definition,
    *,
    places: tuple[int, ...] = OPENPOSE_TIPS,
) -> Float[np.ndarray, "*batch 21 3"]:
    """The joints with their tips taken from MANO's vertices anew; the argument is left as it is.

    Args:
        places: which joints are the tips, thumb to little (`HO3D_TIPS` for HO-3D's order).
    """
    if definition not in get_args(Definition):
        raise ValueError(f"fingertips must be one of {', '.join(get_args(Definition))}, got {definition!r}")
    if vertices.shape[-2] != N_MANO_VERTICES:
        raise ValueError(
            f"fingertips are defined on MANO's {N_MANO_VERTICES} vertices, got {vertices.shape[-2]}; leave the joints as they are"
        )
    moved = np.array(joints)
    moved[..., list(places), :] = vertices[..., list(FINGERTIP_VERTICES[definition]), :]
    return moved
