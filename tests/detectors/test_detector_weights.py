"""Weight files of the person detectors: every form that they come in, and every way in which they can be wrong."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from hamer.checkpoints.weights import read_tensors
from hamer.detectors.rcnn.regnet_backbone import RegNetConfig, RegNetPyramid
from hamer.detectors.rcnn.weights import load_network
from hamer.detectors.regnety import RegNetY
from hamer.detectors.vitdet import VitDet
from hamer.errors import UnsafeFileError, WeightsError

TINY = RegNetConfig(stem_width=8, depths=(1, 1, 1, 1), widths=(64, 64, 64, 64), pyramid_width=8)


def build(tensors: Mapping[str, Tensor]) -> nn.Module:
    """A backbone with the names of RegNetY, small enough to be written many times."""
    return nn.ModuleDict({"backbone": RegNetPyramid(TINY)})


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """Made-up weights of that backbone."""
    rng = np.random.default_rng(0)
    shapes = {name: value.shape for name, value in build({}).state_dict().items()}
    return {name: rng.random(shape, np.float32) + 0.5 for name, shape in shapes.items()}


def write(path: Path, content: Any, protocol: int = 2) -> Path:
    with path.open("wb") as file:
        pickle.dump(content, file, protocol=protocol)
    return path


def write_zoo(path: Path, model: dict[str, Any], protocol: int = 2) -> Path:
    """A file as detectron2's zoo publishes them."""
    return write(path, {"model": model, "__author__": "made up"}, protocol)


def check(network: nn.Module, arrays: dict[str, np.ndarray]) -> None:
    state = network.state_dict()
    assert state.keys() == arrays.keys()
    for name, value in state.items():
        np.testing.assert_array_equal(value.numpy(), arrays[name])


def as_tensors(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value.copy()) for name, value in arrays.items()}


# ------------------------------------------------------------------------------------------------------- forms of files


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_zoo_pickle(tmp_path: Path, arrays: dict[str, np.ndarray], protocol: int) -> None:
    network = load_network(build, write_zoo(tmp_path / "model_final.pkl", arrays, protocol), "regnety")
    check(network, arrays)
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


def test_order_of_names_does_not_matter(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    backwards = dict(reversed(arrays.items()))
    check(load_network(build, write_zoo(tmp_path / "w.pkl", backwards), "regnety"), arrays)


def test_other_containers(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    tensors = as_tensors(arrays)
    torch.save({"model": tensors, "iteration": 89999}, tmp_path / "training.pth")
    torch.save(tensors, tmp_path / "state_dict.pth")
    save_file(tensors, tmp_path / "w.safetensors")
    for file in ("training.pth", "state_dict.pth", "w.safetensors"):
        check(load_network(build, tmp_path / file, "regnety"), arrays)


def test_module_prefix(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    wrapped = {f"module.{name}": value for name, value in arrays.items()}
    check(load_network(build, write_zoo(tmp_path / "w.pkl", wrapped), "regnety"), arrays)


def test_half_precision_is_widened(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    halves = {name: value.astype(np.float16) for name, value in arrays.items()}
    network = load_network(build, write_zoo(tmp_path / "w.pkl", halves), "regnety")
    check(network, {name: value.astype(np.float32) for name, value in halves.items()})


def test_what_boxes_do_not_need_is_left_out(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    extra = {
        "pixel_mean": np.zeros((3, 1, 1), np.float32),
        "pixel_std": np.ones((3, 1, 1), np.float32),
        "proposal_generator.anchor_generator.cell_anchors.0": np.zeros((3, 4), np.float32),
        "roi_heads.mask_head.predictor.weight": np.zeros((80, 256, 1, 1), np.float32),
        "backbone.bottom_up.stem.bn.num_batches_tracked": np.array(9),
    }
    check(load_network(build, write_zoo(tmp_path / "w.pkl", {**extra, **arrays}), "regnety"), arrays)


def text(value: str | bytes) -> bytes:
    """A string as Python 2 pickles it."""
    data = value.encode() if isinstance(value, str) else value
    return b"T" + struct.pack("<i", len(data)) + data


def python2_array(array: np.ndarray) -> bytes:
    """A float32 array as Python 2 pickles it: its bytes are a string."""
    shape = b"(" + b"".join(b"J" + struct.pack("<i", n) for n in array.shape) + b"t"
    dtype = (
        b"cnumpy\ndtype\n("
        + text("f4")
        + b"K\x00K\x01tR(K\x03"
        + text("<")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    shell = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text("b") + b"tR"
    return shell + b"(K\x01" + shape + dtype + b"I00\n" + text(array.tobytes()) + b"tb"


def test_pickle_of_python_2(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    entries = b"".join(text(name) + python2_array(value) for name, value in arrays.items())
    content = b"\x80\x02}(" + text("__author__") + text("made up") + text("model") + b"}(" + entries + b"uu."
    (tmp_path / "w.pkl").write_bytes(content)
    check(load_network(build, tmp_path / "w.pkl", "regnety"), arrays)


# ---------------------------------------------------------------------------------------------------------- wrong files


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no weights of regnety at .*none.pkl.*hamer fetch regnety"):
        load_network(build, tmp_path / "none.pkl", "regnety")


@pytest.mark.parametrize("suffix", ["pkl", "pth", "safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated(tmp_path: Path, arrays: dict[str, np.ndarray], suffix: str, share: float) -> None:
    path = tmp_path / f"w.{suffix}"
    if suffix == "pkl":
        write_zoo(path, arrays)
    elif suffix == "pth":
        torch.save(as_tensors(arrays), path)
    else:
        save_file(as_tensors(arrays), path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(WeightsError, match="download that broke off"):
        load_network(build, path, "regnety")


class Malicious:
    """Runs a program when it is unpickled by a reader that allows it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.mark,)


class MaliciousCall(Malicious):
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return exec, (f"open({str(self.mark)!r}, 'w')",)


@pytest.mark.parametrize("kind", [Malicious, MaliciousCall])
@pytest.mark.parametrize("place", ["value", "beside", "whole"])
def test_malicious_pickle_executes_nothing(
    tmp_path: Path, arrays: dict[str, np.ndarray], kind: type[Malicious], place: str
) -> None:
    bad = kind(tmp_path / "executed")
    content: dict[str, Any] = {
        "value": {"model": {**arrays, "x": bad}, "__author__": "x"},
        "beside": {"model": arrays, "__author__": bad},
        "whole": bad,  # type: ignore[dict-item]
    }
    path = write(tmp_path / "w.pkl", content[place])
    with pytest.raises(UnsafeFileError, match="nothing was executed"):
        load_network(build, path, "regnety")
    assert not (tmp_path / "executed").exists()


def test_forged_memo_takes_no_memory(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    """The unpickler would set aside 8 bytes for each of 4 billion numbers."""
    put = b"r\xff\xff\xff\xff"
    (tmp_path / "w.pkl").write_bytes(b"\x80\x02K\x01" + put + b".")
    zipped = tmp_path / "w.pth"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("w/data.pkl", b"\x80\x02K\x01" + put + b".")
    behind = pickle.dumps({"model": arrays}, protocol=2).removesuffix(b".") + put + b"."
    (tmp_path / "behind.pkl").write_bytes(behind)
    for name in ("w.pkl", "w.pth", "behind.pkl"):
        with pytest.raises(WeightsError, match="memo number 4294967295"):
            load_network(build, tmp_path / name, "regnety")


def test_nan(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    name = "backbone.fpn_output3.weight"
    with pytest.raises(WeightsError, match=rf"finite.*{name}"):
        load_network(build, write_zoo(tmp_path / "w.pkl", {**arrays, name: arrays[name] * np.nan}), "regnety")


def test_single_names_are_told(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    name = "backbone.bottom_up.s2.b1.f.a.weight"
    lacking = {key: value for key, value in arrays.items() if key != name}
    cases = {
        rf"missing: {name}": lacking,
        r"not in the network: backbone.extra": {**arrays, "backbone.extra": np.zeros(2, np.float32)},
        rf"of another shape: {name} \(64, 3\) instead of \(64, 64, 1, 1\)": {
            **arrays,
            name: np.zeros((64, 3), np.float32),
        },
    }
    for message, content in cases.items():
        with pytest.raises(WeightsError, match=rf"{message}.*Expected RegNetY-4GF.*hamer fetch regnety"):
            load_network(build, write_zoo(tmp_path / "w.pkl", content), "regnety")


def names_of(*names: str) -> dict[str, np.ndarray]:
    return {name: np.zeros(1, np.float32) for name in names}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            names_of("backbone.net.blocks.0.norm1.weight", "roi_heads.box_head.0.fc1.bias"),
            r"must hold RegNetY-4GF.*looks like ViTDet weights.*--body_detector vitdet.*hamer fetch regnety",
        ),
        (names_of("backbone.pos_embed", "mano_head.decpose.weight"), r"looks like a HaMeR checkpoint.*--checkpoint"),
        (names_of("backbone.pos_embed", "keypoint_head.final_layer.weight"), r"looks like ViTPose weights"),
        (
            names_of("backbone.bottom_up.res2.0.conv1.weight", "roi_heads.box_head.fc1.weight"),
            r"another detector of detectron2",
        ),
        (names_of("conv1_w", "res2_0_branch2a_w"), r"looks like weights of the first Detectron"),
        (names_of("layer1.0.conv1.weight"), r"looks like something else \(its tensors are layer1.0.conv1.weight"),
    ],
)
def test_another_network(tmp_path: Path, content: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        load_network(build, write_zoo(tmp_path / "w.pkl", content), "regnety")


def test_regnety_given_as_vitdet(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    def other(tensors: Mapping[str, Tensor]) -> nn.Module:
        return nn.ModuleDict({"backbone": nn.ModuleDict({"net": nn.Linear(2, 2)})})

    with pytest.raises(WeightsError, match=r"must hold ViTDet-H.*looks like RegNetY weights.*--body_detector regnety"):
        load_network(other, write_zoo(tmp_path / "w.pkl", arrays), "vitdet")


def test_caffe2_blobs(tmp_path: Path) -> None:
    path = write(tmp_path / "w.pkl", {"blobs": names_of("conv1_w", "conv1_w_momentum"), "cfg": "..."})
    with pytest.raises(WeightsError, match=r"format of Caffe2.*blobs"):
        load_network(build, path, "regnety")


@pytest.mark.parametrize("content", [{}, {"model": {}}, [1, 2], "text", {"model": {"a": "b"}}])
def test_no_weights_at_all(tmp_path: Path, content: Any) -> None:
    with pytest.raises(WeightsError, match="must hold"):
        load_network(build, write(tmp_path / "w.pkl", content), "regnety")


def test_web_page(tmp_path: Path) -> None:
    (tmp_path / "w.pkl").write_text("<html>403</html>")
    with pytest.raises(WeightsError, match="web page"):
        load_network(build, tmp_path / "w.pkl", "regnety")


# ------------------------------------------------------------------------------------------------- files as the zoo's


def test_zoo_file(zoo_file: Callable[..., Path]) -> None:
    """That of RegNetY is read by the tests of its golden set."""
    path = zoo_file("vitdet_small")
    detector = VitDet(path)
    network = detector.load()
    # The sizes are read off the tensors: these are not ViTDet-H's.
    assert [block.window for block in network.backbone.net.blocks] == [14, 0, 14, 0]
    assert detector.pictures.square == 256
    state = network.state_dict()
    assert len(state) > 100
    model = read_tensors(path)
    assert "roi_heads.mask_head.predictor.weight" in model
    for name, value in state.items():
        np.testing.assert_array_equal(value.numpy(), model[name].numpy(), err_msg=name)
    with pytest.raises(WeightsError, match=r"RegNetY-4GF.*looks like ViTDet.*--body_detector vitdet"):
        load_network(RegNetY().build, path, "regnety")


def test_vitdet_without_some_of_its_tensors(tmp_path: Path) -> None:
    names = names_of("backbone.net.pos_embed", "backbone.net.blocks.0.attn.rel_pos_h", "backbone.simfp_2.0.weight")
    with pytest.raises(
        WeightsError, match=r"does not fit the network; missing:.*Expected ViTDet-H.*hamer fetch vitdet"
    ):
        VitDet(write_zoo(tmp_path / "w.pkl", names)).load()
