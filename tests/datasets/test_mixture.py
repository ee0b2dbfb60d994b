"""Mixtures: shares, seeds of workers and epochs, positions that are kept, both start methods of workers."""

from __future__ import annotations

import runpy
from collections import Counter
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from hamer.configs import ConfigNode
from hamer.datasets.crop_settings import CropSettings
from hamer.datasets.hands import PatchCutter
from hamer.datasets.mixture import Mixture, training_mixture, validation_chain
from hamer.datasets.streams import Place, StreamPosition, resumed_place, samples_to_skip, shuffled, stream_rng

tars = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("tar_making.py"))))


def mixture(folder: Path, **options: Any) -> Mixture:
    """Three sets, C small; their samples have keys from 0, 100 and 200 on."""
    lists = {}
    for number, (name, count) in enumerate({"A": 12, "B": 12, "C": 2}.items()):
        path = folder / f"{name}.tar"
        if not path.exists():
            tars.numbered_tar(path, range(100 * number, 100 * number + count))
        lists[name] = {"TYPE": "ImageDataset", "URLS": str(path), **({"epoch_size": 12} if name == "A" else {})}
    cfg = tars.config(
        TRAIN={"A": {"WEIGHT": 6}, "B": {"WEIGHT": 3}, "C": {"WEIGHT": 1}}, VAL={"B": {"WEIGHT": 1}, "C": {"WEIGHT": 1}}
    )
    cutter = PatchCutter(CropSettings.from_cfg(cfg, train=True))
    return training_mixture(cfg, ConfigNode(lists), cutter, **{"shuffle_buffer": 10, **options})


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first["__key__"] == second["__key__"] and np.array_equal(first["img"], second["img"])


def test_shares(tmp_path: Path) -> None:
    drawn = islice(mixture(tmp_path).hands(0, Place()), 1500)
    shares = Counter(int(hand.picture.key) // 100 for hand in drawn)
    # three standard deviations of a share of 1500 draws are at most 0.039
    np.testing.assert_allclose([shares[n] / 1500 for n in range(3)], [0.6, 0.3, 0.1], atol=0.039)


def test_workers_ranks_and_epochs_see_other_orders_and_augmentations(tmp_path: Path) -> None:
    places = [Place(0, 2, 0, 2), Place(0, 2, 1, 2), Place(1, 2, 0, 2), Place(1, 2, 1, 2)]
    mixed = mixture(tmp_path, seed=3)
    orders = [[(h.picture.key, h.seed) for h in islice(mixed.hands(e, p), 30)] for p in places for e in (0, 1)]
    seeds = [{seed for _, seed in order} for order in orders]
    assert all(not (a & b) for i, a in enumerate(seeds) for b in seeds[:i])
    assert len({tuple(key for key, _ in order) for order in orders}) == len(orders)
    again = [(h.picture.key, h.seed) for h in islice(mixture(tmp_path, seed=3).hands(0, places[0]), 30)]
    assert again == orders[0]


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("batches", [1, 4, 5])
def test_position(workers: int, batches: int, tmp_path: Path) -> None:
    """What is read after n batches of an epoch equals the rest of an uninterrupted epoch."""
    options: dict[str, Any] = {"batch_size": 2, "epoch_samples": 6, "seed": 1}
    position = StreamPosition()
    position.set(2)
    mixed = mixture(tmp_path, position=position, **options)
    whole = list(torch.utils.data.DataLoader(mixed, 2, drop_last=True, num_workers=workers))
    assert len(whole) == 3 * max(workers, 1)
    rest = whole[batches:] if batches < len(whole) else []
    position.set(2, batches)
    resumed = list(torch.utils.data.DataLoader(mixed, 2, drop_last=True, num_workers=workers))
    assert len(resumed) == len(rest)
    for one, two in zip(rest, resumed, strict=True):
        assert torch.equal(one["img"], two["img"])
        assert one["__key__"] == two["__key__"]


def test_persistent_workers_see_the_next_epoch_and_count_together(tmp_path: Path) -> None:
    mixed = mixture(tmp_path, epoch_samples=6)
    bad = {f"{number}": tars.sample(jpg=None) for number in range(200, 220)}
    tars.write_tar(tmp_path / "C.tar", {**bad, "220": tars.sample(tars.annotation())})
    loader = torch.utils.data.DataLoader(mixed, 2, num_workers=2, persistent_workers=True)
    first = [item["img"] for item in loader]
    mixed.position.set(1)
    second = [item["img"] for item in loader]
    assert len(first) == len(second) == 6
    assert not any(torch.equal(one, two) for one in first for two in second)
    assert mixed.skipped()["C"]["incomplete sample"] >= 2
    assert set(mixed.skipped()) == {"C"}


def test_workers_that_are_spawned(tmp_path: Path) -> None:
    mixed = mixture(tmp_path, epoch_samples=4)
    forked = [b["__key__"] for b in torch.utils.data.DataLoader(mixed, 2, num_workers=1)]
    spawned = torch.utils.data.DataLoader(mixed, 2, num_workers=1, multiprocessing_context="spawn")
    assert [b["__key__"] for b in spawned] == forked


def test_validation_sees_each_hand_once_in_one_order(tmp_path: Path) -> None:
    mixed = mixture(tmp_path)
    cfg = tars.config(VAL={"B": {"WEIGHT": 1}, "C": {"WEIGHT": 1}})
    lists = ConfigNode({s.name: {"URLS": s.urls, "epoch_size": 99} for s in mixed.sources})
    chain = validation_chain(cfg, lists, PatchCutter(CropSettings.from_cfg(cfg, train=False)))
    first, second = list(chain), list(chain)
    assert sorted(item["__key__"] for item in first) == sorted(f"{n:03d}" for n in [*range(100, 112), 200, 201])
    assert all(same(one, two) for one, two in zip(first, second, strict=True))


def test_wrong_lists_say_what_is_wrong(tmp_path: Path) -> None:
    mixture(tmp_path)
    cutter = PatchCutter(CropSettings())
    lists = ConfigNode({"A": {"URLS": str(tmp_path / "A.tar")}, "M": {"DATASET_FILE": "x.npz"}})
    for train, match in (
        ({"X": {"WEIGHT": 1}}, "data set X is not in the list of data sets, which has: A, M"),
        ({"M": {"WEIGHT": 1}}, "data set M must give URLS"),
        ({"A": {"WEIGHT": -1}}, "WEIGHT must be numbers"),
        ({"A": {"WEIGHT": 0}}, "WEIGHT must be numbers"),
        ({}, "at least one data set"),
    ):
        with pytest.raises(ValueError, match=match):
            training_mixture(tars.config(TRAIN=train), lists, cutter)


def test_shuffled_gives_every_item_once() -> None:
    order = list(shuffled(range(500), 50, stream_rng(0, "test"), initial=10))
    assert sorted(order) == list(range(500))
    assert order != sorted(order)
    assert max(item - place for place, item in enumerate(order)) <= 50  # nothing is given before it was read
    assert list(shuffled(range(5), 1, stream_rng(0, "test"))) == list(range(5))


def test_turns_of_a_resumed_loader() -> None:
    """A loader starts with worker 0 again: it goes on with the stream whose turn it was."""
    place = Place(0, 1, 0, 3)
    assert resumed_place(place, 4).worker == 1
    assert [samples_to_skip(4, 10, Place(0, 1, worker, 3)) for worker in range(3)] == [20, 10, 10]
