"""What several tests of the generator make pictures with."""

from __future__ import annotations

import pytest

from hamer.datasets.synthetic.skin.bank import SkinBank
from hamer.hand_models.layer import HandModel
from hamer.pipeline.reconstructor import load_hand_model


@pytest.fixture(scope="package")
def hand_model() -> HandModel:
    return load_hand_model("open")


@pytest.fixture(scope="package")
def skins(hand_model: HandModel) -> SkinBank:
    """One bank for all: preparing it takes most of a maker's start."""
    return SkinBank(hand_model.arrays, count=1)
