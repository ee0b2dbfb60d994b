"""Joint orders of hands, as constants without dependencies.

MANO's own 16 joints come wrist, index, middle, little, ring, thumb, three a finger from the base. Everything that
leaves the package has 21 joints in OpenPose's order: wrist, then thumb, index, middle, ring, little, four a finger
from the base to the tip.
"""

from __future__ import annotations

MANO_PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
"""Parent of each of the 16 joints, -1 for the wrist."""

MANO_JOINT_NAMES = (
    "wrist",
    *(f"{finger}{i}" for finger in ("index", "middle", "little", "ring", "thumb") for i in (1, 2, 3)),
)

FINGERS = ("thumb", "index", "middle", "ring", "little")
"""Order of fingers in the 21 joints, and of fingertips everywhere."""

JOINT_NAMES = ("wrist", *(f"{finger}{i}" for finger in FINGERS for i in (1, 2, 3, 4)))
"""Names of the 21 joints; number 4 of a finger is its tip."""

MANO_TO_OPENPOSE = (0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20)
"""Where each of the 21 joints lies in the list (16 joints of MANO, 5 fingertips thumb to little)."""

MANO_FINGERTIPS = (744, 320, 443, 554, 671)
"""MANO's vertices that stand for the fingertips, thumb to little, as smplx and the original choose them."""

FREIHAND_FINGERTIPS = (744, 320, 443, 555, 672)
"""The same as FreiHAND's own program chooses them."""

SKELETON = tuple((0 if i % 4 == 1 else i - 1, i) for i in range(1, 21))
"""The 20 bones between the 21 joints, (joint nearer to the wrist, joint farther from it)."""

MANO_WRIST_FACES = (
    (92, 38, 234), (234, 38, 239), (38, 122, 239), (239, 122, 279), (122, 118, 279), (279, 118, 215), (118, 117, 215),
    (215, 117, 214), (117, 119, 214), (214, 119, 121), (119, 120, 121), (121, 120, 78), (120, 108, 78), (78, 108, 79),
)  # fmt: skip
"""The 14 triangles by which the original closes MANO's open wrist for pictures and exported meshes."""
