"""Archives that want out of their folder, or more of the disk than they should."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from hamer.assets.extraction import Limits, unpack_tar, unpack_zip
from hamer.errors import AssetError, UnsafeFileError


def _tar(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: Any = "w:gz") -> Path:
    with tarfile.open(path, mode) as bundle:
        for info, data in members:
            info.size = info.size or len(data)
            bundle.addfile(info, io.BytesIO(data))
    return path


def _info(name: str, kind: bytes = tarfile.REGTYPE, **values: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in values.items():
        setattr(info, key, value)
    return info


def _outside(tmp_path: Path, folder: Path) -> set[str]:
    return {path.name for path in tmp_path.rglob("*") if folder not in path.parents} - {"a.tar.gz", "a.zip", "work"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_plain_tar(tmp_path: Path, folder: Path, mode: str) -> None:
    archive = _tar(
        tmp_path / "a.tar.gz",
        (_info("d", tarfile.DIRTYPE), b""),
        (_info("d/one.txt", mode=0o6777), b"one"),
        (_info("./two.txt"), b"two"),
        (_info("d/._one.txt"), b"of a Mac"),
        mode=mode,
    )
    written = unpack_tar(archive, folder)
    assert {path.relative_to(folder).as_posix() for path in written} == {"d/one.txt", "two.txt"}
    assert (folder / "d" / "one.txt").read_bytes() == b"one"
    assert not (folder / "d" / "one.txt").stat().st_mode & (stat.S_ISUID | stat.S_IXUSR)  # no mode is taken over


def test_progress_is_that_of_the_archive(tmp_path: Path, folder: Path) -> None:
    archive = _tar(tmp_path / "a.tar.gz", (_info("f"), bytes(100_000)))
    seen: list[tuple[str, int, int | None]] = []
    unpack_tar(archive, folder, progress=lambda *a: seen.append(a))
    assert seen[-1] == ("unpacking a.tar.gz", archive.stat().st_size, archive.stat().st_size)


BAD_NAMES = ["../evil", "d/../../evil", "/evil", "C:evil", "C:\\evil", "..\\evil", "d\\..\\evil", "f:stream"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_tar_names_that_lead_out(tmp_path: Path, folder: Path, name: str) -> None:
    archive = _tar(tmp_path / "a.tar.gz", (_info(name), b"evil"))
    with pytest.raises(UnsafeFileError, match="below one folder"):
        unpack_tar(archive, folder)
    assert _outside(tmp_path, folder) == {"in"}
    assert not list(folder.iterdir())


@pytest.mark.parametrize("name", BAD_NAMES)
def test_zip_names_that_lead_out(tmp_path: Path, folder: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as bundle:
        bundle.writestr(zipfile.ZipInfo(name), b"evil")
    with pytest.raises(UnsafeFileError, match="below one folder"):
        unpack_zip(tmp_path / "a.zip", folder)
    assert _outside(tmp_path, folder) == {"in"}


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, ".."),
        (tarfile.SYMTYPE, "/etc"),
        (tarfile.SYMTYPE, "inside"),
        (tarfile.LNKTYPE, "../secret"),
        (tarfile.LNKTYPE, "inside"),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
        (tarfile.FIFOTYPE, ""),
    ],
)
def test_links_and_devices(tmp_path: Path, folder: Path, kind: bytes, target: str) -> None:
    (tmp_path / "secret").write_text("secret")
    archive = _tar(tmp_path / "a.tar.gz", (_info("link", kind, linkname=target), b""), (_info("link/evil"), b"evil"))
    with pytest.raises(UnsafeFileError, match="link, device"):
        unpack_tar(archive, folder)
    assert not list(folder.iterdir())
    assert (tmp_path / "secret").read_text() == "secret"


def test_zip_with_a_link(tmp_path: Path, folder: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as bundle:
        bundle.writestr(info, "../secret")
    with pytest.raises(UnsafeFileError, match="link or device"):
        unpack_zip(tmp_path / "a.zip", folder)


def test_links_that_lie_in_the_folder_are_not_followed(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (folder / "f").symlink_to(tmp_path / "victim")
    with pytest.raises(UnsafeFileError, match="exists"):
        unpack_tar(_tar(tmp_path / "a.tar.gz", (_info("f"), b"evil")), folder)
    assert (tmp_path / "victim").read_text() == "mine"


def test_huge_claim_is_refused_before_anything_is_written(tmp_path: Path, folder: Path) -> None:
    header = _info("huge", size=10**15).tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "a.tar.gz").write_bytes(header + bytes(10240))
    with pytest.raises(UnsafeFileError, match="goes beyond"):
        unpack_tar(tmp_path / "a.tar.gz", folder)
    assert not list(folder.iterdir())


def test_zip_bomb(tmp_path: Path, folder: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as bundle:
        for number in range(4):
            bundle.writestr(f"zeros{number}", bytes(10**6))
    with pytest.raises(UnsafeFileError, match="goes beyond"):
        unpack_zip(tmp_path / "a.zip", folder, limits=Limits(total_bytes=3 * 10**6))


def test_too_many_members(tmp_path: Path, folder: Path) -> None:
    archive = _tar(tmp_path / "a.tar.gz", *[(_info(f"f{number}"), b"") for number in range(5)])
    with pytest.raises(UnsafeFileError, match="goes beyond"):
        unpack_tar(archive, folder, limits=Limits(members=4))


def test_two_members_of_one_name(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UnsafeFileError, match="twice"):
        unpack_tar(_tar(tmp_path / "a.tar.gz", (_info("f"), b"1"), (_info("f"), b"2")), folder)


@pytest.mark.parametrize("keep", [0, 5, 400, 60_000])
def test_incomplete_tar(tmp_path: Path, folder: Path, body: bytes, keep: int) -> None:
    archive = _tar(tmp_path / "a.tar.gz", (_info("f"), body))
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(AssetError, match="not a complete archive"):
        unpack_tar(archive, folder)


def test_damaged_tar(tmp_path: Path, folder: Path, body: bytes) -> None:
    archive = _tar(tmp_path / "a.tar.gz", (_info("f"), body))
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 0xFF
    archive.write_bytes(data)
    with pytest.raises(AssetError, match="not a complete archive"):
        unpack_tar(archive, folder)


def test_damaged_zip(tmp_path: Path, folder: Path, body: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as bundle:
        bundle.writestr("f", body)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[1000] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(AssetError, match="not a complete archive"):
        unpack_zip(tmp_path / "a.zip", folder)


def test_encrypted_zip(tmp_path: Path, folder: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as bundle:
        bundle.writestr("f", b"x")
    data = (tmp_path / "a.zip").read_bytes()
    central = data.index(b"PK\x01\x02") + 8
    (tmp_path / "a.zip").write_bytes(data[:6] + b"\x01" + data[7:central] + b"\x01" + data[central + 1 :])
    with pytest.raises(AssetError, match="encrypted"):
        unpack_zip(tmp_path / "a.zip", folder)


def test_chosen_members_only(tmp_path: Path, folder: Path) -> None:
    archive = _tar(tmp_path / "a.tar.gz", (_info("a/one"), b"1"), (_info("a/two"), b"2"))
    assert unpack_tar(archive, folder, choose={"a/two": "b/second"}.get) == [folder / "b" / "second"]
    assert [path.name for path in folder.rglob("*")] == ["b", "second"]
