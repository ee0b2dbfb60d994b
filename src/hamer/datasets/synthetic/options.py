"""What made pictures show, as numbers that a user may set."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

_CHANCES = (
    "left", "forearm", "second_hand", "held_object", "occluder", "person", "background_share", "skin_colored",
)  # fmt: skip
_WHOLE = ("width", "height", "supersample", "least_visible", "skins")


@dataclass(frozen=True)
class SyntheticOptions:
    """Size and content of made pictures.

    `width`, `height` px; `supersample`: samples a pixel and axis. The chances, 0..1, of one picture each: `left`, that the
    annotated hand is a left one; `forearm`, that the arm is there (else the wrist is closed and ends); `second_hand`;
    `held_object`; `occluder`, something in front of a part of the hand; `person`, somebody's head, trunk or legs behind
    the hand; `background_share`, that the background is one of the user's pictures where there are some; `skin_colored`, that
    the background, and likewise each thing held or in front, has about the colours of the hand. `effects`: how
    strong the camera's faults (noise, blur, JPEG ...) are at most, 0 (none) to 1; each picture takes a random part of it.
    `least_visible`: of fewer joints that are seen, what covers the hand is taken away again.
    `box_factor`: side of the stored box over that of the box tight around the joints, as `hamer data pack` stores it.
    `skins`: variants of each layer of skin that a maker prepares, which takes a second for each four; layers combine freely.
    """

    width: int = 256
    height: int = 256
    supersample: int = 2
    left: float = 0.5
    forearm: float = 0.97
    second_hand: float = 0.3
    held_object: float = 0.5
    occluder: float = 0.15
    person: float = 0.45
    background_share: float = 0.5
    skin_colored: float = 0.2
    effects: float = 1.0
    least_visible: int = 8
    box_factor: float = 2.0
    skins: int = 12

    def __post_init__(self) -> None:
        for field in fields(self):
            value, whole = getattr(self, field.name), field.name in _WHOLE
            if not isinstance(value, int if whole else (int, float)):
                raise ValueError(
                    f"SyntheticOptions.{field.name} must be a {'whole ' if whole else ''}number, got {value!r}"
                )
        for name in ("width", "height"):
            if not 32 <= getattr(self, name) <= 4096:
                raise ValueError(f"SyntheticOptions.{name} must be 32 to 4096 px, got {getattr(self, name)}")
        if self.supersample not in (1, 2, 3, 4):
            raise ValueError(f"SyntheticOptions.supersample must be 1, 2, 3 or 4, got {self.supersample}")
        for name in (*_CHANCES, "effects"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"SyntheticOptions.{name} must lie in 0..1, got {getattr(self, name)}")
        if not 0 <= self.least_visible <= 21:
            raise ValueError(f"SyntheticOptions.least_visible must be 0 to 21 joints, got {self.least_visible}")
        if self.skins < 1:
            raise ValueError(f"SyntheticOptions.skins must be at least 1, got {self.skins}")
        if not 0 < self.box_factor < math.inf:
            raise ValueError(f"SyntheticOptions.box_factor must be positive and finite, got {self.box_factor}")

    def plain(self) -> dict[str, float | int]:
        """The options as a dict that json writes, for the record of what pictures were made with; 1 and 1.0 are written alike."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value if name in _WHOLE else float(value) for name, value in values.items()}
