"""Get an asset: look whether it is there, else try its sources in order, verify, and put the files in place."""

from __future__ import annotations

import logging
import os
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from hamer.assets.extraction import unpack_tar, unpack_zip
from hamer.assets.http import FAIL_OVER, Patience, Progress, check_space, disk_full, download, file_sha256, verify
from hamer.assets.locking import locked
from hamer.assets.manifest import (
    LANDMARK,
    PALM,
    Asset,
    ByHand,
    Member,
    Source,
    WebArchive,
    WebFile,
    Wheel,
    get_asset,
)
from hamer.assets.places import LandmarkModels, cache_dir, data_folder, is_offline, original_roots
from hamer.assets.wheels import downloaded_wheel
from hamer.errors import AssetError, UnsafeFileError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Status:
    """Where an asset is: `paths` has every target's path, `missing` those that are absent or of a wrong size."""

    asset: Asset
    folder: Path
    paths: dict[str, Path]
    missing: tuple[str, ...]

    @property
    def present(self) -> bool:
        """Whether all of it is there."""
        return not self.missing


def status(name: str, *, to: Path | None = None) -> Status:
    """Look an asset up where the programs look: the first of its folders in which all of it is there, else the folder
    into which `fetch` would put it."""
    asset = get_asset(name)
    folders = [_destination(asset, to)] if to is not None else _search(asset)
    found = [_status_in(asset, folder) for folder in folders]
    return next((one for one in found if one.present), _status_in(asset, _destination(asset, to)))


def fetch(
    name: str,
    *,
    to: Path | None = None,
    from_file: Path | None = None,
    progress: Progress | None = None,
    force: bool = False,
) -> dict[str, Path]:
    """Make sure that an asset is on this machine.

    Args:
        name: an entry of `ASSETS`.
        to: folder to put it in, instead of where the programs look for it.
        from_file: an archive, wheel or single file that the caller already has, instead of the network.
        progress: see `hamer.assets.http.Progress`.
        force: fetch it even if it is there.

    Returns:
        Path of every file, by its target's name in the manifest.

    Raises:
        AssetError: with what failed at each source and what to do.
    """
    asset = get_asset(name)
    now = status(name, to=to)
    if now.present and not force and from_file is None:
        return now.paths
    folder = _destination(asset, to)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / f".{name}.lock"):
        now = _status_in(asset, folder)  # another process may just have finished
        if now.present and not force and from_file is None:
            return now.paths
        if from_file is not None:
            _take_from(asset, Path(from_file), folder, progress)
        else:
            _try_sources(asset, folder, progress)
    return _status_in(asset, folder).paths


def path_of(name: str, *, progress: Progress | None = None) -> Path:
    """The path of an asset's file (its folder, if it has several), which is fetched if it is not there."""
    paths = fetch(name, progress=progress)
    files = list(paths.values())
    return files[0] if len(files) == 1 else Path(os.path.commonpath([str(path.parent) for path in files]))


def landmark_models(progress: Progress | None = None) -> LandmarkModels:
    """The two TensorFlow Lite files of MediaPipe's hand landmarker, fetched if they are not there and hashed each time
    (8 MB), so that a damaged cache mends itself."""
    paths = fetch("hand_landmarker", progress=progress)
    if not _intact("hand_landmarker", paths):
        _log.warning("%s is damaged; fetching it again", paths[PALM].parent)
        paths = fetch("hand_landmarker", progress=progress, force=True)
    return LandmarkModels(palm=paths[PALM], landmark=paths[LANDMARK])


def download_models(folder: str | os.PathLike[str] | None = None) -> None:
    """Drop-in for the original's function: checkpoint, configuration and ViTPose weights to `folder` (default: where
    `_DATA` is looked for), unless they are there."""
    asset = get_asset("hamer_demo_data")
    if folder is None:
        fetch(asset.name)
        return
    target = Path(folder).absolute()
    if not _status_in(asset, target).present:
        target.mkdir(parents=True, exist_ok=True)
        with locked(target / f".{asset.name}.lock"):
            if not _status_in(asset, target).present:
                _try_sources(asset, target, None)


def _intact(name: str, paths: dict[str, Path]) -> bool:
    asset = get_asset(name)
    return all(
        any(file_sha256(path) == member.sha256 for member in asset.accepted(target)) for target, path in paths.items()
    )


def _destination(asset: Asset, to: Path | None) -> Path:
    if to is not None:
        base = Path(to).expanduser().absolute()
        return data_folder(base) if asset.place == "data" else base
    if asset.place == "cache":
        return cache_dir()
    if asset.place == "work":
        return Path.cwd()
    return original_roots()[0] if os.environ.get("HAMER_DATA") else cache_dir() / "_DATA"


def _search(asset: Asset) -> list[Path]:
    return original_roots() if asset.place == "data" else [_destination(asset, None)]


def _status_in(asset: Asset, folder: Path) -> Status:
    paths = {target: folder / target for target in asset.targets}
    missing = tuple(target for target, path in paths.items() if not _plausible(asset, target, path))
    return Status(asset, folder, paths, missing)


def _plausible(asset: Asset, target: str, path: Path) -> bool:
    if not path.is_file():
        return False
    sizes = [member.size for member in asset.accepted(target)]
    return path.stat().st_size > 0 and (None in sizes or path.stat().st_size in sizes)


def _try_sources(asset: Asset, folder: Path, progress: Progress | None) -> None:
    by_hand = next((source for source in asset.sources if isinstance(source, ByHand)), None)
    if by_hand is not None:
        raise AssetError(f"{asset.name}: cannot be downloaded by a program.\n{by_hand.steps}")
    if is_offline():
        raise AssetError(
            f"{asset.name}: not in {folder}, and HAMER_OFFLINE forbids asking the network. Unset it and run "
            f"`hamer fetch {asset.name}`, or give a file with `hamer fetch {asset.name} --from FILE`."
        )
    faults = []
    for number, source in enumerate(asset.sources, 1):
        patience = FAIL_OVER if number < len(asset.sources) else Patience()
        try:
            _from_source(asset, source, folder, progress, patience)
            return
        except (AssetError, UnsafeFileError) as error:
            _log.info("%s: source %d of %d failed: %s", asset.name, number, len(asset.sources), error)
            faults.append(str(error))
    listed = "".join(f"\n  {number}. {fault}" for number, fault in enumerate(faults, 1))
    raise AssetError(
        f"{asset.name}: could not be fetched from {'any of its sources' if len(faults) > 1 else 'its source'}:{listed}\n"
        f"Try again later, or bring the file from another machine and run `hamer fetch {asset.name} --from FILE`."
    )


def _from_source(asset: Asset, source: Source, folder: Path, progress: Progress | None, patience: Patience) -> None:
    if isinstance(source, WebFile):
        member = source.member
        target = folder / member.target
        download(source.url, target, size=member.size, sha256=member.sha256, progress=progress, patience=patience)
    elif isinstance(source, WebArchive):
        archive = folder / f".{asset.name}.{'zip' if source.kind == 'zip' else 'tar.gz'}"
        download(
            source.url,
            archive,
            size=source.size,
            sha256=source.sha256,
            progress=progress,
            patience=patience,
            extra_space=source.unpacked or 0,
        )
        _unpack(source, archive, folder, asset, progress)
        archive.unlink()
    elif isinstance(source, Wheel):
        with downloaded_wheel(source, folder) as wheel:
            _unpack(source, wheel, folder, asset, progress)


def _unpack(
    source: WebArchive | Wheel | ByHand, archive: Path, folder: Path, asset: Asset, progress: Progress | None
) -> None:
    """Unpack below a staging folder on the same disk, verify, then rename every file into place."""
    staging = folder / f".{asset.name}.unpacking"
    shutil.rmtree(staging, ignore_errors=True)  # left by a process that was killed; the lock is ours
    chosen = {member.name: member for member in source.members}
    others = isinstance(source, WebArchive) and source.others

    def choose(name: str) -> str | None:
        if name in chosen:
            return chosen[name].target
        return _other_target(name, source) if others else None

    try:
        staging.mkdir(parents=True)
        if zipfile.is_zipfile(archive):
            written = unpack_zip(archive, staging, choose=choose)
        else:
            check_space(folder, getattr(source, "unpacked", None) or 0, str(archive))
            written = unpack_tar(archive, staging, choose=choose, progress=progress)
        _check_members(chosen, staging, archive)
        for path in written:
            _move(path, folder / path.relative_to(staging))
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _other_target(name: str, source: Source) -> str | None:
    strip = source.strip if isinstance(source, WebArchive) else ""
    if any(part.startswith(".") for part in Path(name).parts) or not name.startswith(strip):
        return None
    return name[len(strip) :] or None


def _check_members(chosen: dict[str, Member], staging: Path, archive: Path) -> None:
    absent = [name for name, member in chosen.items() if not (staging / member.target).is_file()]
    if absent:
        raise AssetError(
            f"{archive}: expected it to hold {', '.join(absent)}, which are not in it. Is it the right file?"
        )
    for name, member in chosen.items():
        verify(staging / member.target, size=member.size, sha256=member.sha256, what=f"{archive}: {name}")


def _move(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, target)


def _take_from(asset: Asset, file: Path, folder: Path, progress: Progress | None) -> None:
    """Take an asset out of a file that the caller has: any archive of its sources, or the file itself."""
    if not file.is_file():
        raise AssetError(
            f"--from: expected a file, got {file}, which is {'a folder' if file.is_dir() else 'not there'}."
        )
    faults = []
    for source in asset.sources:
        try:
            if isinstance(source, WebFile):
                _copy_in(source.member, file, folder)
            else:
                _unpack(source, file, folder, asset, progress)
            return
        except (AssetError, UnsafeFileError) as error:
            faults.append(str(error))
    raise AssetError(f"{asset.name}: {file} does not hold it: {' | '.join(dict.fromkeys(faults))}")


def _copy_in(member: Member, file: Path, folder: Path) -> None:
    verify(file, size=member.size, sha256=member.sha256)
    target = folder / member.target
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(target.name + ".copying")
    try:
        shutil.copyfile(file, temporary)
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise disk_full(error, target.parent) or error from error
