"""A student learns a teacher's hands; what it leaves behind is a plain HaMeR."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from hamer.geometry.rotations import aa_to_rotmat
from hamer.models import load_hamer
from hamer.training.checkpointing import read_checkpoint
from hamer.training.distillation import (
    DistillationModule,
    DistillationOptions,
    build_student,
    feature_loss,
    output_losses,
    start_from_teacher,
)

SMALL_HEAD = {"dim": 128, "heads": 2, "dim_head": 32, "mlp_dim": 128}
TEACHER = {"LOSS_WEIGHTS": {"ADVERSARIAL": 0.0}, "MODEL": {"MANO_HEAD": {"TRANSFORMER_DECODER": SMALL_HEAD}}}
STUDENT = {
    "LOSS_WEIGHTS": {"ADVERSARIAL": 0.0},
    "MODEL": {
        "BACKBONE": {"EMBED_DIM": 48, "DEPTH": 1, "NUM_HEADS": 3, "DROP_PATH_RATE": 0.0},
        "MANO_HEAD": {"TRANSFORMER_DECODER": {"context_dim": 48, **SMALL_HEAD}},
    },
    "TRAIN": {"LR": 1e-3, "GRAD_CLIP_VAL": 1.0},
    "DISTILL": {"TEACHER": "in memory", "TEACHER_PRECISION": "float32"},
}


@pytest.fixture
def teacher(golden_module: Any) -> Any:
    return golden_module(TEACHER).eval()


@pytest.fixture
def student(golden_cfg: Any, teacher: Any) -> DistillationModule:
    torch.manual_seed(0)
    return DistillationModule(golden_cfg(changes=STUDENT), teacher)


@pytest.fixture
def pictures(golden_batch: Any) -> dict[str, Any]:
    """Two batches in one: the golden pictures without annotations, and the same mirrored."""
    crops = golden_batch["img"]["img"]
    return {"img": {"img": torch.cat([crops, crops.flip(-1)])}}


def test_the_same_hands_are_no_distance_apart(teacher: Any, golden_batch: Any) -> None:
    with torch.no_grad():
        output = teacher(golden_batch["img"])
    for distance in ("geodesic", "l1"):
        for name, value in output_losses(output, output, distance).items():
            # radians: products of float32 rotations are orthonormal to 1e-7, whose root enters an angle near zero
            assert value < 1e-3, name


def test_rotations_are_compared_by_their_angle(teacher: Any, golden_batch: Any) -> None:
    with torch.no_grad():
        output = teacher(golden_batch["img"])
    turned = copy.deepcopy(output)
    by = aa_to_rotmat(torch.tensor([0.0, 0.3, 0.0]))
    for name in ("global_orient", "hand_pose"):
        turned["pred_mano_params"][name] = turned["pred_mano_params"][name] @ by
    assert output_losses(turned, output)["rotations"] == pytest.approx(0.3, abs=1e-4)
    turned["pred_vertices"] = turned["pred_vertices"] + torch.tensor([0.003, 0.0, 0.004])
    assert output_losses(turned, output)["vertices"] == pytest.approx(0.005, abs=1e-6)


def test_features_are_compared_token_by_token() -> None:
    torch.manual_seed(0)
    tokens = torch.randn(2, 8, 4, 3)
    assert feature_loss(3 * tokens + 1, tokens) < 1e-6  # neither scale nor offset of a token counts
    assert feature_loss(torch.randn(2, 8, 4, 3), tokens) > 1


def test_gradients_stay_finite_where_student_and_teacher_meet(golden_cfg: Any, teacher: Any, pictures: Any) -> None:
    """A student of the teacher's own size that starts as its copy: every distance is zero, where norms have a corner."""
    twin = DistillationModule(golden_cfg(changes={**TEACHER, "DISTILL": STUDENT["DISTILL"]}), teacher)
    copied = start_from_teacher(twin, teacher)
    assert set(copied) == {name for name, _ in teacher.named_parameters()} | {n for n in copied if "init_" in n}
    twin.eval()
    loss, _ = twin.compute_loss(pictures["img"], twin(pictures["img"]))
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in twin.parameters())


def test_a_student_learns_a_few_pictures(
    student: DistillationModule, pictures: Any, trainer: Any, repeated: Any
) -> None:
    teacher = student.teacher
    weights = {name: p.detach().clone() for name, p in teacher.named_parameters()}
    with torch.no_grad():
        before = output_losses(student(pictures["img"]), teacher(pictures["img"]))
    trainer(max_steps=60).fit(student, repeated(pictures, 60))
    student.eval()
    with torch.no_grad():
        after = output_losses(student(pictures["img"]), teacher(pictures["img"]))
        features = feature_loss(
            student.feature_map(student.features(pictures["img"]["img"])), teacher.features(pictures["img"]["img"])
        )
    assert after["vertices"] < 0.35 * before["vertices"], (before, after)
    assert after["rotations"] < 0.35 * before["rotations"], (before, after)
    assert features < 1.0  # 2 for unrelated tokens
    assert all(torch.equal(weights[name], p) for name, p in teacher.named_parameters())


def test_its_checkpoint_is_a_plain_hamer_and_resumes(
    student: DistillationModule,
    golden_cfg: Any,
    teacher: Any,
    pictures: Any,
    trainer: Any,
    repeated: Any,
    tmp_path: Path,
) -> None:
    run = trainer(max_steps=2)
    run.fit(student, repeated(pictures, 2))
    run.save_checkpoint(tmp_path / "student.ckpt")
    content = read_checkpoint(tmp_path / "student.ckpt")
    assert not [name for name in content["state_dict"] if name.startswith(("feature_map", "teacher"))]
    network, _ = load_hamer(tmp_path / "student.ckpt")
    with torch.no_grad():
        expected = copy.deepcopy(student).eval()(pictures["img"])["pred_vertices"]
        torch.testing.assert_close(network(pictures["img"])["pred_vertices"], expected, rtol=0, atol=1e-7)
    again, run = DistillationModule(golden_cfg(changes=STUDENT), teacher), trainer(max_steps=4)
    run.fit(again, repeated(pictures, 4), ckpt_path=tmp_path / "student.ckpt")
    more = trainer(max_steps=4)
    whole = DistillationModule(golden_cfg(changes=STUDENT), teacher)
    more.fit(whole, repeated(pictures, 4), ckpt_path=tmp_path / "student.ckpt")
    assert torch.equal(again.feature_map.weight, whole.feature_map.weight)
    assert (again.feature_map.weight - student.feature_map.weight).abs().max() < 1e-2  # went on from there


def test_built_from_files(golden_cfg: Any, teacher: Any, trainer: Any, tmp_path: Path) -> None:
    """The teacher from its checkpoint; the student from a checkpoint of its own size, or from parts of the teacher."""
    run = trainer()
    run.strategy.connect(teacher)
    run.save_checkpoint(tmp_path / "teacher.ckpt")
    distill = {"DISTILL": {"TEACHER": str(tmp_path / "teacher.ckpt"), "TEACHER_PRECISION": "float32"}}
    cfg = golden_cfg(changes={**STUDENT, **distill})
    fresh = build_student(cfg)
    name = "mano_head.transformer.transformer.layers.1.2.fn.net.0.weight"
    assert torch.equal(fresh.state_dict()[name], teacher.state_dict()[name])  # the head is the teacher's
    run.strategy.connect(fresh)
    run.save_checkpoint(tmp_path / "student.ckpt")
    cfg.DISTILL.STUDENT = str(tmp_path / "student.ckpt")
    again = build_student(cfg)
    assert torch.equal(again.backbone.pos_embed, fresh.backbone.pos_embed)


def test_the_teacher_s_precision_is_its_own(golden_cfg: Any, teacher: Any, pictures: Any) -> None:
    with torch.no_grad():
        exact = teacher(pictures["img"])["pred_vertices"]
    cfg = golden_cfg(changes={**STUDENT, "DISTILL": {"TEACHER": "in memory", "TEACHER_PRECISION": "bfloat16"}})
    student = DistillationModule(cfg, teacher)
    assert student.teacher.backbone.blocks[0].mlp.fc1.weight.dtype == torch.bfloat16
    assert {p.dtype for p in student.parameters()} == {torch.float32}
    with torch.no_grad():
        low = student.teacher(pictures["img"])["pred_vertices"]
    assert 0 < (low - exact).abs().max() < 5e-3  # metres; bfloat16 has 8 bits


def test_ground_truth_joins_in(golden_cfg: Any, teacher: Any, golden_batch: Any) -> None:
    cfg = golden_cfg(changes=STUDENT)
    torch.manual_seed(0)
    alone = DistillationModule(cfg, teacher).eval()
    batch = golden_batch["img"]
    output = alone(batch)
    without, parts = alone.compute_loss(batch, output)
    assert "loss_keypoints_2d" not in parts
    alone.distillation = DistillationOptions(teacher="in memory", ground_truth=2.0)
    total, parts = alone.compute_loss(batch, output)
    usual, _ = super(DistillationModule, alone).compute_loss(batch, output)
    torch.testing.assert_close(total, without + 2.0 * usual / len(batch["img"]))
    assert {"loss_keypoints_2d", "loss_teacher_vertices", "loss_teacher_features"} <= parts.keys()


@pytest.mark.parametrize(
    ("distill", "message"),
    [
        ({}, "DISTILL.TEACHER"),
        ({"TEACHER": "x", "ROTATION_DISTANCE": "chordal"}, "geodesic"),
        ({"TEACHER": "x", "VERTICES": -1.0}, "negative"),
        ({"TEACHER": "x", "TEMPERATURE": 2.0}, "TEMPERATURE is not known"),
    ],
)
def test_options_that_make_no_sense_are_refused(distill: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DistillationOptions.from_cfg({"DISTILL": distill})


def test_the_command_composes_a_student(tmp_path: Path) -> None:
    """For each size: the configuration makes a network, whose weights are the student's alone."""
    pytest.importorskip("hydra", reason="training needs the extra: pip install 'hamer[train]'")
    from hamer.cli import build_parser
    from hamer.cli.distill import overrides_of
    from hamer.configs.compose import compose
    from hamer.models import HamerConfig

    teacher = tmp_path / "it's a teacher, v=1.ckpt"
    for size, width in (("s", 384), ("b", 768), ("l", 1024)):
        args = build_parser().parse_args(
            ["distill", "--teacher", str(teacher), "--student", size, "exp_name=x", "DISTILL.GROUND_TRUTH=0.5"]
        )
        cfg = compose(overrides_of(args))
        config = HamerConfig.from_cfg({"MODEL": cfg.MODEL, "LOSS_WEIGHTS": cfg.LOSS_WEIGHTS})
        assert (config.backbone.width, config.with_discriminator) == (width, False)
        options = DistillationOptions.from_cfg(cfg)
        assert (options.teacher, options.ground_truth) == (str(teacher), 0.5)


def test_landmarks_and_maps_of_a_student(golden_cfg: Any, teacher: Any, golden_batch: Any) -> None:
    """A student that reads landmarks is given the batch's, and one with a dense head learns its maps."""
    crops = golden_batch["img"]["img"]
    with_parts = {"MODEL": {"LANDMARK_TOKENS": {"DEPTH": 1, "HEADS": 3}, "DENSE_HEAD": {"WIDTH": 4, "SIDE": 32}}}
    cfg = golden_cfg(changes=STUDENT)
    cfg.merge(with_parts)
    cfg.MODEL.BACKBONE.IMAGE_SIZE = [256, 256]  # maps are of a square
    module = DistillationModule(cfg, teacher).eval()
    landmarks = torch.rand(len(crops), 21, 7, generator=torch.Generator().manual_seed(0)) - 0.5
    landmarks[..., 6] = 1.0
    with torch.no_grad():
        blind, told = (module({"img": crops, "landmarks": known}) for known in (torch.zeros_like(landmarks), landmarks))
    assert not blind["pred_vertices"].equal(told["pred_vertices"])
    assert told["pred_heatmaps"].shape == (len(crops), 21, 32, 32)
