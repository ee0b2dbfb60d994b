"""The folders of HInt, how many files each has when it is complete, and what evaluations call them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PUBLISHED_FILES = {
    "TEST_ego4d_img": 3428,
    "TEST_ego4d_seq": 13906,
    "TEST_epick_img": 3812,
    "TEST_newdays_img": 3508,
    "TRAIN_ego4d_img": 23304,
    "TRAIN_epick_img": 5560,
    "TRAIN_newdays_img": 19332,
    "VAL_ego4d_img": 1028,
    "VAL_ego4d_seq": 4640,
    "VAL_epick_img": 1250,
    "VAL_newdays_img": 1100,
}
"""jpg and json together."""


@dataclass(frozen=True)
class HintFolder:
    """One of the folders: "TEST_ego4d_img" is split TEST, source ego4d, kind img."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def split(self) -> str:
        return self.name.split("_")[0]

    @property
    def is_ego4d(self) -> bool:
        """Its pictures come with a licence of their own and are missing until `hamer data hint prepare`."""
        return self.name.split("_")[1] == "ego4d"

    @property
    def set_name(self) -> str:
        """As configurations call it: EGO4D-TEST, EGO4D-SEQ-TEST ..."""
        split, source, kind = self.name.split("_")
        return f"{source.upper()}{'-SEQ' if kind == 'seq' else ''}-{split}"

    def annotations(self) -> list[Path]:
        """Its json files by name."""
        return sorted(self.path.glob("*.json"))

    def count(self) -> int:
        """Files: jpg and json."""
        return sum(file.suffix in (".jpg", ".json") for file in self.path.iterdir())


def find_folders(root: Path, split: str | None = None) -> list[HintFolder]:
    """HInt's folders in `root`, or `root` itself if it is one.

    Args:
        split: TRAIN, VAL, TEST, or the name of one folder; None for all.

    Raises:
        ValueError: there is none.
    """
    wanted = [name for name in PUBLISHED_FILES if split is None or split in (name, name.split("_")[0])]
    root = root if root.name else root.resolve()  # "." has no name
    if root.name in wanted and root.is_dir():
        return [HintFolder(root)]
    found = [HintFolder(root / name) for name in wanted if (root / name).is_dir()]
    if not found:
        expected = ", ".join(wanted) or f"{split} (no such part of HInt)"
        raise ValueError(
            f"{root} must hold HInt's folders, expected one of {expected}: give the unpacked archive's folder"
        )
    return found
