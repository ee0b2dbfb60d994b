"""Weights files: every layout that torch.save has had, safetensors, and files that are damaged or hostile."""

from __future__ import annotations

import contextlib
import io
import pickle
import struct
import zipfile
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hamer.checkpoints.name_tables import VIT_IN_MODEL
from hamer.checkpoints.weights import check_fit, read_tensors, read_weights, require_finite, write_safetensors
from hamer.errors import UnsafeFileError, WeightsError


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    base = torch.randn(4, 6)
    return OrderedDict(
        plain=torch.randn(3, 5),
        transposed=torch.randn(5, 3).t(),
        part=base[1:3, ::2],
        number=torch.tensor(7),
        flag=torch.tensor(True),
        half=torch.randn(4).half(),
        brain=torch.randn(4).bfloat16(),
        double=torch.randn(2).double(),
        empty=torch.zeros(0, 3),
        parameter=torch.nn.Parameter(torch.ones(2)),
    )


@pytest.mark.parametrize("as_zip", [True, False])
@pytest.mark.parametrize("key", [None, "state_dict", "model"])
def test_what_torch_saves_comes_back(
    tmp_path: Path, tensors: dict[str, torch.Tensor], as_zip: bool, key: str | None
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(tensors if key is None else {key: tensors, "epoch": 3}, path, _use_new_zipfile_serialization=as_zip)
    read = read_tensors(path)
    assert read.keys() == tensors.keys()
    for name, value in tensors.items():
        assert read[name].dtype == value.dtype
        assert torch.equal(read[name], value.detach()), name


def test_wrappers_are_taken_off(tmp_path: Path) -> None:
    torch.save({"module._orig_mod.a": torch.ones(1), "module._orig_mod.b": torch.ones(1)}, tmp_path / "w.pth")
    assert set(read_tensors(tmp_path / "w.pth")) == {"a", "b"}


def test_arrays_in_a_plain_pickle(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"model": {"w": np.eye(3, dtype=np.float32)}, "__author__": "x"}))
    assert torch.equal(read_tensors(tmp_path / "model.pkl")["w"], torch.eye(3))


def test_settings_become_plain_values(tmp_path: Path) -> None:
    from omegaconf import OmegaConf

    cfg = OmegaConf.create(
        {"MODEL": {"IMAGE_SIZE": 256, "LR": 1e-5, "SIZES": [1, 2], "NONE": None, "REF": "${MODEL.LR}"}}
    )
    settings = {"cfg": cfg, "args": Namespace(lr=1), "path": Path("a") / "b", "dtype": torch.float32, "kind": int}
    torch.save({"state_dict": {"w": torch.ones(1)}, "hyper_parameters": settings}, tmp_path / "w.ckpt")
    weights = read_weights(tmp_path / "w.ckpt")
    assert weights.config == {
        "MODEL": {"IMAGE_SIZE": 256, "LR": 1e-5, "SIZES": [1, 2], "NONE": None, "REF": "${MODEL.LR}"}
    }


def test_safetensors_round_trip(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    path = write_safetensors(tmp_path / "w.safetensors", tensors, config={"MODEL": {"IMAGE_SIZE": 256}})
    weights = read_weights(path)
    assert weights.config == {"MODEL": {"IMAGE_SIZE": 256}}
    assert all(torch.equal(weights.tensors[name], value.detach()) for name, value in tensors.items())
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]
    (tmp_path / "other").touch()
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_truncated_files_are_refused(tmp_path: Path, kind: str, share: float) -> None:
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.ckpt")
    if kind == "safetensors":
        write_safetensors(path, {"w": torch.randn(100, 100)})
    else:
        torch.save({"w": torch.randn(100, 100)}, path, _use_new_zipfile_serialization=kind == "zip")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(WeightsError, match="fetch or copy it again"):
        read_weights(path)


def test_damaged_bytes_never_crash(tmp_path: Path) -> None:
    """Random damage gives numbers or one of our errors, never another one."""
    path = tmp_path / "w.ckpt"
    rng = np.random.default_rng(0)
    for as_zip in (True, False):
        torch.save({"w": torch.randn(8, 8), "v": torch.randn(3)}, path, _use_new_zipfile_serialization=as_zip)
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(150):
            bytes_now = whole.copy()
            where = rng.integers(0, len(whole), 3)
            bytes_now[where] = rng.integers(0, 256, 3)
            path.write_bytes(bytes_now.tobytes())
            with contextlib.suppress(WeightsError, UnsafeFileError):
                read_weights(path)


class Malice:
    """Pickles into a call of `function`."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("as_zip", [True, False])
@pytest.mark.parametrize("function", [Path.touch, eval, exec, getattr, __import__])
def test_hostile_pickles_execute_nothing(tmp_path: Path, as_zip: bool, function: Any) -> None:
    mark = tmp_path / "executed"
    arguments = {
        Path.touch: (mark,),
        eval: (f"open({str(mark)!r}, 'w')",),
        exec: (f"open({str(mark)!r}, 'w')",),
        getattr: (mark, "touch"),
        __import__: ("this",),
    }[function]
    path = tmp_path / "w.ckpt"
    torch.save(
        {"state_dict": {"w": torch.ones(1)}, "x": Malice(function, *arguments)},
        path,
        _use_new_zipfile_serialization=as_zip,
    )
    with pytest.raises(UnsafeFileError, match="nothing was executed"):
        read_weights(path)
    assert not mark.exists()


def test_a_plain_hostile_pickle(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(pickle.dumps(Malice(exec, "raise SystemExit")))
    with pytest.raises(UnsafeFileError, match="nothing was executed"):
        read_weights(path)


def rewrite(path: Path, name: str, data: bytes) -> None:
    """Replace an entry of the archive."""
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in entries.items():
            archive.writestr(entry, data if entry.endswith(name) else content)


def test_tensors_must_lie_inside_their_storage(tmp_path: Path) -> None:
    path = tmp_path / "w.ckpt"
    torch.save({"w": torch.arange(4.0)}, path)
    rewrite(path, "/data/0", b"\0" * 8)
    with pytest.raises(WeightsError, match="8 bytes, its tensors need 16"):
        read_weights(path)
    from hamer.checkpoints.torch_files import _rebuild_tensor, _Storage

    storage = _Storage(torch.UntypedStorage(16), torch.float32, 4)
    assert _rebuild_tensor(storage, 0, (2, 2), (2, 1)).shape == (2, 2)
    for offset, size, stride in (
        (0, (2, 3), (3, 1)),
        (3, (2,), (1,)),
        (0, (2,), (4,)),
        (-1, (1,), (1,)),
        (0, (1 << 60,), (0,)),
    ):
        if stride == (0,):
            assert _rebuild_tensor(storage, offset, size, stride).shape == size  # a view costs nothing
            continue
        with pytest.raises(ValueError, match=r"storage|whole numbers"):
            _rebuild_tensor(storage, offset, size, stride)


def test_compressed_entries_and_shifted_data_are_read(tmp_path: Path) -> None:
    path = tmp_path / "w.ckpt"
    torch.save({"w": torch.arange(5.0), "v": torch.arange(3)}, path)
    rewrite(path, "nothing", b"")  # Python's zipfile does not align entries
    assert torch.equal(read_tensors(path)["w"], torch.arange(5.0))
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    assert torch.equal(read_tensors(path)["v"], torch.arange(3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html><body>Not found</body></html>", "web page"),
        (b"", "empty"),
        (b"hello, this is no pickle", "fetch or copy"),
        (pickle.dumps([1, 2, 3]), "dict of tensors"),
        (pickle.dumps({"epoch": 3}), "named tensors"),
    ],
)
def test_other_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "w.ckpt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        read_weights(path)


def test_other_archives_are_named(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(WeightsError, match="another kind of zip"):
        read_weights(path)
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(1)}, buffer)
    path.write_bytes(buffer.getvalue())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/constants.pkl", b"")
    with pytest.raises(WeightsError, match="TorchScript"):
        read_weights(path)
    torch.save({"w": torch.ones(1)}, path)
    rewrite(path, "byteorder", b"big")
    with pytest.raises(WeightsError, match="big-endian"):
        read_weights(path)


def test_a_legacy_file_cannot_ask_for_memory(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"w": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(struct.pack("<B", 0x4B) + b"\x02Nt", b"J\xff\xff\xff\x7fNt"))  # numel: 2 -> 2^31 - 1
    with pytest.raises(WeightsError, match="more bytes than the file"):
        read_weights(path)


def test_a_missing_file_names_the_fetch_command(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="hamer fetch"):
        read_weights(tmp_path / "hamer.ckpt")


def test_fit_and_finiteness_list_a_few_names() -> None:
    many = {f"layer{i}": torch.ones(1) for i in range(9)}
    with pytest.raises(WeightsError, match=r"layer0.*and 4 more"):
        check_fit(many, {}, source="w")
    check_fit(many, {}, source="w", may_miss=["layer"])
    with pytest.raises(WeightsError, match="not in the network"):
        check_fit({}, many, source="w")
    check_fit({}, many, source="w", may_exceed=["lay"])
    require_finite(
        {"big": torch.full((4,), 3e38), "n": torch.tensor(1)}, "w"
    )  # the sum overflows, the entries are finite
    with pytest.raises(WeightsError, match="NaN or infinity in x"):
        require_finite({"x": torch.tensor([1.0, -torch.inf])}, "w")


def test_name_tables_go_both_ways() -> None:
    ours = {"pos_embed": 1, "blocks.0.norm1.weight": 2, "last_norm.bias": 3, "patch_embed.proj.bias": 4}
    theirs = VIT_IN_MODEL.to_theirs(ours)
    assert set(theirs) == {f"backbone.{name}" for name in ours}
    assert VIT_IN_MODEL.to_ours(theirs | {"head.weight": 5}) == ours
