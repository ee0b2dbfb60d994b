"""Annotation files: the golden evaluation items, arrays left out, files that are no such thing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hamer.configs import ConfigNode
from hamer.crops import IMAGE_STD
from hamer.datasets import ImageDataset, create_dataset, create_webdataset
from hamer.datasets.npz_arrays import read_npz
from hamer.errors import AssetError, PictureError, UnsafeFileError

STD = 255 * np.asarray(IMAGE_STD)


def config() -> ConfigNode:
    return ConfigNode({"MODEL": {"IMAGE_SIZE": 256, "BBOX_SHAPE": [192, 256]}, "DATASETS": {}})


@pytest.mark.parametrize("factor", [-1, 2])
@pytest.mark.parametrize("name", ["eval_dataset", "eval_dataset_minimal"])
def test_golden_items(name: str, factor: int, golden: Path, photos: Path) -> None:
    folder = golden / "hamer"
    arrays = np.load(folder / "eval_items.npz")
    entry = {"TYPE": "ImageDataset", "DATASET_FILE": str(folder / f"{name}.npz"), "IMG_DIR": str(photos)}
    dataset = create_dataset(config(), {**entry, "KEYPOINT_LIST": [0]}, train=False, rescale_factor=factor)
    indices = sorted({n.split(".")[2] for n in arrays.files if n.startswith(f"{name}.{factor}.")})
    assert indices
    for index in indices:
        start = f"{name}.{factor}.{index}."
        expected = {n.removeprefix(start): arrays[n] for n in arrays.files if n.startswith(start)}
        item = dataset[int(index)]
        keys = {n.split(".")[0] for n in expected}
        assert set(item) == keys
        # made with OpenCV 5, stored as float16: see test_training_items
        grey = np.abs(item["img"] - expected.pop("img").astype(np.float32)) * STD[:, None, None]
        assert grey.max() <= 8
        assert grey.mean() <= 0.3
        for key, value in expected.items():
            outer, _, inner = key.partition(".")
            got = item[outer][inner] if inner else item[outer]
            if value.dtype.kind == "U":
                assert Path(got).name == str(value)
            else:
                assert np.asarray(got).dtype == value.dtype, key
                np.testing.assert_allclose(np.asarray(got, float), value.astype(float), atol=1e-5, err_msg=key)


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **{"imgname": np.array(["a.png"]), "center": [[5.0, 5.0]], "scale": [8.0], **arrays})
    return path


def test_wrong_files_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="hamer fetch hamer_evaluation_data"):
        ImageDataset(config(), tmp_path / "absent.npz", tmp_path, train=False)
    np.savez(tmp_path / "empty.npz", other=1)
    with pytest.raises(ValueError, match="lacks imgname, center, scale"):
        ImageDataset(config(), tmp_path / "empty.npz", tmp_path, train=False)
    with pytest.raises(ValueError, match=r"hand_pose of .* must be numbers of shape \(1, 48\)"):
        ImageDataset(config(), save(tmp_path / "pose.npz", hand_pose=np.zeros((1, 45))), tmp_path, train=False)
    dataset = ImageDataset(config(), save(tmp_path / "good.npz"), tmp_path, train=False)
    with pytest.raises(PictureError, match=r"a\.png could not be read"):
        dataset[0]
    (tmp_path / "text.npz").write_text("no zip")
    with pytest.raises(ValueError, match=r"must be an \.npz file"):
        read_npz(tmp_path / "text.npz")
    with pytest.raises(ValueError, match="TYPE must be one of"):
        create_dataset(config(), {"TYPE": "JsonDataset"})
    with pytest.raises(ValueError, match="must give URLS"):
        create_webdataset(config(), {"TYPE": "ImageDataset"})


def test_object_arrays_are_read_as_data_only(tmp_path: Path) -> None:
    names = np.array(["a.png"], dtype=object)
    assert ImageDataset(config(), save(tmp_path / "o.npz", imgname=names), tmp_path, train=False).imgname == ["a.png"]

    class Command:
        def __reduce__(self) -> tuple[Any, ...]:
            return print, ("executed",)

    np.savez(tmp_path / "evil.npz", imgname=np.array([Command()], dtype=object))
    with pytest.raises(UnsafeFileError):
        ImageDataset(config(), tmp_path / "evil.npz", tmp_path, train=False)


def test_as_webdataset_pipeline(golden: Path) -> None:
    pytest.importorskip("webdataset")
    entry = {"TYPE": "ImageDataset", "URLS": str(golden / "hamer" / "tiny.tar"), "epoch_size": 7}
    pipeline = create_webdataset(config(), entry, train=False)
    assert len(list(pipeline)) == 7
    doubled = pipeline.map(lambda item: item["__key__"] * 2)
    assert {len(key) for key in doubled} == {12}


@pytest.mark.parametrize("factor", [-1, 2])
def test_a_network_that_sees_less_around_the_hand_is_shown_less(factor: float, golden: Path, photos: Path) -> None:
    """As its training was: MODEL.RESCALE_FACTOR over 2.0 of what others are shown."""
    near = config()
    near.MODEL.RESCALE_FACTOR = 1.6
    path = golden / "hamer" / "eval_dataset.npz"
    plain, nearer = (ImageDataset(c, path, photos, train=False, rescale_factor=factor)[0] for c in (config(), near))
    for name in ("box_size", "bbox_expand_factor"):
        assert nearer[name] == pytest.approx(0.8 * plain[name])
    ours, theirs = nearer["keypoints_2d"][:, :2], plain["keypoints_2d"][:, :2]
    np.testing.assert_allclose(0.8 * ours, theirs, atol=1e-5)  # float32 px
