"""What a packed set says about itself: counts, licence, source, and the lines that a training needs to use it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hamer.datasets.packing.journal import Shard
from hamer.datasets.packing.mocap import MOCAP_NAME

CARD_NAME, YAML_NAME = "dataset.json", "dataset.yaml"


@dataclass
class DataSetCard:
    """`name` in configurations, `source` and `licence` in the packer's words, and what is in the shards.

    `hands` is the epoch's size: training takes every hand of a picture as a sample. `mocap` counts the rows of mocap.npz,
    0 where there is none.
    """

    name: str
    source: str
    licence: str
    kind: str
    pictures: int
    hands: int
    left: int
    with_pose: int
    with_betas: int
    with_keypoints_3d: int
    left_out: int
    mocap: int = 0
    shards: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(
        cls, shards: Sequence[Shard], *, name: str, source: str = "", licence: str = "", kind: str = ""
    ) -> DataSetCard:
        """The card of what `pack` returned."""

        def total(attribute: str) -> int:
            return sum(getattr(shard, attribute) for shard in shards)

        files = [{"name": s.name, "size": s.size, "sha256": s.sha256, "pictures": s.pictures} for s in shards if s.name]
        return cls(
            name, source, licence, kind, total("pictures"), total("hands"), total("left"), total("with_pose"),
            total("with_betas"), total("with_3d"), sum(len(shard.skipped) for shard in shards), shards=files,
        )  # fmt: skip

    def urls(self, folder: Path) -> str:
        """The shards in one pattern with brace expansion, as training's configurations name them."""
        if len(self.shards) == 1:
            return str(folder / self.shards[0]["name"])
        return str(folder / f"{{000000..{len(self.shards) - 1:06d}}}.tar")

    def yaml(self, folder: Path) -> str:
        """The entry of a list of data sets (`datasets_tar.yaml`), paths absolute."""
        folder = folder.resolve()
        quoted = json.dumps(self.urls(folder))  # a path may hold what means something in yaml
        entry = f"{self.name}:\n  TYPE: ImageDataset\n  URLS: {quoted}\n  epoch_size: {self.hands}\n"
        if self.mocap:
            entry += f"{self.mocap_name}:\n  DATASET_FILE: {json.dumps(str(folder / MOCAP_NAME))}\n"
        return entry

    @property
    def mocap_name(self) -> str:
        """What the mocap file is called in configurations."""
        return f"{self.name.removesuffix('-TRAIN')}-MOCAP"

    def write(self, folder: Path) -> list[Path]:
        """Write dataset.json and dataset.yaml into `folder`; returns both paths."""
        card, lines = folder / CARD_NAME, folder / YAML_NAME
        card.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        lines.write_text(self.yaml(folder), encoding="utf-8")
        return [card, lines]
