"""A folder of photos as a stream: the next are read while these are worked on, and a bad file stops nothing.

python examples/03_many_photos.py photos
"""

from __future__ import annotations

import sys

import hamer
from hamer.pipeline import list_pictures


def main(folder: str = "examples/pictures") -> None:
    """Print a line for every hand of every picture."""
    model = hamer.HandReconstructor.from_pretrained()
    for result in model.images(list_pictures(folder), on_error=lambda source, error: print(f"{source}: {error}")):
        for hand in result.hands:
            print(result.path, hand.id, "right" if hand.is_right else "left", hand.camera_translation.round(3))


if __name__ == "__main__":
    main(*sys.argv[1:])
