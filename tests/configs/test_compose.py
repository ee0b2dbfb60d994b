"""The groups compose, and the original's command gives what its runs saved."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from hamer.configs import dataset_config

pytest.importorskip("hydra", reason="training configurations need the extra: pip install 'hamer[train]'")

from hamer.configs.compose import compose, describe, groups, names_of
from hamer.configs.data_scale import part_of_set, tars_of, training_sets
from hamer.models.config import HamerConfig

ORIGINAL_COMMAND = "exp_name=hamer data=mix_all experiment=hamer_vit_transformer trainer=gpu launcher=local"


def plain(cfg: Any) -> Any:
    return OmegaConf.to_container(cfg, resolve=False)


def paths_and_types(values: Any, path: str = "") -> dict[str, Any]:
    """Every leaf with its type: YAML's 16 and 16.0 are equal to Python and are not the same setting."""
    if isinstance(values, dict):
        return {k: v for key, value in values.items() for k, v in paths_and_types(value, f"{path}.{key}").items()}
    return {path: (type(values).__name__, values)}


def test_the_originals_command_composes_to_what_its_runs_saved(golden: Path) -> None:
    saved = OmegaConf.load(golden / "hamer" / "model_config.yaml")
    assert paths_and_types(plain(compose(ORIGINAL_COMMAND.split()))) == paths_and_types(plain(saved))


def test_data_sets_of_the_originals_command(golden: Path) -> None:
    saved = OmegaConf.load(golden / "hamer" / "dataset_config.yaml")
    assert training_sets(compose(ORIGINAL_COMMAND.split())).to_dict() == plain(saved)


def test_a_short_command_differs_in_the_device_only() -> None:
    short, long = plain(compose(["exp_name=hamer"])), plain(compose(ORIGINAL_COMMAND.split()))
    short["trainer"]["accelerator"] = long["trainer"]["accelerator"]
    assert short == long


@pytest.mark.parametrize(
    ("group", "name"),
    [(group, name) for group in groups() for name in names_of(group)],
    ids=lambda value: str(value),
)
def test_every_yaml_composes(group: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "dataset.yaml").write_text("OWN: {URLS: own.tar, epoch_size: 3}\n", encoding="utf-8")
    more = [f"DATASETS.FILE={tmp_path}/dataset.yaml"] if name in ("own", "synthetic") else []
    if name == "slurm":
        pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    if (group, name) == ("experiment", "default"):
        assert "MODEL" not in compose([f"{group}={name}"])  # what the others share, no experiment of its own
        return
    cfg = compose([f"{group}={name}", "exp_name=run", *more], with_hydra=True)
    HamerConfig.from_cfg({key: plain(cfg[key]) for key in ("MODEL", "EXTRA", "LOSS_WEIGHTS")})
    assert sum(entry.WEIGHT for entry in cfg.DATASETS.TRAIN.values()) == pytest.approx(1)


def test_backbone_sizes() -> None:
    sizes = {
        size: HamerConfig.from_cfg(plain(compose([f"experiment=ablation_backbone_{size}", "exp_name=run"])))
        for size in "sblh"
    }
    assert {size: config.backbone.width for size, config in sizes.items()} == {"s": 384, "b": 768, "l": 1024, "h": 1280}


def test_slurm_goes_through_submitit() -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    launcher = compose(["exp_name=run", "launcher=slurm", "trainer=ddp"], with_hydra=True).hydra.launcher
    assert "submitit" in launcher._target_
    assert launcher.nodes == 1


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data=mix_al", ["data/mix_al", "mix_all"]),
        ("TRAIN.LEARNING_RATE=1", ["TRAIN.LEARNING_RATE", "+TRAIN.LEARNING_RATE"]),
        ("LR=[", ["'LR=['"]),
        ("+DATASETS.LEAVE_OUT=[NO-SET]", ["NO-SET", "DEX-TRAIN"]),
    ],
)
def test_a_wrong_override_is_told(override: str, words: list[str]) -> None:
    with pytest.raises(ValueError) as caught:
        compose(["exp_name=run", override])
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "HYDRA_FULL_ERROR" not in str(caught.value)


def test_sets_left_out_keep_the_others_proportions() -> None:
    full = compose(["exp_name=run"]).DATASETS.TRAIN
    part = compose(["exp_name=run", "+DATASETS.LEAVE_OUT=[DEX-TRAIN,INTERHAND26M-TRAIN]"]).DATASETS.TRAIN
    assert set(full) - set(part) == {"DEX-TRAIN", "INTERHAND26M-TRAIN"}
    for name, entry in part.items():
        # 0.7 of the weight is left; weights are written with nine digits
        assert abs(entry.WEIGHT - full[name].WEIGHT / 0.7) < 1e-9


def test_a_larger_share_holds_the_smaller_one() -> None:
    entry = dataset_config()["INTERHAND26M-TRAIN"]
    parts = [part_of_set(entry, fraction) for fraction in (0.01, 0.1, 0.5, 1)]
    assert [len(part["URLS"]) for part in parts] == [11, 106, 528, 1057]
    for smaller, larger in pairwise(parts):
        assert set(smaller["URLS"]) < set(larger["URLS"])
    numbers = [int(Path(tar).stem) for tar in parts[1]["URLS"]]
    steps = [b - a for a, b in pairwise(numbers)]
    assert max(steps) < 3 * 1057 / 106  # spread over the whole set, not its beginning
    assert parts[1]["epoch_size"] == round(1424632 * 106 / 1057)


def test_ranges_of_tars() -> None:
    assert tars_of("a/{08..10}.tar") == ["a/08.tar", "a/09.tar", "a/10.tar"]
    assert tars_of(["b.tar", "{x,y}/{0..1}.tar"]) == ["b.tar", "x/0.tar", "x/1.tar", "y/0.tar", "y/1.tar"]


def test_sets_of_the_users_own(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(
        "ONE: {TYPE: ImageDataset, URLS: one.tar, epoch_size: 30}\nPOSES: {DATASET_FILE: a.npz}\n", encoding="utf-8"
    )
    two.write_text("TWO: {TYPE: ImageDataset, URLS: two.tar, epoch_size: 10}\n", encoding="utf-8")
    cfg = compose(["exp_name=run", "data=own", f"DATASETS.FILE=[{one},{two}]"])
    assert {name: entry.WEIGHT for name, entry in cfg.DATASETS.TRAIN.items()} == {"ONE": 0.75, "TWO": 0.25}
    assert set(cfg.DATASETS.VAL) == {"ONE", "TWO"}
    sets = training_sets(cfg)
    assert sets.TWO.epoch_size == 10
    assert "FREIHAND-MOCAP" in sets
    mixed = compose(["exp_name=run", f"+DATASETS.FILE={one}", "+DATASETS.TRAIN.ONE.WEIGHT=0.5"])
    assert len(mixed.DATASETS.TRAIN) == 11
    assert "ONE" in training_sets(mixed)
    with pytest.raises(ValueError, match=r"TWO.*DATASETS\.FILE"):
        training_sets(compose(["exp_name=run", f"+DATASETS.FILE={one}", "+DATASETS.TRAIN.TWO.WEIGHT=0.5"]))


def test_two_lists_with_one_name_are_refused(tmp_path: Path) -> None:
    """Two folders of one command hold sets of one name by default; the second would take the first one's place."""
    one, two, same = (tmp_path / f"{name}.yaml" for name in ("one", "two", "same"))
    for file, tar in ((one, "a"), (two, "b"), (same, "a")):
        file.write_text(f"MADE-TRAIN: {{URLS: {tar}.tar, epoch_size: 30}}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"one name to different sets, got MADE-TRAIN twice.*--name"):
        compose(["exp_name=run", "data=synthetic", f"DATASETS.FILE=[{one},{two}]"])
    assert list(compose(["exp_name=run", "data=synthetic", f"DATASETS.FILE=[{one},{same}]"]).DATASETS.TRAIN)


def test_own_data_need_a_list(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"DATASETS\.FILE=dataset\.yaml"):
        compose(["exp_name=run", "data=own"])
    file = tmp_path / "none.yaml"
    file.write_text("POSES: {DATASET_FILE: a.npz}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="at least one set"):
        compose(["exp_name=run", "data=own", f"DATASETS.FILE={file}"])


def test_sets_to_validate_on(tmp_path: Path) -> None:
    train, val = tmp_path / "train.yaml", tmp_path / "val.yaml"
    train.write_text("MADE-TRAIN: {URLS: a.tar, epoch_size: 30}\n", encoding="utf-8")
    val.write_text("MADE-VAL: {URLS: b.tar}\n", encoding="utf-8")
    files = [f"DATASETS.FILE={train}", f"DATASETS.VAL_FILE={val}"]
    cfg = compose(["exp_name=run", "data=synthetic", *files])
    assert (list(cfg.DATASETS.TRAIN), list(cfg.DATASETS.VAL)) == (["MADE-TRAIN"], ["MADE-VAL"])
    assert {"MADE-TRAIN", "MADE-VAL"} <= set(training_sets(cfg))
    alone = compose(["exp_name=run", "data=synthetic", files[0]])
    assert list(alone.DATASETS.VAL) == ["MADE-TRAIN"]
    val.write_text("MADE-TRAIN: {URLS: b.tar}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="one name to different sets, got MADE-TRAIN"):
        training_sets(compose(["exp_name=run", "data=synthetic", *files]))


def test_pictures_made_while_training(tmp_path: Path) -> None:
    val = tmp_path / "val.yaml"
    val.write_text("MADE-VAL: {URLS: b.tar}\n", encoding="utf-8")
    cfg = compose(["exp_name=run", "data=synthetic_stream", f"DATASETS.VAL_FILE={val}", "DATASETS.SYNTHETIC.SEED=4"])
    assert (list(cfg.DATASETS.TRAIN), list(cfg.DATASETS.VAL)) == (["MADE"], ["MADE-VAL"])
    assert training_sets(cfg).MADE.SYNTHETIC.SEED == 4


@pytest.mark.parametrize("fraction", [0, 1.5, -1])
def test_a_share_is_a_share(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"FRACTION must be above 0"):
        part_of_set(dataset_config()["DEX-TRAIN"], fraction)


def test_every_choice_explains_itself() -> None:
    for group in ("data", "data_filtering", "experiment", "trainer", "launcher"):
        for name, sentence in describe(group).items():
            assert len(sentence) > 15, f"{group}={name} has no opening comment"
