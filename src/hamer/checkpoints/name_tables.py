"""Foreign names of tensors as tables, both ways.

HAMER's own names are the original's, so its checkpoints need no table; backbones that others trained do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class NameTable:
    """Pairs (ours, theirs) of beginnings of names; the first pair that fits decides, other names are left out."""

    pairs: tuple[tuple[str, str], ...]

    def to_ours(self, tensors: Mapping[str, T]) -> dict[str, T]:
        """`tensors` under our names, those without a counterpart left out."""
        return _renamed(tensors, [(theirs, ours) for ours, theirs in self.pairs])

    def to_theirs(self, tensors: Mapping[str, T]) -> dict[str, T]:
        """`tensors` under their names, those without a counterpart left out."""
        return _renamed(tensors, list(self.pairs))


def _renamed(tensors: Mapping[str, T], pairs: list[tuple[str, str]]) -> dict[str, T]:
    renamed = {}
    for name, value in tensors.items():
        for start, new_start in pairs:
            if name.startswith(start):
                renamed[new_start + name[len(start) :]] = value
                break
    return renamed


_PARTS = ("pos_embed", "patch_embed.", "blocks.")

VIT_BARE = NameTable((*((part, part) for part in _PARTS), ("last_norm.", "last_norm.")))
"""A backbone saved on its own: the original's `vitpose_backbone.pth`."""

VIT_IN_MODEL = NameTable((*((part, f"backbone.{part}") for part in _PARTS), ("last_norm.", "backbone.last_norm.")))
"""A backbone inside a whole model: ViTPose's and HaMeR's checkpoints."""

VIT_TIMM = NameTable((*((part, part) for part in _PARTS), ("last_norm.", "norm.")))
"""timm's and MAE's plain ViT."""


def backbone_table(tensors: Mapping[str, object]) -> NameTable:
    """The table whose names `tensors` has.

    Raises:
        ValueError: no plain ViT among them.
    """
    for table, sign in (
        (VIT_IN_MODEL, "backbone.last_norm.weight"),
        (VIT_BARE, "last_norm.weight"),
        (VIT_TIMM, "norm.weight"),
    ):
        if sign in tensors:
            return table
    raise ValueError(
        "the file must hold a plain ViT (last_norm.weight, backbone.last_norm.weight or norm.weight), got "
        + (", ".join(list(tensors)[:5]) or "nothing")
    )
