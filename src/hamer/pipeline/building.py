"""Estimators from names and files: the built-in network, a checkpoint, or the fit of keypoints alone."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hamer.fitting import FitOptions
from hamer.hand_models import HandModel
from hamer.models.devices import pick_device
from hamer.pipeline.estimators import Estimator, FittingEstimator
from hamer.pipeline.network_estimator import NetworkEstimator, OnDemand
from hamer.weights import built_in, require_built_in

if TYPE_CHECKING:
    from hamer.models.hamer import HAMER
    from hamer.models.precision import Precision

logger = logging.getLogger(__name__)

Way = Literal["built-in", "fit"]
BUILT_IN: Way = "built-in"
FIT: Way = "fit"
TITLE = "built-in network"
"""What results call the network that comes with the package."""

REFINEMENT = FitOptions(stay_pose=10.0, stay_orient=20.0, stay_betas=1.0, keep_prior=True)
"""How the built-in network's hands are refined by keypoints: its word is one more observation beside these and beside what
is known of hands. Chosen on made pictures that were not trained on (docs/model_cards/built_in.md)."""


def settled(weights: str | Path | None) -> Path | Way:
    """What `weights` of `HandReconstructor.from_pretrained` means on this machine.

    Returns:
        a checkpoint's path, "built-in", or "fit": None is the built-in network where the package has it, else a fit, and
        that is logged.

    Raises:
        AssetError: "built-in" was asked for by name and is not here.
    """
    if weights is None:
        if built_in() is not None:
            return BUILT_IN
        logger.info("this copy of hamer has no built-in network: hands are fitted to landmarks alone")
        return FIT
    if str(weights) == FIT:
        return FIT
    if str(weights) == BUILT_IN:
        require_built_in()
        return BUILT_IN
    return Path(weights)


def weights_file(way: Path | Way) -> Path | None:
    """The network's file of a settled way; None where there is no network."""
    if isinstance(way, Path):
        return way
    return require_built_in() if way == BUILT_IN else None


def build_estimator(
    way: Path | Way,
    *,
    hand_model: str | Path = "open",
    refine: bool | None = None,
    rescale_factor: float | None = None,
    batch_size: int = 8,
    device: str = "auto",
    precision: Precision = "float32",
) -> Estimator:
    """The estimator for a settled way; a network is loaded when it is first needed. See `HandReconstructor.from_pretrained`."""
    if way == FIT:
        return FittingEstimator(load_hand_model(hand_model))
    path = weights_file(way)
    assert path is not None
    network = OnDemand(lambda: load_network(path, device, precision))
    if isinstance(way, Path):
        return NetworkEstimator(network, rescale_factor=rescale_factor, batch_size=batch_size, refine=bool(refine))
    return NetworkEstimator(
        network,
        rescale_factor=rescale_factor,
        batch_size=batch_size,
        refine=refine is None or refine,
        options=REFINEMENT,
        target=load_hand_model(hand_model),
        title=TITLE,
    )


def model_name(way: Way, hand_model: str | Path = "open") -> str:
    """What results of a settled way say of how they were made, without loading anything."""
    return f"keypoint fit ({hand_model} hand)" if way == FIT else f"{TITLE} + keypoint refinement ({hand_model} hand)"


def load_hand_model(which: str | Path = "open") -> HandModel:
    """A hand model by name ("open", "mano") or by the path of a MANO file."""
    from hamer.assets import require_original
    from hamer.checkpoints.hand_files import load_open_hand, read_mano

    if str(which) == "open":
        return HandModel(load_open_hand())
    return HandModel(read_mano(require_original("mano") if str(which) == "mano" else Path(which)))


def check_network(weights: str | Path) -> None:
    """Raise where a checkpoint or its configuration is missing or no checkpoint, without loading it."""
    from hamer.models.loading import check_hamer

    check_hamer(weights)


def load_network(weights: str | Path, device: str = "auto", precision: Precision = "float32") -> HAMER:
    """A HAMER network from a checkpoint, on its device, in evaluation mode."""
    from hamer.models import load_hamer

    network, _config = load_hamer(weights, device=pick_device(device), precision=precision)
    return network
