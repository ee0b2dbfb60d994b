"""Hands that you know of, under a calibrated camera: metric positions without a search.

python examples/02_own_boxes_and_camera.py photo.jpg x0 y0 x1 y1 right fx fy cx cy
"""

from __future__ import annotations

import sys

import hamer


def main(photo: str, *numbers: str) -> None:
    """Reconstruct the hand in the given box as the given camera sees it."""
    box = [float(n) for n in numbers[:4]]
    camera = hamer.Camera(*(float(n) for n in numbers[5:9]))
    model = hamer.HandReconstructor.from_pretrained()
    result = model(photo, boxes=[box], is_right=[numbers[4] == "right"], camera=camera)
    for hand in result.hands:
        print("distance of the wrist:", round(float(hand.joints[0, 2]), 3), "m")


if __name__ == "__main__":
    main(*sys.argv[1:])
