"""Hands from crops by a network, refined by the detector's keypoints where that is asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hamer.crops import CropBatch
from hamer.fitting import FitOptions, HandPose
from hamer.geometry.cameras import solve_translation, undistort_with_camera
from hamer.geometry.directions import turns_about_view
from hamer.hand_models import HandModel
from hamer.models.devices import exact_float32, free_memory
from hamer.pipeline.assembly import assemble
from hamer.pipeline.estimators import fit_estimate
from hamer.pipeline.flat_hands import Estimate, FlatHands
from hamer.pipeline.network_inputs import NetworkInputs
from hamer.pipeline.pictures import Picture
from hamer.pipeline.views import ROUGH_LOOKS, Views, picture_limits
from hamer.structures import Camera, Hand, HandBoxes

if TYPE_CHECKING:
    from hamer.models.hamer import HAMER

logger = logging.getLogger(__name__)

OWN_DOUBT = 0.15
"""A point of which the network's own map is sure by m has the confidence m^2 / (m^2 + OWN_DOUBT) beside a detector's points: its
standard deviation as the fit counts it goes with 1/m (`hamer.fitting.FitOptions.sigma_unsure`). Points of unsure maps crowd in
the middle of what these think possible, and a hand that believes them shrinks."""

MUCH_NEARER = 0.5
"""Misfit of a fit alone over that of a refined hand from which the refined one is given up."""


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
        rescale_factor: how much of the hand's surroundings a crop shows, times the box; None for what the network was
            trained with (`NetworkInputs.of`).
        batch_size: crops a forward pass.
        refine: fit the result to the detector's keypoints where there are any, else to the network's own points, if it has
            such. Hands for which the network gives numbers that are not finite are fitted from the keypoints alone.
        options: of that fit.
        target: the hand that results are to be of, where it is not the network's own: rotations are carried over (both
            hands' rest axes mean the same), the shape starts from the target's mean and comes from the keypoints.
        title: what results call the network.
    """

    def __init__(
        self,
        network: HAMER | OnDemand,
        *,
        rescale_factor: float | None = None,
        batch_size: int = 8,
        refine: bool = False,
        options: FitOptions | None = None,
        target: HandModel | None = None,
        title: str = "hamer",
    ) -> None:
        self._source = network if isinstance(network, OnDemand) else OnDemand(lambda: network)
        self._own_hand: HandModel | None = None
        self._inputs: NetworkInputs | None = None
        self._rescale_factor = rescale_factor
        self.target = None if target is None else target.eval()
        self.batch_size = batch_size
        self.refine = refine
        self.options = options or FitOptions()
        self.title = title

    @property
    def name(self) -> str:
        """What results say of how they were made; loads nothing."""
        hand = "" if self.target is None else f" ({self.target.name} hand)"
        return self.title + (" + keypoint refinement" if self.refine else "") + hand

    @property
    def hand_model(self) -> HandModel:
        """The hand of the results, on the CPU, where these are put together: `target`, else that of the training."""
        return self.target or self._network_hand

    @property
    def inputs(self) -> NetworkInputs:
        """How the network sees a hand."""
        if self._inputs is None:
            self._inputs = NetworkInputs.of(self._source.get(), self._rescale_factor)
        return self._inputs

    @property
    def uses_landmarks(self) -> bool:
        """Whether results are better for hands of which the detector gives joints."""
        return self.refine or self.inputs.takes_landmarks or self.inputs.upright

    @property
    def _network_hand(self) -> HandModel:
        if self._own_hand is None:
            self._own_hand = HandModel(self._source.get().mano.arrays).eval()
        return self._own_hand

    @property
    def _carries_over(self) -> bool:
        """Whether results are of another hand than the network's."""
        ours, theirs = self.hand_model.arrays, self._network_hand.arrays
        return self.target is not None and not np.array_equal(ours.v_template, theirs.v_template)

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
        if not any(len(f) for f in found):
            return [[] for _ in found]
        found = [f[self.inputs.can_be_cropped(f.boxes)] for f in found]
        if not any(len(f) for f in found):
            return [[] for _ in found]
        flat = FlatHands.of(cameras, found)
        estimate, own = self.predict(pictures, flat, cameras)
        if self.refine:
            estimate = self._refined(estimate, flat, own)
        return assemble(self.hand_model, estimate, flat, cameras, len(found))

    def _refined(self, estimate: Estimate, flat: FlatHands, own: torch.Tensor | None) -> Estimate:
        """The estimate fitted to the detector's keypoints, or to the network's `own` where there are none; what cannot be
        fitted stays as it is.

        A hand that stays far from its keypoints although it was pulled there began as another hand: it is fitted without
        the network's word too, and that is taken where it comes much nearer.
        """
        given = flat.has_keypoints
        if own is not None:
            flat = flat.filled(own)
        if not bool(flat.has_keypoints.any()):
            return estimate
        known = torch.where(estimate.valid, 1.0, torch.nan)[:, None]  # NaN: that hand is fitted without a start
        initial = HandPose(
            estimate.global_orient * known[:, None],
            estimate.hand_pose * known[:, None, None],
            estimate.betas * known,
            estimate.translation,
        )
        options = self.options
        if self._carries_over:  # nothing is known of the target's betas yet
            options = replace(options, stay_betas=options.sigma_betas)
        refined = fit_estimate(self.hand_model, flat, options, initial)
        done = refined.valid.nonzero()[:, 0]
        result = estimate.replaced(done, refined[done])
        lost = (given & refined.valid & (refined.misfit > options.outlier_2d / 2 * flat.sizes)).nonzero()[:, 0]
        if len(lost):
            alone = fit_estimate(self.hand_model, flat[lost], options)
            better = alone.valid & (alone.misfit < MUCH_NEARER * refined.misfit[lost])
            result = result.replaced(lost[better], alone[better])
        return result

    @torch.inference_mode()
    def predict(
        self, pictures: Sequence[Picture], flat: FlatHands, cameras: Sequence[Camera]
    ) -> tuple[Estimate, torch.Tensor | None]:
        """The network's own word on every hand, before any refinement, and the points that it read off its maps (N, 21, 3),
        undistorted px and confidence; None for a network that reads none.
        """
        merged = self._looked([p.rgb for p in pictures], flat)
        orient, pose, betas = merged["global_orient"][:, 0], merged["hand_pose"], merged["betas"]
        joints = merged["joints"]
        if self._carries_over:
            betas = torch.zeros_like(betas)
            joints = self.hand_model.joints(orient, pose, betas)
        translation = _translations(joints, merged["points"], flat, cameras)
        valid = torch.isfinite(translation).all(-1) & torch.isfinite(joints).flatten(1).all(-1)
        valid &= torch.isfinite(betas).all(-1)
        if not bool(valid.all()):
            logger.warning(
                "%s gave numbers that are not finite for %d of %d hands", self.title, (~valid).sum(), len(valid)
            )
        estimate = Estimate(orient, pose, betas, translation, valid, torch.full((len(valid),), torch.inf))
        if "own" not in merged:
            return estimate, None
        own = _undistorted(merged["own"][..., :2], flat, cameras)
        sure = merged["own"][..., 2:].clamp(0.0, 1.0).square()
        return estimate, torch.cat([own, sure / (sure + OWN_DOUBT)], dim=-1)

    def _looked(self, images: Sequence[np.ndarray], flat: FlatHands) -> dict[str, torch.Tensor]:
        """What `_kept` keeps of the last look at each hand.

        A hand whose box is rough (`FlatHands`), or that would be seen upright but nobody knows yet how it points, is looked
        at again, as the joints tell that were seen before (`hamer.pipeline.views`).
        """
        inputs, limits = self.inputs, picture_limits(images, flat.picture_index)
        views = Views.first(flat.hands, limits, inputs, flat.is_rough)
        merged = self._outputs(images, flat, views)
        again = np.flatnonzero(flat.is_rough | (np.isnan(views.rotation) & inputs.upright))
        views = views[again]
        for _ in range(ROUGH_LOOKS - 1):
            if not len(again):
                break
            rows = torch.from_numpy(again)
            seen = merged.get("own", merged["points"])[rows, :, :2].numpy()
            views = views.closer(seen, limits[again], inputs)
            closer = self._outputs(images, flat[rows], views)
            merged = {key: value.index_copy(0, rows, closer[key]) for key, value in merged.items()}
            views, again = views[flat.is_rough[again]], again[flat.is_rough[again]]
        return merged

    def _outputs(self, images: Sequence[np.ndarray], flat: FlatHands, views: Views) -> dict[str, torch.Tensor]:
        """What `_kept` keeps of a forward pass, of all hands."""
        network = self._source.get()
        rotation = np.nan_to_num(views.rotation) if self.inputs.upright else None
        parts: list[dict[str, torch.Tensor]] = []
        for start in range(0, len(flat), self.batch_size):
            chunk = slice(start, start + self.batch_size)
            hands = flat.hands[chunk]
            crops = self.inputs.crops(
                images,
                flat.picture_index[chunk],
                views.boxes[chunk],
                hands.is_right,
                None if rotation is None else rotation[chunk],
            )
            with exact_float32():
                parts.append(_kept(network(self.inputs.batch(crops, hands, network.device)), crops))
        return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}


def _kept(output: dict[str, Any], crops: CropBatch) -> dict[str, torch.Tensor]:
    """What is needed of a forward pass, float32 on the CPU; `points` (N, 21, 2) are px of the pictures, as those of `own`
    (N, 21, 3) are, the points that the network read off its maps, and how sure these are. Orientation and joints are turned
    back from crops that are turned.
    """
    kept = {k: output["pred_mano_params"][k].float().cpu() for k in ("global_orient", "hand_pose", "betas")}
    joints = output["pred_keypoints_3d"].float().cpu()
    if crops.rotation is not None:
        clockwise = np.where(crops.right > 0, crops.rotation, -crops.rotation)  # left hands' crops are mirrored
        turn = torch.from_numpy(turns_about_view(clockwise)).to(joints)
        kept["global_orient"] = turn[:, None] @ kept["global_orient"]
        wrist = joints[:, :1]  # an orientation turns the hand about its wrist, which lies where it lies
        joints = (joints - wrist) @ turn.mT + wrist
    if "pred_points" in output:
        own = output["pred_points"].float().cpu()
        kept["own"] = torch.cat([_in_picture(own[..., :2], crops), own[..., 2:3]], dim=-1)
    points = _in_picture(output["pred_keypoints_2d"].float().cpu(), crops)
    return {**kept, "joints": joints, "points": points}


def _in_picture(points: torch.Tensor, crops: CropBatch) -> torch.Tensor:
    """Points (N, 21, 2) in crop widths from each crop's centre, as px of the pictures."""
    return torch.from_numpy(crops.to_picture((points.numpy() + 0.5) * crops.img.shape[-1])).float()


def _undistorted(points: torch.Tensor, flat: FlatHands, cameras: Sequence[Camera]) -> torch.Tensor:
    """Points (N, 21, 2) px as pictures without distortion would show them."""
    pairs = zip(points.numpy(), flat.picture_index, strict=True)
    return torch.from_numpy(np.stack([undistort_with_camera(p, cameras[int(i)]) for p, i in pairs]))


def _translations(
    joints: torch.Tensor, points: torch.Tensor, flat: FlatHands, cameras: Sequence[Camera]
) -> torch.Tensor:
    """(N, 3): where each hand stands so that its joints project where the network saw them, right-hand convention."""
    mirror = flat.mirror
    undistorted = _undistorted(points, flat, cameras)
    return solve_translation(joints * mirror[:, None], undistorted, flat.camera_matrix) * mirror
