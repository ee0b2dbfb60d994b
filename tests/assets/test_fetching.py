"""Assets from their sources into place: failing over, verifying, staying offline, being alone."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import logging
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from hamer import assets
from hamer.assets import downloads, extraction, fetching, wheels
from hamer.assets.manifest import (
    ASSETS,
    LANDMARK,
    PALM,
    Asset,
    ByHand,
    Member,
    WebArchive,
    WebFile,
    Wheel,
)
from hamer.assets.places import ORIGINAL_FILES
from hamer.errors import AssetError

HASTY = downloads.Patience(connect=5.0, stall=0.5, attempts=2, unreachable_attempts=1, backoff=0.01)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "FAIL_OVER", HASTY)
    monkeypatch.setattr(fetching, "Patience", lambda: HASTY)


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _tar(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as bundle:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            bundle.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def _zip(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as bundle:
        for name, data in files.items():
            bundle.writestr(name, data)
    return stream.getvalue()


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put an asset with these sources into the manifest."""

    def put(*sources: Any, name: str = "thing", place: Any = "cache") -> Asset:
        asset = Asset(name, "a thing", "free", "card", place, tuple(sources))
        monkeypatch.setitem(ASSETS, name, asset)
        return asset

    return put


def _visible(folder: Path) -> set[str]:
    """Files below a folder, without the lock, which stays."""
    return {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"
    }


def test_single_file(shelf: Any, offer: Any, tmp_path: Path) -> None:
    offer(WebFile(shelf.put("/f", b"data"), Member("sub/f.bin", size=4, sha256=_sha(b"data"))))
    assert not assets.status("thing").present
    assert assets.fetch("thing") == {"sub/f.bin": tmp_path / "cache" / "sub" / "f.bin"}
    assert assets.path_of("thing").read_bytes() == b"data"
    assert assets.status("thing").present
    assert len(shelf.requests) == 1  # the second call found it there


def test_archive_members_and_nothing_else(shelf: Any, offer: Any, tmp_path: Path) -> None:
    url = shelf.put("/a", _tar({"_DATA/one": b"1", "_DATA/other": b"x", "_DATA/two": b"22"}))
    offer(WebArchive(url, (Member("d/one", "_DATA/one", 1, _sha(b"1")), Member("two", "_DATA/two"))), place="data")
    paths = assets.fetch("thing")
    assert paths["d/one"] == tmp_path / "cache" / "_DATA" / "d" / "one"
    assert _visible(tmp_path / "cache") == {"_DATA/d/one", "_DATA/two"}


def test_one_wrong_member_and_nothing_is_put_in_place(shelf: Any, offer: Any, tmp_path: Path) -> None:
    url = shelf.put("/a", _zip({"one": b"1", "two": b"2"}))
    offer(WebArchive(url, (Member("one", "one", sha256=_sha(b"1")), Member("two", "two", sha256=_sha(b"other")))))
    with pytest.raises(AssetError, match="expected SHA-256"):
        assets.fetch("thing")
    assert not any(path in _visible(tmp_path / "cache") for path in ("one", "two"))


def test_absent_member(shelf: Any, offer: Any) -> None:
    offer(WebArchive(shelf.put("/a", _zip({"one": b"1"})), (Member("two", "two"),)))
    with pytest.raises(AssetError, match="two: not in it"):
        assets.fetch("thing")


def test_sources_are_tried_in_order(shelf: Any, offer: Any, behaviour: Any) -> None:
    shelf.put("/busy", b"", *[behaviour(status=503)] * 9)
    offer(
        WebFile("http://127.0.0.1:9/f", Member("f", sha256=_sha(b"data"))),  # nobody listens on the discard port
        WebFile(f"{shelf.address}/missing", Member("f", sha256=_sha(b"data"))),
        WebFile(f"{shelf.address}/busy", Member("f", sha256=_sha(b"data"))),
        WebFile(shelf.put("/wrong", b"wrong"), Member("f", sha256=_sha(b"data"))),
        WebArchive(shelf.put("/bad", b"no archive"), (Member("f", "f", sha256=_sha(b"data")),)),
        WebFile(shelf.put("/good", b"data"), Member("f", sha256=_sha(b"data"))),
    )
    assert assets.path_of("thing").read_bytes() == b"data"


def test_all_sources_fail_and_each_is_told(shelf: Any, offer: Any) -> None:
    offer(WebFile(f"{shelf.address}/one", Member("f")), WebFile(f"{shelf.address}/two", Member("f")))
    with pytest.raises(AssetError) as caught:
        assets.fetch("thing")
    text = str(caught.value)
    assert "/one: the server answered 404" in text
    assert "/two: the server answered 404" in text
    assert "hamer fetch thing --from FILE" in text


def test_second_source_goes_on_from_the_first(shelf: Any, offer: Any, behaviour: Any, body: bytes) -> None:
    data = _tar({"f": body})
    first = shelf.put("/a", data, behaviour(cut=9000), *[behaviour(status=500)] * 9)
    member = (Member("f", "f", len(body), _sha(body)),)
    offer(
        WebArchive(first, member, len(data), _sha(data)),
        WebArchive(shelf.put("/b", data), member, len(data), _sha(data)),
    )
    assert assets.path_of("thing").read_bytes() == body
    assert shelf.requests[-1].path == "/b"
    assert shelf.requests[-1].range == "bytes=9000-"


def test_truncated_archive_is_loaded_anew_next_time(
    shelf: Any, offer: Any, behaviour: Any, body: bytes, tmp_path: Path
) -> None:
    data = _tar({"f": body})
    url = shelf.put("/a", data, behaviour(cut=5000, length=False))  # nothing tells that more should have come
    offer(WebArchive(url, (Member("f", "f"),)))
    with pytest.raises(AssetError, match="not a complete archive"):
        assets.fetch("thing")
    assert _visible(tmp_path / "cache") == set()
    assert assets.path_of("thing").read_bytes() == body


def test_full_disk_while_unpacking_keeps_the_archive(
    shelf: Any, offer: Any, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    data = _tar({"f": body})
    member = (Member("f", "f"),)
    offer(WebArchive(shelf.put("/a", data), member), WebArchive(f"{shelf.address}/other", member))

    def no_room(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(downloads, "_flush", lambda stream, folder: None)
        patch.setattr(extraction.os, "fsync", no_room)
        with pytest.raises(AssetError, match="is full"):
            assets.fetch("thing")
    assert assets.path_of("thing").read_bytes() == body
    assert [request.path for request in shelf.requests] == ["/a"]  # nothing was loaded again, no other source asked


def test_unlisted_content_is_noted_and_found_again(shelf: Any, offer: Any, tmp_path: Path) -> None:
    url = shelf.put("/a", _tar({"data/one.npz": b"1", "data/._one.npz": b"mac", "data/sub/two.npz": b"22"}))
    offer(WebArchive(url, others=True), place="work")
    assert not assets.status("thing").present
    paths = assets.fetch("thing")
    assert set(paths) == {"data/one.npz", "data/sub/two.npz"}
    assert (tmp_path / "work" / "data" / "sub" / "two.npz").read_bytes() == b"22"
    assert assets.status("thing").present
    (tmp_path / "work" / "data" / "one.npz").unlink()
    assert assets.status("thing").missing == ("data/one.npz",)


def test_offline_asks_nobody(shelf: Any, offer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(WebFile(shelf.put("/f", b"data"), Member("f")))
    with pytest.raises(AssetError, match="network may not be asked"):
        assets.fetch("thing", offline=True)
    monkeypatch.setenv("HAMER_OFFLINE", "1")
    with pytest.raises(AssetError, match="--from FILE"):
        assets.fetch("thing")
    assert shelf.requests == []
    assert not (tmp_path / "cache").exists()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "f").write_bytes(b"here")
    assert assets.path_of("thing").read_bytes() == b"here"  # what is there is used


def test_to_another_folder(shelf: Any, offer: Any, tmp_path: Path) -> None:
    source = WebFile(shelf.put("/f", b"data"), Member("f"))
    offer(source)
    offer(source, name="original", place="data")
    assert assets.fetch("thing", to=tmp_path / "disk")["f"] == tmp_path / "disk" / "f"
    assert assets.fetch("original", to=tmp_path / "disk")["f"] == tmp_path / "disk" / "_DATA" / "f"
    assert assets.fetch("original", to=tmp_path / "disk" / "_DATA")["f"] == tmp_path / "disk" / "_DATA" / "f"


def test_hamer_data_is_where_originals_go(
    shelf: Any, offer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAMER_DATA", str(tmp_path / "mine"))
    offer(WebFile(shelf.put("/f", b"data"), Member("f")), place="data")
    assert assets.path_of("thing") == tmp_path / "mine" / "f"


def test_folder_that_cannot_be_written(shelf: Any, offer: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    offer(WebFile(shelf.put("/f", b"data"), Member("f")))
    with pytest.raises(AssetError, match="cannot be written"):
        assets.fetch("thing", to=tmp_path / "file")


def test_wrong_size_on_disk_counts_as_missing(shelf: Any, offer: Any, tmp_path: Path) -> None:
    offer(WebFile(shelf.put("/f", b"data"), Member("f", size=4)))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "f").write_bytes(b"dat")
    assert assets.status("thing").missing == ("f",)
    assert assets.path_of("thing").read_bytes() == b"data"


def test_from_a_file(shelf: Any, offer: Any, tmp_path: Path) -> None:
    member = Member("f", "inside/f", 4, _sha(b"data"))
    offer(WebArchive(f"{shelf.address}/a", (member,), size=999, sha256="0" * 64), WebFile(f"{shelf.address}/f", member))
    (tmp_path / "mine.zip").write_bytes(_zip({"inside/f": b"data"}))
    (tmp_path / "mine").write_bytes(b"data")
    (tmp_path / "bad").write_bytes(b"date")
    for file in ("mine.zip", "mine"):
        assert assets.fetch("thing", from_file=tmp_path / file, force=True)["f"].read_bytes() == b"data"
    with pytest.raises(AssetError, match="could not be taken from"):
        assets.fetch("thing", from_file=tmp_path / "bad")
    with pytest.raises(AssetError, match="not there"):
        assets.fetch("thing", from_file=tmp_path / "nothing")
    assert assets.path_of("thing").read_bytes() == b"data"
    assert shelf.requests == []


def test_unknown_name() -> None:
    with pytest.raises(AssetError, match="expected one of hand_landmarker"):
        assets.fetch("nonsense")


# ---- MANO -------------------------------------------------------------------------------------------------------------

PICKLE = b"\x80\x02}q\x00."  # an empty dictionary: never read here, only recognised


def test_mano_says_what_to_do() -> None:
    with pytest.raises(AssetError, match=r"hamer fetch mano --from mano_v1_2.zip") as caught:
        assets.fetch("mano")
    assert "https://mano.is.tue.mpg.de" in str(caught.value)


@pytest.mark.parametrize("inside", ["mano_v1_2/models/MANO_RIGHT.pkl", "MANO_RIGHT.pkl"])
def test_mano_from_its_zip(inside: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "mano.zip").write_bytes(_zip({"__MACOSX/._MANO_RIGHT.pkl": b"mac", inside: PICKLE, "other.py": b""}))
    with caplog.at_level(logging.WARNING):
        path = assets.fetch("mano", from_file=tmp_path / "mano.zip")["data/mano/MANO_RIGHT.pkl"]
    assert path == tmp_path / "cache" / "_DATA" / "data" / "mano" / "MANO_RIGHT.pkl"
    assert path.read_bytes() == PICKLE
    assert "not the version that is known" in caplog.text
    assert assets.require_original("mano") == path
    assert assets.status("mano").present


def test_mano_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "MANO_RIGHT.pkl").write_bytes(PICKLE)
    (tmp_path / "work" / "_DATA").mkdir()
    path = assets.fetch("mano", from_file=tmp_path / "MANO_RIGHT.pkl", to=".")["data/mano/MANO_RIGHT.pkl"]
    assert path == tmp_path / "work" / "_DATA" / "data" / "mano" / "MANO_RIGHT.pkl"
    assert assets.find_original("mano") == path


@pytest.mark.parametrize("data", [b"", b"<html>please log in</html>", _zip({"mano_v1_2/models/MANO_LEFT.pkl": PICKLE})])
def test_mano_from_something_else(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(AssetError, match="could not be taken from"):
        assets.fetch("mano", from_file=tmp_path / "file")
    assert not assets.status("mano").present


# ---- the landmark models, and pip -------------------------------------------------------------------------------------

NETWORKS = {"palm": b"palm network", "landmark": b"landmark network"}


def _wheel_source(**values: Any) -> Wheel:
    members = (
        Member(PALM, "p/palm.tflite", len(NETWORKS["palm"]), _sha(NETWORKS["palm"])),
        Member(LANDMARK, "p/landmark.tflite", len(NETWORKS["landmark"]), _sha(NETWORKS["landmark"])),
    )
    return Wheel("package==1.0", "any", "3.11", members, **values)


@pytest.fixture
def fake_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pip that writes a wheel and its arguments, instead of asking an index."""
    script = tmp_path / "pip.py"
    script.write_text(
        "import json, pathlib, shutil, sys\n"
        "here = pathlib.Path(__file__).parent\n"
        "(here / 'arguments.json').write_text(json.dumps(sys.argv[1:]))\n"
        "folder = next(a.partition('=')[2] for a in sys.argv if a.startswith('--dest='))\n"
        "if not (here / 'wheel.whl').exists(): sys.exit('ERROR: No matching distribution found')\n"
        "shutil.copy(here / 'wheel.whl', folder)\n"
    )
    monkeypatch.setattr(wheels, "pip_command", lambda: [sys.executable, str(script)])
    (tmp_path / "wheel.whl").write_bytes(
        _zip({"p/palm.tflite": NETWORKS["palm"], "p/landmark.tflite": NETWORKS["landmark"], "p/code.py": b"evil()"})
    )
    return tmp_path


def test_landmark_models_fail_over_to_the_wheel(shelf: Any, offer: Any, fake_pip: Path) -> None:
    bundle = WebArchive(f"{shelf.address}/missing.task", _wheel_source().members)
    offer(bundle, _wheel_source(), name="hand_landmarker")
    models = assets.landmark_models()
    assert models.palm.read_bytes() == NETWORKS["palm"]
    assert models.landmark.read_bytes() == NETWORKS["landmark"]
    assert _visible(fake_pip / "cache") == {PALM, LANDMARK}
    arguments = json.loads((fake_pip / "arguments.json").read_text())
    assert arguments[0] == "download"
    assert {"--no-deps", "--only-binary=:all:", "--platform=any", "--python-version=3.11"} <= set(arguments)
    assert arguments[-1] == "package==1.0"


def test_landmark_models_mend_a_damaged_cache(offer: Any, fake_pip: Path) -> None:
    offer(_wheel_source(), name="hand_landmarker")
    palm = assets.landmark_models().palm
    palm.write_bytes(b"palm netwerk")  # of the same length
    assert assets.landmark_models().palm.read_bytes() == NETWORKS["palm"]


def test_wheel_with_other_content(offer: Any, fake_pip: Path) -> None:
    offer(_wheel_source(), name="hand_landmarker")
    (fake_pip / "wheel.whl").write_bytes(_zip({"p/palm.tflite": b"palm netwerk", "p/landmark.tflite": b"?"}))
    with pytest.raises(AssetError, match="expected SHA-256"):
        assets.landmark_models()
    assert _visible(fake_pip / "cache") == set()


def test_pip_that_fails_is_quoted(offer: Any, fake_pip: Path) -> None:
    offer(_wheel_source(), name="hand_landmarker")
    (fake_pip / "wheel.whl").unlink()
    with pytest.raises(AssetError, match="No matching distribution found"):
        assets.landmark_models()


def test_no_pip_anywhere(offer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(_wheel_source(), name="hand_landmarker")
    monkeypatch.setattr(wheels.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(wheels.sysconfig, "get_config_var", lambda name: None)
    monkeypatch.setattr(wheels.shutil, "which", lambda name: None)
    with pytest.raises(AssetError, match="no pip here") as caught:
        assets.landmark_models()
    assert "pip download --no-deps" in str(caught.value)


def test_pip_of_python_itself_where_the_environment_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    real = wheels.importlib.util.find_spec
    monkeypatch.setattr(wheels.importlib.util, "find_spec", lambda name: None if name == "pip" else real(name))
    command = wheels.pip_command()
    if command is None:
        pytest.skip("this Python carries no pip, and there is no uv")
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("pip ")


@pytest.mark.network
def test_real_landmark_models() -> None:
    models = assets.landmark_models()
    assert [path.read_bytes()[4:8] for path in models] == [b"TFL3", b"TFL3"]


@pytest.mark.parametrize("name", ["vitdet", "regnety", "vitpose"])
def test_detectors_are_found_where_they_are_fetched_to(
    name: str, shelf: Any, offer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that a missing file's message names, then the detector that looks for it."""
    from hamer import detectors
    from hamer.cli import main

    with pytest.raises(AssetError) as missing:
        detectors.load(name).weights_file()  # type: ignore[attr-defined]
    command = str(missing.value).split("`")[1]
    asset = ASSETS[command.split()[-1]]
    member = next(m for m in asset.sources[0].members if m.target == ORIGINAL_FILES[name])
    if name == "vitpose":
        url = shelf.put("/data.tar.gz", _tar({member.name: b"weights", "_DATA/more": b"1"}))
        source = WebArchive(url, (Member(member.target, member.name),))
    else:
        source = WebFile(shelf.put("/weights.pkl", b"weights"), Member(member.target))
    offer(source, name=asset.name, place=asset.place)
    assert main(command.split()[1:]) == 0
    found = detectors.load(name).weights_file()  # type: ignore[attr-defined]
    assert found.read_bytes() == b"weights"
    assert main(["fetch", name]) == 0
    assert len(shelf.requests) == 1  # the short name is the same file


# ---- the original's function ------------------------------------------------------------------------------------------


def test_download_models(shelf: Any, offer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = _tar({"_DATA/hamer_ckpts/checkpoints/hamer.ckpt": b"weights"})
    members = (Member("hamer_ckpts/checkpoints/hamer.ckpt", "_DATA/hamer_ckpts/checkpoints/hamer.ckpt"),)
    offer(WebArchive(shelf.put("/a", data), members), name="hamer_demo_data", place="data")
    assets.download_models("./_DATA")
    assets.download_models("./_DATA")
    assert (tmp_path / "work" / "_DATA" / "hamer_ckpts" / "checkpoints" / "hamer.ckpt").read_bytes() == b"weights"
    assert len(shelf.requests) == 1
    assets.download_models(tmp_path / "weights")
    assert (tmp_path / "weights" / "hamer_ckpts" / "checkpoints" / "hamer.ckpt").exists()
    assets.download_models()  # found in the working directory
    assert len(shelf.requests) == 2


# ---- several processes ------------------------------------------------------------------------------------------------

_CHILD = """
import logging, sys
logging.basicConfig(level=logging.INFO)
from hamer import assets
from hamer.assets.manifest import ASSETS, Asset, Member, WebFile
url, size, sha256 = sys.argv[1:]
ASSETS["thing"] = Asset("thing", "", "", "", "cache", (WebFile(url, Member("f", size=int(size), sha256=sha256)),))
print(assets.path_of("thing"))
"""


def _start_child(url: str, data: bytes) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _CHILD, url, str(len(data)), _sha(data)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_at_once(shelf: Any, behaviour: Any, body: bytes, tmp_path: Path) -> None:
    url = shelf.put("/f", body, behaviour(cut=1000, stall=True))
    first = _start_child(url, body)
    _wait_until(lambda: shelf.requests)  # the first holds the lock and waits for the rest
    second = _start_child(url, body)
    assert second.stderr is not None
    assert "another process works on the same files" in second.stderr.readline()
    shelf.released.set()
    results = [child.communicate(timeout=60) for child in (first, second)]
    assert [child.returncode for child in (first, second)] == [0, 0], results
    assert {out.strip() for out, _ in results} == {str(tmp_path / "cache" / "f")}
    assert (tmp_path / "cache" / "f").read_bytes() == body
    assert [request.range for request in shelf.requests] == [None, "bytes=1000-"]  # the second asked for nothing


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_and_continued(shelf: Any, offer: Any, behaviour: Any, body: bytes, tmp_path: Path) -> None:
    url = shelf.put("/f", body, behaviour(cut=100_000, stall=True))
    child = _start_child(url, body)
    part = tmp_path / "cache" / "f.part"
    _wait_until(lambda: part.exists() and part.stat().st_size >= 90_000)
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=30)
    assert not (tmp_path / "cache" / "f").exists()
    kept = part.stat().st_size
    offer(WebFile(url, Member("f", size=len(body), sha256=_sha(body))))
    assert assets.path_of("thing").read_bytes() == body
    assert shelf.requests[-1].range == f"bytes={kept}-"


def _wait_until(condition: Any, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_lock_that_is_never_freed(tmp_path: Path) -> None:
    from hamer.assets.locking import locked

    holder = "import sys, time; from pathlib import Path; from hamer.assets.locking import locked\n"
    holder += "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holder, str(tmp_path / "l")], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with pytest.raises(AssetError, match="has held this lock"), locked(tmp_path / "l", timeout=0.3, poll=0.05):
            pass
        child.kill()
    with locked(tmp_path / "l", timeout=5.0):  # the system freed it with its holder
        pass


def test_by_hand_is_only_for_logins() -> None:
    assert [asset.name for asset in ASSETS.values() if isinstance(asset.sources[0], ByHand)] == ["mano"]
