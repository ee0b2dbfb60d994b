"""Pictures made while training: never one twice, in no epoch and by no worker, and items like those of tars."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hamer.configs import ConfigNode
from hamer.datasets.crop_settings import CropSettings
from hamer.datasets.hands import PatchCutter
from hamer.datasets.made_set import made_set
from hamer.datasets.mixture import training_mixture
from hamer.datasets.streams import Place, StreamPosition
from hamer.datasets.synthetic.shards import Recipe
from hamer.datasets.tar_filters import AnnotationFilters

tars = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("tar_making.py"))))
SETS = {"MADE": {"SYNTHETIC": {"SEED": 5, "LANDMARKS": False, "EFFECTS": 0.5}}}


class FakeMaker:
    """Makes noise with a hand in it, at once."""

    def make(self, index: int) -> Any:
        rgb = np.random.default_rng(index).integers(0, 256, (40, 48, 3), np.uint8)
        hand = {**tars.annotation(), "visibility": np.ones(21, bool)}
        return SimpleNamespace(
            rgb=rgb, parts=np.zeros((40, 48), np.uint8), annotation=hand, truth=SimpleNamespace(is_right=True)
        )


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recipe, "maker", lambda self: FakeMaker())


def config(**datasets: Any) -> ConfigNode:
    train = {"MADE": {"WEIGHT": 1.0}}
    return ConfigNode(
        {
            "MODEL": {"IMAGE_SIZE": 32},
            "DATASETS": {"CONFIG": tars.AUGMENT, "TRAIN": train, "FILTER_NUM_KP": 0, **datasets},
        }
    )


def test_no_picture_comes_twice() -> None:
    made, seen = made_set("MADE", SETS["MADE"]["SYNTHETIC"], AnnotationFilters(), 6), []
    for epoch in range(3):
        for worker in range(2):
            hands = made.endless_hands(0, epoch, Place(worker=worker, workers=2))
            seen += [next(hands).picture.key for _ in range(6)]
    assert sorted(seen) == [f"{number:06d}" for number in range(36)]


def test_items_of_a_mixture() -> None:
    cfg = config(PARTS=True, LANDMARKS=True)
    position = StreamPosition()
    cutter = PatchCutter(CropSettings.from_cfg(cfg, train=True))
    mixture = training_mixture(cfg, SETS, cutter, seed=1, epoch_samples=5, shuffle_buffer=1, position=position)
    first = list(mixture)
    assert [item["__key__"] for item in first] == [f"{n:06d}" for n in range(5)]
    assert first[0]["parts"].shape == (32, 32)
    assert first[0]["has_landmarks"] == 0
    again = list(training_mixture(cfg, SETS, cutter, seed=1, epoch_samples=5, shuffle_buffer=1))
    assert all(np.array_equal(a["img"], b["img"]) for a, b in zip(first, again, strict=True))
    position.set(1, 2)  # a continued run: two batches of one hand of the second epoch are passed over
    assert [item["__key__"] for item in mixture] == ["000007", "000008", "000009"]


def test_what_an_entry_may_say(tmp_path: Path) -> None:
    made = made_set(
        "MADE", {"SEED": 3, "HAND": "mano", "LEFT": 0.2, "BACKGROUNDS": str(tmp_path)}, AnnotationFilters(), 1
    )
    recipe = made.source.recipe
    assert (recipe.seed, recipe.hand, recipe.options.left, recipe.backgrounds) == (3, "mano", 0.2, tmp_path)
    assert made.skipped.name == "MADE"
    with pytest.raises(ValueError, match=r"MADE: SYNTHETIC\.SEEDS is not known"):
        made_set("MADE", {"SEEDS": 3}, AnnotationFilters(), 1)
    with pytest.raises(ValueError, match="backgrounds must be a folder"):
        made_set("MADE", {"BACKGROUNDS": str(tmp_path / "absent")}, AnnotationFilters(), 1)
