"""Reading `model_config.yaml`: interpolations, defaults, paths, freezing."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest

from hamer.configs import (
    ConfigNode,
    data_path,
    dataset_config,
    dataset_eval_config,
    default_config,
    get_config,
)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model_config.yaml"
    path.write_text(
        "paths: {root: '${oc.env:NO_SUCH_VARIABLE_HERE}', run: '${hydra:runtime.cwd}'}\n"
        "MANO:\n  DATA_DIR: _DATA/data/\n  MODEL_PATH: ${MANO.DATA_DIR}/mano\n"
        "MODEL:\n  IMAGE_SIZE: 256\n  BACKBONE: {TYPE: vit}\nTRAIN: {LR: 1.0e-05}\n"
    )
    return path


def test_interpolations_are_resolved_and_unanswerable_ones_stay_text(saved: Path) -> None:
    cfg = get_config(saved)
    assert cfg.MANO.MODEL_PATH == "_DATA/data//mano"
    assert cfg.paths.run == "${hydra:runtime.cwd}"
    assert cfg.paths.root == "${oc.env:NO_SUCH_VARIABLE_HERE}"
    assert isinstance(cfg.TRAIN.LR, float)


def test_defaults_fill_what_the_file_leaves_out(saved: Path) -> None:
    cfg = get_config(saved)
    assert cfg.EXTRA.FOCAL_LENGTH == 5000
    assert cfg.MANO.GENDER == "neutral"
    assert "EXTRA" not in get_config(saved, merge=False)


def test_data_paths(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HAMER_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    cfg = get_config(saved, update_cachedir=True)
    assert Path(cfg.MANO.MODEL_PATH) == Path(
        "_DATA/data/mano"
    )  # the original makes ./_DATA/${MANO.DATA_DIR}/mano of it
    assert Path(data_path("data/mano")) == Path("_DATA/data/mano")
    assert data_path(str(tmp_path / "mano")) == str(tmp_path / "mano")
    monkeypatch.setenv("HAMER_DATA", str(tmp_path / "elsewhere"))
    assert Path(data_path("data/mano")) == tmp_path / "elsewhere" / "data" / "mano"
    (tmp_path / "own_mano").mkdir()
    assert data_path("own_mano") == "own_mano"


def test_callers_thaw_change_and_freeze(saved: Path) -> None:
    cfg = get_config(saved)
    with pytest.raises(AttributeError, match="frozen"):
        cfg.MODEL.BBOX_SHAPE = [192, 256]
    cfg.defrost()
    cfg.MODEL.BBOX_SHAPE = [192, 256]
    cfg.MODEL.BACKBONE.pop("TYPE")
    cfg.freeze()
    assert cfg.MODEL.BBOX_SHAPE == [192, 256]
    for change in (lambda: cfg.MODEL.pop("IMAGE_SIZE"), cfg.MODEL.clear, lambda: cfg.update(A=1), cfg.MODEL.popitem):
        with pytest.raises(AttributeError, match="frozen"):
            change()
    assert cfg.MODEL.get("NOTHING", 3) == 3
    with pytest.raises(AttributeError, match="IMAGE_SIZE"):
        _ = cfg.MODEL.IMAGESIZE


def test_a_node_copies_pickles_and_dumps(saved: Path, tmp_path: Path) -> None:
    cfg = get_config(saved)
    for twin in (copy.deepcopy(cfg), cfg.clone(), pickle.loads(pickle.dumps(cfg))):  # our own bytes
        assert twin == cfg
        assert twin.is_frozen()
        assert isinstance(twin.MODEL, ConfigNode)
    json.dumps(cfg.to_dict())
    again = tmp_path / "again.yaml"
    again.write_text(cfg.dump())
    assert get_config(again) == cfg
    assert dict(cfg.MANO)["GENDER"] == "neutral"


def test_merging() -> None:
    cfg = default_config()
    cfg.merge_from_list(["MODEL.BACKBONE.TYPE", "vit", "EXTRA.FOCAL_LENGTH", 1000])
    assert cfg.MODEL.BACKBONE.TYPE == "vit"
    assert cfg.EXTRA == {"FOCAL_LENGTH": 1000, "PELVIS_IND": 0}
    with pytest.raises(ValueError, match="pairs"):
        cfg.merge_from_list(["MODEL.IMAGE_SIZE"])
    assert default_config().EXTRA.FOCAL_LENGTH == 5000  # the defaults themselves did not change


@pytest.mark.parametrize(
    ("text", "message"),
    [("- 1\n- 2\n", "mapping"), ("a: [", "mapping"), ("a: !!python/object/apply:os.getcwd []\n", "mapping")],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "model_config.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        get_config(path)


def test_a_missing_file_says_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="two folders above"):
        get_config(tmp_path / "model_config.yaml")


def test_the_original_training_file(golden: Path) -> None:
    facts = json.loads((golden / "hamer" / "checkpoint_layout.json").read_text())["facts"]
    cfg = get_config(golden / "hamer" / "model_config.yaml", update_cachedir=True)
    for name, kind in facts["types"].items():
        section, key = name.split(".")
        assert type(cfg[section][key]).__name__ == kind, name
    assert facts["LOSS_WEIGHTS"] == cfg.LOSS_WEIGHTS
    assert "${" not in cfg.MANO.MODEL_PATH


def test_dataset_lists(golden: Path) -> None:
    from hamer.configs.reader import read_yaml

    sets = dataset_config()
    assert sets == read_yaml(golden / "hamer" / "dataset_config.yaml")
    assert sets.is_frozen()
    assert sets["FREIHAND-TRAIN"].epoch_size == 130240
    assert dataset_eval_config()["NEWDAYS-TEST-OCC"].TYPE == "ImageDataset"
