"""How much data a training sees: sets left out, a share of every set's tars, sets of the user's own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from hamer.configs.datasets import dataset_config
from hamer.configs.node import ConfigNode
from hamer.configs.reader import read_yaml

_BRACES = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}")
_GOLDEN_RATIO = (5**0.5 - 1) / 2

MADE = "MADE"
"""The set of pictures made while training, which `DATASETS.SYNTHETIC` describes."""


def leave_out(cfg: DictConfig) -> DictConfig:
    """Take the sets that `DATASETS.LEAVE_OUT` names out of the mixture, in place; the others' weights then sum to 1.

    Raises:
        ValueError: a set that the mixture does not have, or none left.
    """
    names = list(cfg.DATASETS.get("LEAVE_OUT") or ())
    if not names:
        return cfg
    weights = {str(name): float(entry.WEIGHT) for name, entry in cfg.DATASETS.TRAIN.items()}
    kept = {name: weight for name, weight in weights.items() if name not in names}
    if not kept or any(name not in weights for name in names):
        raise ValueError(
            f"DATASETS.LEAVE_OUT must name some of the sets in DATASETS.TRAIN ({', '.join(weights)}) and not all, got "
            f"{', '.join(names)}"
        )
    total = sum(kept.values())
    with open_dict(cfg):
        cfg.DATASETS.TRAIN = {name: {"WEIGHT": round(weight / total, 9)} for name, weight in kept.items()}
    return cfg


def own_sets(cfg: DictConfig) -> DictConfig:
    """Fill an empty `DATASETS.TRAIN` with the sets of tars in `DATASETS.FILE`, in place, weighted by their sizes; and an empty
    `VAL` with those of `VAL_FILE`, else the same.

    Raises:
        ValueError: no `DATASETS.FILE`, or none of its sets has tars.
    """
    if cfg.DATASETS.get("VAL_FILE") and not cfg.DATASETS.get("VAL"):
        with open_dict(cfg):
            cfg.DATASETS.VAL = {name: {"WEIGHT": 1.0} for name in _tars_of_file(cfg.DATASETS, "VAL_FILE")}
    if cfg.DATASETS.get("TRAIN"):
        return cfg
    if OmegaConf.is_missing(cfg.DATASETS, "FILE"):
        raise ValueError("your own data needs a list of sets: DATASETS.FILE=dataset.yaml (hamer data pack writes one)")
    listed = _tars_of_file(cfg.DATASETS, "FILE")
    sizes = {name: int(entry.get("epoch_size", 1)) for name, entry in listed.items()}
    total = sum(sizes.values())
    with open_dict(cfg):
        cfg.DATASETS.TRAIN = {name: {"WEIGHT": round(size / total, 9)} for name, size in sizes.items()}
        if not cfg.DATASETS.get("VAL"):
            cfg.DATASETS.VAL = {name: {"WEIGHT": 1.0} for name in listed}
    return cfg


def _tars_of_file(datasets: Mapping[str, Any], key: str) -> dict[str, Any]:
    listed = {name: entry for name, entry in _listed(datasets, key).items() if "URLS" in entry}
    if not listed:
        raise ValueError(f"{datasets[key]} (DATASETS.{key}) must list at least one set with URLS of tars, got none")
    return listed


def _listed(datasets: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The sets in the file or the files that `FILE` or `VAL_FILE` names."""
    files = datasets.get(key)
    files = [files] if isinstance(files, str) else list(files or ())
    listed: dict[str, Any] = {}
    for file in files:
        listed = _joined(listed, read_yaml(file).to_dict(), f"The files of DATASETS.{key}")
    return listed


def _joined(first: Mapping[str, Any], second: Mapping[str, Any], where: str) -> dict[str, Any]:
    """All sets of two lists; a name that means another set in each would silently drop one of them."""
    both = sorted(name for name in first.keys() & second.keys() if first[name] != second[name])
    if both:
        raise ValueError(
            f"{where} must not give one name to different sets, got {both[0]} twice: rename one in its dataset.yaml "
            "(hamer data synthesize and hamer data pack take --name)"
        )
    return {**first, **second}


def training_sets(cfg: Mapping[str, Any]) -> ConfigNode:
    """The list of data sets for a run: the package's, joined with `DATASETS.FILE` and `VAL_FILE`, cut to `DATASETS.FRACTION`.

    Args:
        cfg: the composed configuration.

    Returns:
        set name -> TYPE, URLS, epoch_size or DATASET_FILE, as `dataset_config`; frozen.

    Raises:
        ValueError: the mixture names a set that no list has, or a fraction outside (0, 1].
    """
    datasets = cfg["DATASETS"]
    sets = dataset_config().clone()
    sets.defrost()
    sets.merge(_joined(_listed(datasets, "FILE"), _listed(datasets, "VAL_FILE"), "DATASETS.FILE and VAL_FILE"))
    if datasets.get("SYNTHETIC"):
        sets.merge({MADE: {"SYNTHETIC": datasets["SYNTHETIC"]}})
    _require_known(datasets, sets)
    fraction = datasets.get("FRACTION")
    if fraction is not None and fraction != 1:
        for name in datasets["TRAIN"]:
            sets[name] = part_of_set(sets[name], float(fraction), name=str(name))
    sets.freeze()
    return sets


def part_of_set(entry: Mapping[str, Any], fraction: float, *, name: str = "the set") -> dict[str, Any]:
    """A set's entry with `fraction` of its tars (at least one) and of its epoch.

    The tars are taken evenly over the set, and a larger share holds every tar of a smaller one, so that runs of a
    scaling curve differ by more data only.

    Raises:
        ValueError: a fraction outside (0, 1], or a set without tars.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"DATASETS.FRACTION must be above 0 and at most 1, got {fraction}")
    if "URLS" not in entry:
        raise ValueError(f"DATASETS.FRACTION needs sets of tars (URLS), got {name} with {', '.join(entry)}")
    tars = tars_of(entry["URLS"])
    # Multiples of the golden ratio modulo 1 fill [0, 1) evenly at every length (a low-discrepancy sequence).
    order = sorted(range(len(tars)), key=lambda i: (i * _GOLDEN_RATIO) % 1)
    n_kept = max(1, round(fraction * len(tars)))
    part = {**entry, "URLS": [tars[i] for i in sorted(order[:n_kept])]}
    if "epoch_size" in entry:
        part["epoch_size"] = max(1, round(int(entry["epoch_size"]) * n_kept / len(tars)))
    return part


def tars_of(urls: str | Sequence[str]) -> list[str]:
    """Addresses of tars with every range `{000..012}` and list `{a,b}` written out."""
    if not isinstance(urls, str):
        return [tar for url in urls for tar in tars_of(url)]
    found = _BRACES.search(urls)
    if found is None:
        return [urls]
    first, last, names = found.groups()
    choices = names.split(",") if names else [f"{i:0{len(first)}d}" for i in range(int(first), int(last) + 1)]
    return [tar for choice in choices for tar in tars_of(urls[: found.start()] + choice + urls[found.end() :])]


def _require_known(datasets: Mapping[str, Any], sets: Mapping[str, Any]) -> None:
    named = [*datasets["TRAIN"], *(datasets.get("VAL") or ())]
    named += [datasets["MOCAP"]] if datasets.get("MOCAP") else []
    unknown = sorted({str(name) for name in named if name not in sets})
    if unknown:
        raise ValueError(
            f"DATASETS names sets that no list has: {', '.join(unknown)}; known are {', '.join(sets)}. List your own in a "
            "yaml file and give DATASETS.FILE=that_file.yaml"
        )
