"""From hands found in pictures to hands in 3D: by the network, by fitting keypoints, or by both.

An estimator takes a chunk of pictures with the hands found in each and returns the reconstructed hands of each. Everything
inside happens in the right-hand convention (left hands mirrored); `_assemble` mirrors back. N counts the hands of a chunk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from hamer.crops import CropBatch, crop_pictures
from hamer.crops.windows import can_be_cropped
from hamer.fitting import FitOptions, HandPose, fit_hands
from hamer.geometry.cameras import project_with_camera, solve_translation, undistort_with_camera
from hamer.geometry.mirroring import mirror_axis_angle, mirror_points
from hamer.geometry.rotations import rotmat_to_aa
from hamer.hand_models import HandModel
from hamer.models.devices import exact_float32, free_memory
from hamer.pipeline.pictures import Picture
from hamer.structures import Camera, Hand, HandBoxes, HandParameters

if TYPE_CHECKING:
    from hamer.models.hamer import HAMER

logger = logging.getLogger(__name__)


class Estimator(Protocol):
    """What the pipeline asks of the part that turns found hands into 3D."""

    name: str

    @property
    def hand_model(self) -> HandModel:
        """The hand that the results are of."""
        ...

    def __call__(
        self, pictures: Sequence[Picture], cameras: Sequence[Camera], found: Sequence[HandBoxes]
    ) -> list[list[Hand]]:
        """The hands of every picture, in the order found; a hand that cannot be estimated is left out."""
        ...


@dataclass
class _Estimate:
    """Parameters of N hands, right-hand convention: rotation matrices, betas, translation (N, 3) metres, valid (N,)."""

    global_orient: torch.Tensor
    hand_pose: torch.Tensor
    betas: torch.Tensor
    translation: torch.Tensor
    valid: torch.Tensor


@dataclass
class _Flat:
    """The hands of several pictures in one row: arrays of N, and the picture that each belongs to."""

    picture_index: np.ndarray
    hands: HandBoxes
    camera_matrix: torch.Tensor  # (N, 3, 3)
    keypoints_2d: torch.Tensor  # (N, 21, 3) undistorted px and confidence, NaN where the detector gave none

    @classmethod
    def of(cls, cameras: Sequence[Camera], found: Sequence[HandBoxes]) -> _Flat:
        index = np.repeat(np.arange(len(found)), [len(f) for f in found])
        matrices = torch.from_numpy(np.stack([cameras[int(i)].matrix for i in index])).float()
        points = torch.from_numpy(np.concatenate([_undistorted(f, c) for f, c in zip(found, cameras, strict=True)]))
        return cls(index, _concatenated(found), matrices, points.float())


class FittingEstimator:
    """Hands from the detector's keypoints alone (`hamer.fitting`): needs no trained weights.

    Args:
        hand_model: the hand to fit.
        options: weights of the fit; None for the defaults.
    """

    def __init__(self, hand_model: HandModel, options: FitOptions | None = None) -> None:
        self.hand_model = hand_model.eval()
        self.options = options or FitOptions()
        self.name = f"keypoint fit ({hand_model.name} hand)"

    def __call__(
        self, pictures: Sequence[Picture], cameras: Sequence[Camera], found: Sequence[HandBoxes]
    ) -> list[list[Hand]]:
        """See `Estimator`. Raises ValueError where the detector gave hands without keypoints."""
        if not any(len(f) for f in found):
            return [[] for _ in found]
        flat = _Flat.of(cameras, found)
        if flat.hands.keypoints_2d is None:
            raise ValueError(
                "fitting needs keypoints_2d for the given hands, and only boxes were given; use the mediapipe detector's "
                "landmarks (hamer.detectors.load('boxes') fills them in), or a network: from_pretrained('hamer.ckpt')"
            )
        return _assemble(self.hand_model, _fit(self.hand_model, flat, self.options), flat, cameras, len(found))


class OnDemand:
    """A network that is loaded when it is first asked for, and can be released until it is asked for again."""

    def __init__(self, load: Callable[[], HAMER]) -> None:
        self._load = load
        self._network: HAMER | None = None

    def get(self) -> HAMER:
        """The network, in evaluation mode."""
        if self._network is None:
            self._network = self._load().eval()
        return self._network

    def release(self) -> None:
        """Free the network's memory."""
        self._network = None
        free_memory()


class NetworkEstimator:
    """Hands from crops by HAMER, optionally refined by the detector's keypoints.

    Args:
        network: a `hamer.models.HAMER` on its device, or how to get it.
        rescale_factor: how much of the hand's surroundings a crop shows, times the box.
        batch_size: crops a forward pass.
        refine: fit the result to the detector's keypoints where there are any.
    """

    def __init__(
        self,
        network: HAMER | OnDemand,
        *,
        rescale_factor: float = 2.0,
        batch_size: int = 8,
        refine: bool = False,
        options: FitOptions | None = None,
    ) -> None:
        self._source = network if isinstance(network, OnDemand) else OnDemand(lambda: network)
        self._hand_model: HandModel | None = None
        self.rescale_factor = rescale_factor
        self.batch_size = batch_size
        self.refine = refine
        self.options = options or FitOptions()
        self.name = "hamer" + (" + keypoint refinement" if refine else "")

    @property
    def hand_model(self) -> HandModel:
        """The hand that the network was trained with, on the CPU, where results are put together."""
        if self._hand_model is None:
            self._hand_model = HandModel(self._source.get().mano.arrays).eval()
        return self._hand_model

    def load(self) -> None:
        """Load the network now, if it is not loaded."""
        self._source.get()

    def release(self) -> None:
        """Free the network; the next call loads it again."""
        self._source.release()

    def __call__(
        self, pictures: Sequence[Picture], cameras: Sequence[Camera], found: Sequence[HandBoxes]
    ) -> list[list[Hand]]:
        """See `Estimator`. A hand whose box no crop can be made of (a point, or far outside) is left out."""
        found = [f[can_be_cropped(f.boxes, rescale_factor=self.rescale_factor)] for f in found]
        if not any(len(f) for f in found):
            return [[] for _ in found]
        flat = _Flat.of(cameras, found)
        estimate = self._predict(pictures, flat, cameras)
        if self.refine and flat.hands.keypoints_2d is not None:
            initial = HandPose(estimate.global_orient, estimate.hand_pose, estimate.betas, estimate.translation)
            refined = _fit(self.hand_model, flat, self.options, initial)
            estimate = _where(refined.valid, refined, estimate)
        return _assemble(self.hand_model, estimate, flat, cameras, len(found))

    @torch.inference_mode()
    def _predict(self, pictures: Sequence[Picture], flat: _Flat, cameras: Sequence[Camera]) -> _Estimate:
        network = self._source.get()
        images = [p.rgb for p in pictures]
        parts: list[dict[str, torch.Tensor]] = []
        for start in range(0, len(flat.hands), self.batch_size):
            chunk = slice(start, start + self.batch_size)
            hands = flat.hands[chunk]
            crops = crop_pictures(
                images, flat.picture_index[chunk], hands.boxes, hands.is_right, rescale_factor=self.rescale_factor
            )
            with exact_float32():
                parts.append(_kept(network(crops.to_batch(network.device)), crops))
        merged = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
        translation = _translations(merged["joints"], merged["points"], flat, cameras)
        valid = torch.isfinite(translation).all(-1) & torch.isfinite(merged["joints"]).flatten(1).all(-1)
        return _Estimate(merged["global_orient"][:, 0], merged["hand_pose"], merged["betas"], translation, valid)


def _kept(output: dict[str, Any], crops: CropBatch) -> dict[str, torch.Tensor]:
    """What is needed of a forward pass, float32 on the CPU; `points` (N, 21, 2) are px of the pictures."""
    kept = {k: output["pred_mano_params"][k].float().cpu() for k in ("global_orient", "hand_pose", "betas")}
    in_crop = (output["pred_keypoints_2d"].float().cpu().numpy() + 0.5) * crops.img.shape[-1]
    points = torch.from_numpy(crops.to_picture(in_crop)).float()
    return {**kept, "joints": output["pred_keypoints_3d"].float().cpu(), "points": points}


def _fit(model: HandModel, flat: _Flat, options: FitOptions, initial: HandPose | None = None) -> _Estimate:
    points_3d = flat.hands.keypoints_3d
    fit = fit_hands(
        model,
        flat.keypoints_2d,
        torch.from_numpy(flat.hands.is_right),
        flat.camera_matrix,
        keypoints_3d=None if points_3d is None else torch.from_numpy(points_3d),
        initial=initial,
        options=options,
    )
    return _Estimate(fit.global_orient, fit.hand_pose, fit.betas, fit.translation, fit.valid)


def _where(mask: torch.Tensor, yes: _Estimate, no: _Estimate) -> _Estimate:
    def pick(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.where(mask.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return _Estimate(
        pick(yes.global_orient, no.global_orient),
        pick(yes.hand_pose, no.hand_pose),
        pick(yes.betas, no.betas),
        pick(yes.translation, no.translation),
        yes.valid | no.valid,
    )


def _translations(joints: torch.Tensor, points: torch.Tensor, flat: _Flat, cameras: Sequence[Camera]) -> torch.Tensor:
    """(N, 3): where each hand stands so that its joints project where the network saw them, right-hand convention."""
    sign = torch.from_numpy(np.where(flat.hands.is_right, 1.0, -1.0)).float()
    mirror = torch.stack([sign, torch.ones_like(sign), torch.ones_like(sign)], -1)
    pairs = zip(points.numpy(), flat.picture_index, strict=True)
    undistorted = torch.from_numpy(np.stack([undistort_with_camera(p, cameras[int(i)]) for p, i in pairs]))
    return solve_translation(joints * mirror[:, None], undistorted, flat.camera_matrix) * mirror


def _assemble(
    model: HandModel, estimate: _Estimate, flat: _Flat, cameras: Sequence[Camera], n_pictures: int
) -> list[list[Hand]]:
    """`Hand`s of every picture from parameters in the right-hand convention; invalid ones are left out and logged."""
    with torch.inference_mode():
        output = model(estimate.global_orient, estimate.hand_pose, estimate.betas, transl=estimate.translation)
    arrays = {
        "vertices": output.vertices.numpy(),
        "joints": output.joints.numpy(),
        "translation": estimate.translation.numpy(),
        "orient": rotmat_to_aa(estimate.global_orient).numpy(),
        "pose": rotmat_to_aa(estimate.hand_pose).numpy(),
        "betas": estimate.betas.numpy(),
    }
    hands: list[list[Hand]] = [[] for _ in range(n_pictures)]
    for i, picture in enumerate(flat.picture_index):
        if not bool(estimate.valid[i]):
            logger.info("picture %d of the chunk: a hand could not be estimated", picture)
            continue
        one = {k: v[i] for k, v in arrays.items()}
        hands[picture].append(_hand(len(hands[picture]), one, flat.hands[i : i + 1], cameras[picture]))
    return hands


def _hand(index: int, values: dict[str, np.ndarray], found: HandBoxes, camera: Camera) -> Hand:
    """One hand from its arrays in the right-hand convention, mirrored back where it is a left one."""
    right = bool(found.is_right[0])
    if not right:
        values = {
            **{k: mirror_points(values[k]) for k in ("vertices", "joints", "translation")},
            "orient": mirror_axis_angle(values["orient"]),
            "pose": mirror_axis_angle(values["pose"]),
            "betas": values["betas"],
        }
    score = float(found.scores[0])
    confidence = np.full(21, score) if found.keypoints_2d is None else np.nan_to_num(found.keypoints_2d[0, :, 2])
    return Hand(
        id=index,
        is_right=right,
        score=score,
        box=found.boxes[0],
        vertices=values["vertices"],
        joints=values["joints"],
        keypoints_2d=project_with_camera(values["joints"], camera),
        joint_confidence=np.clip(confidence, 0.0, 1.0),
        camera_translation=values["translation"],
        parameters=HandParameters(values["orient"], values["pose"].reshape(45), values["betas"]),
    )


def _undistorted(found: HandBoxes, camera: Camera) -> np.ndarray:
    if found.keypoints_2d is None:
        return np.full((len(found), 21, 3), np.nan, np.float32)
    points = found.keypoints_2d.copy()
    points[..., :2] = undistort_with_camera(points[..., :2], camera)
    return points


def _concatenated(found: Sequence[HandBoxes]) -> HandBoxes:
    """All hands in one row; keypoints are NaN for those whose detector gave none."""

    def points(name: str) -> np.ndarray | None:
        if all(getattr(f, name) is None for f in found if len(f)):
            return None
        blank = (21, 3)
        return np.concatenate(
            [np.full((len(f), *blank), np.nan) if getattr(f, name) is None else getattr(f, name) for f in found]
        )

    return HandBoxes(
        np.concatenate([f.boxes for f in found]),
        np.concatenate([f.is_right for f in found]),
        np.concatenate([f.scores for f in found]),
        points("keypoints_2d"),
        points("keypoints_3d"),
    )
