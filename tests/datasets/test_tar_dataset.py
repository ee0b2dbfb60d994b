"""Tars: the golden pipeline to the last item, what is skipped and counted, who reads what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from hamer.configs import ConfigNode
from hamer.crops import IMAGE_STD
from hamer.datasets.tar_dataset import load_tars

STD = 255 * np.asarray(IMAGE_STD)


def config(thresholds: dict[str, Any], **more: Any) -> ConfigNode:
    return ConfigNode({"MODEL": {"IMAGE_SIZE": 256}, "DATASETS": {**thresholds, **more}})


def flat(item: dict[str, Any], start: str = "") -> dict[str, Any]:
    result = {}
    for name, value in item.items():
        result.update(flat(value, f"{start}{name}.") if isinstance(value, dict) else {start + name: value})
    return result


def test_golden_pipeline(golden: Path) -> None:
    folder = golden / "hamer"
    described = json.loads((folder / "tar_pipeline.json").read_text())
    arrays = np.load(folder / "tar_pipeline.npz")
    items = list(load_tars(config(described["thresholds"]), str(folder / "tiny.tar"), train=False))
    assert [item["__key__"] for item in items] == [entry["key"] for entry in described["yields"]]
    for number, (item, entry) in enumerate(zip(items, described["yields"], strict=True)):
        assert {name: type(value).__name__ for name, value in item.items()} == entry["fields"]
        expected = {n.removeprefix(f"{number}."): arrays[n] for n in arrays.files if n.startswith(f"{number}.")}
        got = flat(item)
        assert set(got) == set(expected)
        # OpenCV 5 made the golden pictures: positions differ by up to 1/32 px, 8 grey levels at single pixels
        grey = np.abs(got.pop("img") - expected.pop("img").astype(np.float32)) * STD[:, None, None]
        assert grey.max() <= 8
        assert grey.mean() <= 0.3
        assert np.abs(got.pop("mask") - expected.pop("mask").astype(np.float32)).max() <= 8 / 255
        for name, value in expected.items():
            if value.dtype.kind == "U":
                assert got[name] == str(value)
            else:
                assert np.asarray(got[name]).dtype == value.dtype, name
                np.testing.assert_allclose(np.asarray(got[name], float), value.astype(float), atol=1e-5, err_msg=name)
