"""HAMER: a crop of a hand in, MANO parameters, camera, joints and vertices out, with the original's names throughout.

Letters: B hands. Everything is in the right-hand convention: a left hand's crop comes mirrored, its geometry leaves
    mirrored.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hamer.configs.node import ConfigNode
from hamer.geometry.cameras import perspective_projection, pred_cam_to_translation
from hamer.hand_models.arrays import HandModelArrays
from hamer.models.config import HamerConfig
from hamer.models.dense_head import DenseHead
from hamer.models.devices import no_autocast
from hamer.models.discriminator import Discriminator
from hamer.models.landmark_tokens import LandmarkTokens
from hamer.models.mano_head import MANOTransformerDecoderHead, neutral_mean_params, read_mean_params
from hamer.models.mano_wrapper import MANO
from hamer.models.vit import ViT


class HAMER(nn.Module):
    """The network of "Reconstructing Hands in 3D with Transformers" (Pavlakos et al., CVPR 2024).

    Args:
        cfg: the configuration tree (`hamer.configs.get_config`); kept as `.cfg`.
        init_renderer: accepted for callers of the original; training is handed its drawing from outside.
        mano: the hand; None reads it from `cfg.MANO.MODEL_PATH`.
        mean_params: what `read_mean_params` returns; None reads `cfg.MANO.MEAN_PARAMS`.
    """

    initialized: Tensor

    def __init__(
        self,
        cfg: Mapping[str, Any],
        init_renderer: bool = True,
        *,
        mano: MANO | None = None,
        mean_params: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        super().__init__()
        del init_renderer
        self.cfg = cfg if isinstance(cfg, ConfigNode) else ConfigNode(cfg)
        self.config = HamerConfig.from_cfg(self.cfg)
        if mean_params is None:
            mean_params = read_mean_params(self.cfg.MANO.MEAN_PARAMS)
        self.register_buffer("initialized", torch.tensor(False))
        self.backbone = ViT(self.config.backbone)
        self.mano_head = MANOTransformerDecoderHead(self.config.head, mean_params)
        width, tokens, dense = self.config.backbone.width, self.config.landmarks, self.config.dense
        self.landmark_tokens = None
        if tokens is not None:
            fine = dense.width if dense is not None and dense.points else None
            self.landmark_tokens = LandmarkTokens(width, tokens, self.config.head.width, fine)
        self.dense_head = None
        if dense is not None:
            self.dense_head = DenseHead(width, self.config.backbone.grid[0], dense, self.config.backbone.stem or ())
        if self.config.with_discriminator:
            self.discriminator = Discriminator()
        self.mano = mano if mano is not None else _mano_from_cfg(self.cfg)
        self._load_pretrained_backbone()

    def _load_pretrained_backbone(self) -> None:
        """Training starts from ViTPose's weights where the configuration names them; inference removes the key."""
        path = self.cfg.MODEL.get("BACKBONE", {}).get("PRETRAINED_WEIGHTS")
        if path:
            from hamer.models.loading import load_backbone

            load_backbone(self.backbone, path)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.backbone.pos_embed.device

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Any]:
        """Hands from crops.

        Args:
            batch: `img` (B, 3, S, S), normalised RGB, S = 256 for the published network; `landmarks` (B, 21, 7) for a network
                that reads them (`hamer.models.landmark_tokens`; without it none is known); other entries are ignored.

        Returns:
            `pred_cam` (B, 3) scale and translation (s, tx, ty) in the crop; `pred_cam_t` (B, 3) metres, for
            `focal_length` (B, 2) px in a 256-pixel crop; `pred_mano_params`: `global_orient` (B, 1, 3, 3), `hand_pose`
            (B, 15, 3, 3), `betas` (B, 10); `pred_keypoints_3d` (B, 21, 3) and `pred_vertices` (B, V, 3) metres, without
            the translation; `pred_keypoints_2d` (B, 21, 2) crop widths from the crop's centre. A network with a dense head
            adds its maps (`hamer.models.dense_head`).
        """
        features, maps = self.seen(batch["img"])
        return self.hands(features, batch.get("landmarks"), maps)

    def features(self, image: Tensor, stages: list[Tensor] | None = None) -> Tensor:
        """The backbone's feature map (B, C, rows, columns) of crops (B, 3, S, S), of which it sees the middle columns.

        `stages`: as `ViT.forward` takes it.
        """
        image = self._checked(image)
        margin = (self.config.image_size - self.config.backbone.image_size[1]) // 2
        return self.backbone(image[..., margin : image.shape[-1] - margin], stages)

    def seen(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The feature map, and what the dense head makes of it; without that head nothing."""
        stages: list[Tensor] = []
        features = self.features(image, stages)
        return features, {} if self.dense_head is None else self.dense_head(features, stages)

    def hands(
        self, features: Tensor, landmarks: Tensor | None = None, maps: Mapping[str, Tensor] | None = None
    ) -> dict[str, Any]:
        """What `forward` returns, from the feature map, the network's own maps and, where it reads them, a landmark model's
        points.
        """
        told: tuple[Tensor, ...] = ()
        maps = maps or {}
        if self.landmark_tokens is not None:
            told = self.landmark_tokens(maps.get("fine", features), landmarks, maps.get("pred_points"))
        with no_autocast(features.device):  # millimetres do not survive half precision here
            parameters, pred_cam = self.mano_head(
                *(part.to(self.mano_head.init_cam.dtype) for part in (features, *told))
            )
            shown = {name: value for name, value in maps.items() if name.startswith("pred_")}
            return self._decode(parameters, pred_cam) | shown

    def forward_step(self, batch: Mapping[str, Tensor], train: bool = False) -> dict[str, Any]:
        """`forward` under the original's name; `train` changes nothing there either."""
        del train
        return self(batch)

    def _checked(self, image: Tensor) -> Tensor:
        side = self.config.image_size
        if image.ndim != 4 or tuple(image.shape[1:]) != (3, side, side):
            raise ValueError(
                f"batch['img'] must have shape (B, 3, {side}, {side}), got {tuple(image.shape)}; make crops with hamer.crops"
            )
        return image

    def _decode(self, parameters: dict[str, Tensor], pred_cam: Tensor) -> dict[str, Any]:
        """The output dictionary of `forward` from the head's results."""
        side = self.config.image_size
        focal_length = pred_cam.new_full((pred_cam.shape[0], 2), self.config.focal_length)
        translation = pred_cam_to_translation(pred_cam, focal_length[:, 0], side)
        hand = self.mano(**parameters, pose2rot=False)
        points_2d = perspective_projection(hand.joints, translation=translation, focal_length=focal_length / side)
        return {
            "pred_cam": pred_cam,
            "pred_mano_params": {name: value.clone() for name, value in parameters.items()},
            "pred_cam_t": translation,
            "focal_length": focal_length,
            "pred_keypoints_3d": hand.joints,
            "pred_vertices": hand.vertices,
            "pred_keypoints_2d": points_2d,
        }

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: str | Path,
        map_location: str | torch.device | None = None,
        strict: bool = True,
        cfg: Mapping[str, Any] | None = None,
        init_renderer: bool = True,
        **_lightning_arguments: Any,
    ) -> HAMER:
        """The network of a checkpoint, in evaluation mode.

        Args:
            checkpoint_path: `.ckpt`, `.pth` or `.safetensors`.
            map_location: device of the result; None for the CPU.
            strict: kept for callers of the original; names are always checked (`hamer.models.loading`).
            cfg: configuration; None takes the one stored in or beside the checkpoint.
            init_renderer: see the class.
        """
        from hamer.models.loading import load_network

        del strict, init_renderer
        return load_network(checkpoint_path, cfg=cfg, device=map_location)


def build_hamer(
    config: HamerConfig | Mapping[str, Any],
    hand_arrays: HandModelArrays,
    mean_params: Mapping[str, np.ndarray] | None = None,
) -> HAMER:
    """A network with fresh weights around a hand in memory: for training, distillation, tests.

    A trunk is random too, and frozen: `hamer.models.loading.start_trunk` gives it its published weights.

    Args:
        config: typed, or a configuration tree.
        hand_arrays: MANO or the open hand.
        mean_params: None starts from the flat, mean hand.
    """
    cfg = config.to_cfg() if isinstance(config, HamerConfig) else config
    return HAMER(cfg, mano=MANO(hand_arrays), mean_params=mean_params or neutral_mean_params())


def _mano_from_cfg(cfg: ConfigNode) -> MANO:
    return MANO(**{key.lower(): value for key, value in cfg.MANO.items()})
