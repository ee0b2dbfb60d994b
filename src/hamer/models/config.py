"""What a HaMeR network is made of, as typed dataclasses, and their translation from and to the yaml configuration.

`HamerConfig.from_cfg` reads the original's keys (`MODEL.BACKBONE.TYPE: vit` is ViT-H). Other sizes are written with
keys that the original does not have: `TYPE: vit_s` (`vit_b`, `vit_l`, `vit_h`), or `EMBED_DIM`, `DEPTH`, `NUM_HEADS`
one by one. So are a convolutional stem (`BACKBONE.STEM`, `TRUNK`), square input (`BACKBONE.IMAGE_SIZE`), tokens of a landmark
model's points (`MODEL.LANDMARK_TOKENS`) and maps that are learned beside (`MODEL.DENSE_HEAD`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeVar

from hamer.configs.node import ConfigNode

ViTSize = Literal["S", "B", "L", "H"]
IMAGE_MEAN: tuple[float, float, float] = (0.485, 0.456, 0.406)
"""ImageNet's mean colour, RGB, of pictures in 0..1: crops are normalised by it."""

IMAGE_STD: tuple[float, float, float] = (0.229, 0.224, 0.225)
"""ImageNet's standard deviation of colour, RGB, of pictures in 0..1."""

TRUNKS = ("hand_landmark",)
Part = TypeVar("Part", "LandmarkConfig", "DenseConfig")

# width, depth, heads, stochastic depth: the ViTs of Dosovitskiy et al. (2021); rates as ViTPose trains them (Xu et al.
# 2022)
_VIT_SIZES: dict[str, tuple[int, int, int, float]] = {
    "S": (384, 12, 6, 0.1),
    "B": (768, 12, 12, 0.3),
    "L": (1024, 24, 16, 0.5),
    "H": (1280, 32, 16, 0.55),
}


@dataclass(frozen=True)
class ViTConfig:
    """A plain vision transformer over patches of a picture of `image_size` (height, width) pixels.

    `patch_padding` zero pixels surround the picture before it is cut: the grid stays image_size / patch_size, shifted.
    `stem`: channels of convolutions that halve the picture one after the other, in the place of the cut into patches
    (Xiao et al., "Early Convolutions Help Transformers See Better", 2021); a network that learns from few pictures needs
    it. None: patches, as published. `stem_blocks`: residual blocks of each of its stages (`hamer.models.stem`).
    `trunk`: what the stem begins with; "hand_landmark" is a landmark model's convolutions, of whose maps the stem's three
    stages are made (`hamer.models.landmark_stem`). None: nothing.
    """

    width: int = 1280
    depth: int = 32
    heads: int = 16
    mlp_ratio: float = 4.0
    image_size: tuple[int, int] = (256, 192)
    patch_size: int = 16
    patch_padding: int = 2
    drop_path_rate: float = 0.55
    gradient_checkpointing: bool = False
    stem: tuple[int, ...] | None = None
    stem_blocks: tuple[int, ...] | None = None
    trunk: str | None = None

    def __post_init__(self) -> None:
        _check_positive(self, "width", "depth", "heads", "patch_size")
        if self.trunk is not None:
            self._check_trunk()
        elif self.stem is not None and 2 ** len(self.stem) != self.patch_size:
            raise ValueError(
                f"ViTConfig.stem must have one entry a halving, {self.patch_size.bit_length() - 1} for patch_size "
                f"{self.patch_size}, got {self.stem}"
            )
        if self.stem_blocks is not None and len(self.stem_blocks) != len(self.stem or ()):
            raise ValueError(
                f"ViTConfig.stem_blocks must have one entry for each of the stem's stages {self.stem}, got {self.stem_blocks}"
            )
        if self.width % self.heads:
            raise ValueError(f"ViTConfig.width must be a multiple of heads, got width {self.width}, heads {self.heads}")
        if any(side % self.patch_size for side in self.image_size):
            raise ValueError(
                f"ViTConfig.image_size must be multiples of patch_size {self.patch_size}, got {self.image_size}"
            )

    def _check_trunk(self) -> None:
        if self.trunk not in TRUNKS:
            raise ValueError(f"MODEL.BACKBONE.TRUNK must be one of {', '.join(TRUNKS)} or null, got {self.trunk!r}")
        if len(self.stem or ()) != 3 or self.stem_blocks is not None or self.patch_size != 16:
            raise ValueError(
                "MODEL.BACKBONE.TRUNK needs MODEL.BACKBONE.STEM with three widths, of maps at 1/4, 1/8 and 1/16, and no "
                f"STEM_BLOCKS; got {self.stem}, {self.stem_blocks}, patches of {self.patch_size}"
            )
        if self.image_size[0] != self.image_size[1] or self.image_size[0] % 128:
            raise ValueError(
                f"MODEL.BACKBONE.IMAGE_SIZE must be square and a multiple of 128 for a TRUNK, got {self.image_size}"
            )

    @classmethod
    def of_size(cls, size: ViTSize, **changes: Any) -> ViTConfig:
        """One of the sizes S (22M parameters), B (86M), L (304M), H (632M)."""
        if size not in _VIT_SIZES:
            raise ValueError(f"size must be one of {', '.join(_VIT_SIZES)}, got {size!r}")
        width, depth, heads, drop_path_rate = _VIT_SIZES[size]
        return replace(cls(width, depth, heads, drop_path_rate=drop_path_rate), **changes)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches, (16, 12) for HaMeR."""
        return self.image_size[0] // self.patch_size, self.image_size[1] // self.patch_size


@dataclass(frozen=True)
class DecoderConfig:
    """The head: one query token that attends to the backbone's `context_dim`-wide features in `depth` layers."""

    width: int = 1024
    depth: int = 6
    heads: int = 8
    dim_head: int = 64
    mlp_dim: int = 1024
    context_dim: int = 1280
    dropout: float = 0.0
    emb_dropout: float = 0.0
    ief_iters: int = 1

    def __post_init__(self) -> None:
        _check_positive(self, "width", "depth", "heads", "dim_head", "mlp_dim", "context_dim", "ief_iters")


@dataclass(frozen=True)
class LandmarkConfig:
    """Tokens of a landmark model's 21 points beside those of the picture: `depth` blocks of `heads` heads mix them."""

    depth: int = 3
    heads: int = 4

    def __post_init__(self) -> None:
        _check_positive(self, "depth", "heads")


@dataclass(frozen=True)
class DenseConfig:
    """Maps learned beside the hand, on `side` x `side` cells of the crop; `width` channels before the last layer.

    `skips`: they are also made from the maps of the stem's stages. `points`: the network reads its own points off them,
    which then are its landmark tokens' (`hamer.models.dense_head`); the maps are no longer for training only.
    """

    width: int = 64
    side: int = 32
    skips: bool = False
    points: bool = False

    def __post_init__(self) -> None:
        _check_positive(self, "width", "side")


@dataclass(frozen=True)
class HamerConfig:
    """A whole network: `image_size` px is the side of the square crop, of which the backbone sees the middle columns.

    `focal_length` px is that of the assumed camera for a crop; `with_discriminator` adds the training's adversary, so
    that the tensors are those of a training checkpoint. `landmarks`: the head also reads a landmark model's points;
    `dense`: maps of joints and parts. Both are None in the published network.
    """

    backbone: ViTConfig = field(default_factory=ViTConfig)
    head: DecoderConfig = field(default_factory=DecoderConfig)
    image_size: int = 256
    focal_length: float = 5000.0
    with_discriminator: bool = False
    landmarks: LandmarkConfig | None = None
    dense: DenseConfig | None = None

    def __post_init__(self) -> None:
        height, width = self.backbone.image_size
        if height != self.image_size or width > self.image_size or (self.image_size - width) % 2:
            raise ValueError(
                f"HamerConfig.backbone.image_size must be the crop's {self.image_size} rows and its middle columns, got "
                f"{self.backbone.image_size}; set MODEL.IMAGE_SIZE: 256"
            )
        if self.head.context_dim != self.backbone.width:
            raise ValueError(
                f"HamerConfig.head.context_dim must equal the backbone's width {self.backbone.width}, got "
                f"{self.head.context_dim}; set MODEL.MANO_HEAD.TRANSFORMER_DECODER.context_dim"
            )
        if self.landmarks is not None and self.backbone.width % self.landmarks.heads:
            raise ValueError(
                f"MODEL.LANDMARK_TOKENS.HEADS must divide the backbone's width {self.backbone.width}, got "
                f"{self.landmarks.heads}"
            )
        if self.dense is not None and self.dense.skips and self.backbone.stem is None:
            raise ValueError("MODEL.DENSE_HEAD.SKIPS needs a convolutional stem: set MODEL.BACKBONE.STEM")
        if self.dense is not None and self.dense.points and self.landmarks is None:
            raise ValueError("MODEL.DENSE_HEAD.POINTS are read by landmark tokens: set MODEL.LANDMARK_TOKENS")
        if self.dense is not None and self.dense.side % self.backbone.grid[0]:
            raise ValueError(
                f"MODEL.DENSE_HEAD.SIDE must be a multiple of the feature map's {self.backbone.grid[0]} rows, got "
                f"{self.dense.side}"
            )

    @property
    def bbox_shape(self) -> tuple[int, int]:
        """The shape (width, height) that a hand's box is widened to before it is cropped, as the backbone sees it."""
        return self.backbone.image_size[1], self.backbone.image_size[0]

    @classmethod
    def of_size(cls, size: ViTSize, *, decoder_depth: int = 6, with_discriminator: bool = False) -> HamerConfig:
        """HaMeR around a ViT of size S, B, L or H (H is the published one)."""
        backbone = ViTConfig.of_size(size)
        head = DecoderConfig(depth=decoder_depth, context_dim=backbone.width)
        return cls(backbone, head, with_discriminator=with_discriminator)

    @classmethod
    def from_cfg(cls, cfg: Mapping[str, Any]) -> HamerConfig:
        """Read the keys of a `model_config.yaml`.

        Raises:
            ValueError: a backbone or head that this package does not have, or sizes that do not fit each other.
        """
        model = cfg["MODEL"]
        head = model.get("MANO_HEAD", {})
        if head.get("TYPE", "transformer_decoder") != "transformer_decoder":
            raise ValueError(f"MODEL.MANO_HEAD.TYPE must be 'transformer_decoder', got {head['TYPE']!r}")
        if head.get("JOINT_REP", "6d") != "6d" or head.get("TRANSFORMER_INPUT", "zero") != "zero":
            raise ValueError(
                "MODEL.MANO_HEAD must have JOINT_REP '6d' and TRANSFORMER_INPUT 'zero' (the published network's), got "
                f"{head.get('JOINT_REP')!r} and {head.get('TRANSFORMER_INPUT')!r}"
            )
        backbone = _vit_from_cfg(model.get("BACKBONE", {}))
        _check_colours(model, backbone)
        decoder = dict(head.get("TRANSFORMER_DECODER", {}))
        return cls(
            backbone=backbone,
            head=_decoder_from_cfg({"context_dim": backbone.width, **decoder}, int(head.get("IEF_ITERS", 1))),
            image_size=int(model.get("IMAGE_SIZE", 256)),
            focal_length=float(cfg.get("EXTRA", {}).get("FOCAL_LENGTH", 5000)),
            with_discriminator=float(cfg.get("LOSS_WEIGHTS", {}).get("ADVERSARIAL", 0)) > 0,
            landmarks=_part_from_cfg(LandmarkConfig, model, "LANDMARK_TOKENS"),
            dense=_part_from_cfg(DenseConfig, model, "DENSE_HEAD"),
        )

    def to_cfg(self) -> ConfigNode:
        """The configuration tree that `from_cfg` reads as this network, with the package's defaults around it."""
        from hamer.configs.reader import default_config

        cfg = default_config()
        cfg.merge(
            {
                "MODEL": {
                    "IMAGE_SIZE": self.image_size,
                    "BBOX_SHAPE": [self.backbone.image_size[1], self.backbone.image_size[0]],
                    "BACKBONE": {"TYPE": "vit", **_vit_to_cfg(self.backbone)},
                    **_part_to_cfg("LANDMARK_TOKENS", self.landmarks),
                    **_part_to_cfg("DENSE_HEAD", self.dense),
                    "MANO_HEAD": {
                        "TYPE": "transformer_decoder",
                        "IEF_ITERS": self.head.ief_iters,
                        "TRANSFORMER_DECODER": {key: getattr(self.head, mine) for key, mine in _DECODER_KEYS.items()},
                    },
                },
                "EXTRA": {"FOCAL_LENGTH": self.focal_length},
                "LOSS_WEIGHTS": {"ADVERSARIAL": 0.0005 if self.with_discriminator else 0.0},
            }
        )
        cfg.freeze()
        return cfg


# The original's key -> our field.
_VIT_KEYS = {
    "EMBED_DIM": "width",
    "DEPTH": "depth",
    "NUM_HEADS": "heads",
    "MLP_RATIO": "mlp_ratio",
    "DROP_PATH_RATE": "drop_path_rate",
    "GRADIENT_CHECKPOINTING": "gradient_checkpointing",
}
_VIT_TUPLES = {"IMAGE_SIZE": "image_size", "STEM": "stem", "STEM_BLOCKS": "stem_blocks"}
_DECODER_KEYS = {
    "depth": "depth",
    "heads": "heads",
    "mlp_dim": "mlp_dim",
    "dim_head": "dim_head",
    "dropout": "dropout",
    "emb_dropout": "emb_dropout",
    "context_dim": "context_dim",
    "dim": "width",
}
_DECODER_CONSTANTS = {"norm": "layer", "emb_dropout_type": "drop", "norm_cond_dim": -1, "skip_token_embedding": False}


def _vit_from_cfg(backbone: Mapping[str, Any]) -> ViTConfig:
    kind = str(backbone.get("TYPE", "vit")).lower()
    sizes = {"vit": "H"} | {f"vit_{size.lower()}": size for size in _VIT_SIZES}
    if kind not in sizes:
        raise ValueError(f"MODEL.BACKBONE.TYPE must be one of {', '.join(sizes)}, got {backbone.get('TYPE')!r}")
    changes = {mine: backbone[key] for key, mine in _VIT_KEYS.items() if key in backbone}
    for key, mine in _VIT_TUPLES.items():
        if backbone.get(key) is not None:
            changes[mine] = tuple(int(v) for v in backbone[key])
    if backbone.get("TRUNK") is not None:
        changes["trunk"] = str(backbone["TRUNK"])
    return ViTConfig.of_size(sizes[kind], **changes)  # type: ignore[arg-type]


def _check_colours(model: Mapping[str, Any], backbone: ViTConfig) -> None:
    """A trunk knows colours from 0 to 1: its stem takes back what crops were normalised by."""
    given = [tuple(model.get(key, own)) for key, own in (("IMAGE_MEAN", IMAGE_MEAN), ("IMAGE_STD", IMAGE_STD))]
    if backbone.trunk is not None and given != [IMAGE_MEAN, IMAGE_STD]:
        raise ValueError(
            f"MODEL.IMAGE_MEAN and IMAGE_STD must be {IMAGE_MEAN} and {IMAGE_STD} with MODEL.BACKBONE.TRUNK, got "
            f"{given[0]} and {given[1]}"
        )


def _vit_to_cfg(backbone: ViTConfig) -> dict[str, Any]:
    """Keys of our own appear only where a network differs from the published form."""
    plain = {key: getattr(backbone, mine) for key, mine in _VIT_KEYS.items()}
    default = ViTConfig()
    ours = {key: getattr(backbone, mine) for key, mine in _VIT_TUPLES.items()}
    ours = {key: list(v) for key, v in ours.items() if v != getattr(default, _VIT_TUPLES[key])}
    return plain | ours | ({"TRUNK": backbone.trunk} if backbone.trunk else {})


def _part_from_cfg(kind: type[Part], model: Mapping[str, Any], key: str) -> Part | None:
    """An optional part of the network, its fields in capitals; None where the key is absent or null."""
    values = model.get(key)
    if values is None:
        return None
    known = {entry.name.upper(): entry.name for entry in fields(kind)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"MODEL.{key}.{unknown[0]} is not known; known are {', '.join(known)}")
    return kind(**{known[name]: value for name, value in values.items()})


def _part_to_cfg(key: str, part: LandmarkConfig | DenseConfig | None) -> dict[str, Any]:
    return {} if part is None else {key: {entry.name.upper(): getattr(part, entry.name) for entry in fields(part)}}


def _decoder_from_cfg(decoder: Mapping[str, Any], ief_iters: int) -> DecoderConfig:
    values: dict[str, Any] = {}
    for key, value in decoder.items():
        if key in _DECODER_KEYS:
            values[_DECODER_KEYS[key]] = value
        elif key not in _DECODER_CONSTANTS:
            raise ValueError(
                f"MODEL.MANO_HEAD.TRANSFORMER_DECODER.{key} is not known; known are {', '.join(_DECODER_KEYS)}"
            )
        elif value != _DECODER_CONSTANTS[key]:
            raise ValueError(
                f"MODEL.MANO_HEAD.TRANSFORMER_DECODER.{key} must be {_DECODER_CONSTANTS[key]!r}, got {value!r}: other "
                "variants were never published"
            )
    return DecoderConfig(**values, ief_iters=ief_iters)


def _check_positive(config: Any, *names: str) -> None:
    for entry in fields(config):
        value = getattr(config, entry.name)
        if entry.name in names and (isinstance(value, bool) or not isinstance(value, int) or value <= 0):
            raise ValueError(f"{type(config).__name__}.{entry.name} must be a positive whole number, got {value!r}")
