"""One photo in, its hands out: overlay, meshes and a table.

python examples/01_photo.py examples/pictures/desk.jpg out
"""

from __future__ import annotations

import sys

import hamer


def main(photo: str = "examples/pictures/desk.jpg", folder: str = "demo_out") -> None:
    """Reconstruct `photo` and write what was found to `folder`."""
    model = hamer.HandReconstructor.from_pretrained()
    result = model(photo)
    print(f"{len(result.hands)} hands; 3D by {result.model}; camera {result.camera.source}")
    for hand in result.hands:
        side = "right" if hand.is_right else "left"
        print(
            f"  {side} hand, score {hand.score:.2f}, wrist {hand.joints[0].round(3)} m, {len(hand.vertices)} vertices"
        )
    for file in hamer.save(result, folder):
        print(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
