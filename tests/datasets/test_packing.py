"""Shards as the original's: their bytes, their resumption, and what of pictures and hands goes in."""

from __future__ import annotations

import importlib.util
import io
import json
import pickletools
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hamer.checkpoints.unpickling import load_pickle
from hamer.datasets.packing import (
    DataSetCard,
    PackOptions,
    PictureAnnotation,
    Pictures,
    SourceOptions,
    pack,
    read_annotations,
)
from hamer.datasets.packing.parts import part_of
from hamer.datasets.packing.picture_files import picture_bytes
from hamer.datasets.tar_dataset import load_tars
from hamer.datasets.tar_writing import TarShard, annotation_bytes, mask_bytes


def members(tar: Path) -> dict[str, bytes]:
    with tarfile.open(tar) as file:
        return {m.name: content.read() for m in file if (content := file.extractfile(m)) is not None}


def globals_of(data: bytes) -> set[str]:
    return {str(argument) for opcode, argument, _ in pickletools.genops(data) if opcode.name == "GLOBAL"}


def write_json(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def album(tmp_path: Path, made_up_hands: Any) -> Path:
    """A json of seven pictures with ten hands, its pictures beside it."""
    return write_json(tmp_path / "album" / "hands.json", made_up_hands.album(tmp_path / "album"))


def pack_album(album: Path, out: Path, options: PackOptions | None = None, **more: Any) -> list[Any]:
    return pack(read_annotations(album), out, options or PackOptions(shard_size=3), **more)


def test_annotations_are_those_of_the_golden_tar(golden: Path, made_up_hands: Any, tmp_path: Path, album: Path) -> None:
    pack_album(album, tmp_path / "out")
    theirs = members(golden / "hamer" / "tiny.tar")["000000.data.pyd"]
    ours = members(tmp_path / "out" / "000000.tar")["000000.data.pyd"]
    # protocol and names decide which programs can read a pickle: NumPy's new module name would shut out NumPy before 1.26
    assert globals_of(ours) == globals_of(theirs)
    assert ours[:2] == theirs[:2]
    expected, got = load_pickle(theirs)[0], load_pickle(ours)[0]
    assert list(got) == list(expected)
    for name, value in expected.items():
        if name != "extra_info":
            assert (got[name].dtype, got[name].shape) == (value.dtype, value.shape)


def test_golden_annotations_survive_our_writer(golden: Path) -> None:
    for name, content in members(golden / "hamer" / "tiny.tar").items():
        if not name.endswith(".data.pyd"):
            continue
        hands = load_pickle(content)
        for before, after in zip(hands, load_pickle(annotation_bytes(hands)), strict=True):
            for field, value in before.items():
                if field != "extra_info":
                    np.testing.assert_array_equal(after[field], value)
            assert str(after["extra_info"]) == str(before["extra_info"])


def test_arrays_that_spell_a_module_name_stay_whole() -> None:
    text = np.frombuffer(b"cnumpy._core.multiarray\n_reconstruct\n" + b"\0" * 3, np.uint8)
    np.testing.assert_array_equal(load_pickle(annotation_bytes([{"text": text}]))[0]["text"], text)


def test_training_reads_what_was_packed(album: Path, tmp_path: Path, made_up_hands: Any) -> None:
    shards = pack_album(album, tmp_path / "out")
    urls = DataSetCard.of(shards, name="OWN-TRAIN").urls(tmp_path / "out")
    assert urls.endswith("{000000..000002}.tar")
    items = list(load_tars({"MODEL": {"IMAGE_SIZE": 64}, "DATASETS": {}}, urls, train=False))
    assert len(items) == sum(shard.hands for shard in shards) == 10
    hand, item = made_up_hands.hand(0), items[0]
    assert not hand.is_right
    mirrored = hand.joints * [-1, 1, 1]  # the network sees right hands
    np.testing.assert_allclose(item["keypoints_3d"][:, :3], mirrored, atol=1e-6)  # float32
    low, high = hand.points.min(0), hand.points.max(0)
    assert item["box_size"] == pytest.approx(2 * (high - low).max(), rel=1e-5)
    np.testing.assert_allclose(item["orig_keypoints_2d"][:, :2], hand.points, rtol=1e-5)
    # a left hand's rotations mirror: y and z change sign
    signs = np.tile([1, -1, -1], 15)
    np.testing.assert_allclose(item["mano_params"]["hand_pose"], hand.pose[3:] * signs, atol=1e-6)
    assert item["has_mano_params"]["betas"] == 1


def test_pictures_keep_their_bytes(album: Path, tmp_path: Path) -> None:
    pack_album(album, tmp_path / "out")
    assert members(tmp_path / "out" / "000000.tar")["000002.jpg"] == (album.parent / "p2.jpg").read_bytes()


def test_workers_and_interruptions_change_nothing(album: Path, tmp_path: Path) -> None:
    pack_album(album, tmp_path / "one", workers=1)

    def stop(done: int, *_: Any) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack_album(album, tmp_path / "two", workers=3, progress=stop)
    assert [f.name for f in (tmp_path / "two").glob("*.tar*")] == ["000000.tar"]
    started_at: list[int] = []
    pack_album(album, tmp_path / "two", workers=2, progress=lambda done, *_: started_at.append(done))
    assert started_at[0] == 3  # the first shard was not made again
    for name in ("000000.tar", "000001.tar", "000002.tar", "manifest.jsonl"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_a_killed_run_continues(album: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pack_album(album, out)
    whole = {f.name: f.read_bytes() for f in out.iterdir()}
    (out / "000001.tar").write_bytes(whole["000001.tar"][:700])  # cut short after its line was written
    (out / "000002.tar").rename(out / "000002.tar.partial")
    (out / "manifest.jsonl").write_bytes(whole["manifest.jsonl"][:-40])  # and a line cut short
    pack_album(album, out)
    assert {f.name: f.read_bytes() for f in out.iterdir()} == whole


def test_another_pack_is_not_mixed_in(album: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pack_album(album, out)
    with pytest.raises(ValueError, match="differs in: options"):
        pack_album(album, out, PackOptions(shard_size=4))
    with pytest.raises(ValueError, match="differs in: origin"):
        pack_album(album, out, origin={"side": "left"})
    assert len(pack_album(album, out, PackOptions(shard_size=4), overwrite=True)) == 2
    assert sorted(f.name for f in out.glob("*.tar")) == ["000000.tar", "000001.tar"]
    (out / "manifest.jsonl").unlink()
    with pytest.raises(ValueError, match="must be empty"):
        pack_album(album, out)


def test_two_runs_at_once_do_not_mix(album: Path, tmp_path: Path) -> None:
    """The second is refused, even one that would overwrite, and takes nothing from the first."""
    pack_album(album, tmp_path / "alone")
    refused: list[str] = []

    def start_another(done: int, *_: Any) -> None:
        if done == 2:
            with pytest.raises(ValueError, match="another process is writing to") as error:
                pack_album(album, tmp_path / "out", overwrite=True)
            refused.append(str(error.value))

    pack_album(album, tmp_path / "out", progress=start_another)
    assert refused
    for shard in sorted((tmp_path / "alone").glob("*.tar")):
        assert (tmp_path / "out" / shard.name).read_bytes() == shard.read_bytes()


def test_shards_by_size(album: Path, tmp_path: Path) -> None:
    largest = max(f.stat().st_size for f in album.parent.glob("*.jpg"))
    shards = pack_album(album, tmp_path / "out", PackOptions(shard_bytes=largest + 5000))
    assert [shard.pictures for shard in shards] == [1] * 7
    assert [shard.first for shard in shards] == list(range(7))


def test_what_cannot_be_used_is_left_out_and_noted(album: Path, tmp_path: Path) -> None:
    content = json.loads(album.read_text())
    pictures = content["pictures"]
    (album.parent / "p0.jpg").write_bytes((album.parent / "p0.jpg").read_bytes()[:500])
    (album.parent / "p1.jpg").unlink()
    pictures[2]["width"] = 400
    pictures[3]["hands"][0]["keypoints_2d"][5] = [float("nan"), 0]  # one joint unknown: nothing wrong with it
    pictures[3]["hands"][1]["keypoints_2d"] = [[9000, 9000]] * 21
    pictures[4]["hands"][0]["is_right"] = "left"
    pictures[5]["hands"][0]["keypoints_2d"] = [[1, 2]] * 20
    pictures.append({"image": "p6.jpg", "hands": []})
    shards = pack_album(write_json(album, content), tmp_path / "out", PackOptions())
    left_out = dict(shards[0].skipped)
    assert (shards[0].pictures, shards[0].hands) == (2, 3)
    assert "truncated" in left_out["p0.jpg"].lower()
    assert "no such file" in left_out["p1.jpg"]
    assert "400 x 240" in left_out["p2.jpg"]
    assert "outside the picture" in left_out["p3.jpg"]
    assert "is_right" in left_out["p4.jpg"]
    assert "21 rows" in left_out["p5.jpg"]
    assert left_out["p6.jpg"] == "no annotated hand"
    confidence = load_pickle(members(tmp_path / "out" / "000000.tar")["000000.data.pyd"])[0]["keypoints_2d"][:, 2]
    assert np.flatnonzero(confidence == 0).tolist() == [5]


def test_all_left_out_at_the_end_is_noted_too(album: Path, tmp_path: Path) -> None:
    for number in range(3, 7):
        (album.parent / f"p{number}.jpg").unlink()
    shards = pack_album(album, tmp_path / "out")
    assert [(shard.name, shard.next, len(shard.skipped)) for shard in shards] == [("000000.tar", 3, 0), ("", 7, 4)]
    assert pack_album(album, tmp_path / "out") == shards


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_turned_pictures_are_packed_upright(tmp_path: Path, made_up_hands: Any, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = made_up_hands.picture(tmp_path / "turned.jpg", exif=exif)
    packed = picture_bytes(path)
    assert (packed.width, packed.height) == ((240, 320) if orientation > 4 else (320, 240))
    with Image.open(io.BytesIO(packed.content)) as image, Image.open(path) as original:
        assert image.getexif().get(0x0112, 1) == 1
        turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270, 8: Image.Transpose.ROTATE_90}[orientation]
        expected = np.asarray(original.transpose(turn), float)
        # written again as JPEG of quality 95: a grey level or two
        assert np.abs(np.asarray(image, float) - expected).mean() < 2


def test_other_kinds_of_pictures_become_plain_ones(tmp_path: Path, made_up_hands: Any) -> None:
    rgb = Image.open(made_up_hands.picture(tmp_path / "a.png"))
    for name, image in {
        "cmyk.jpg": rgb.convert("CMYK"), "alpha.png": rgb.convert("RGBA"), "a.webp": rgb, "deep.png": rgb.convert("I;16"),
        "grey.jpg": rgb.convert("L"),
    }.items():  # fmt: skip
        image.save(tmp_path / name)
        packed = picture_bytes(tmp_path / name)
        assert packed.extension == ("png" if name.endswith("png") else "jpg")
        assert packed.is_kept == (name == "grey.jpg")
        with Image.open(io.BytesIO(packed.content)) as decoded:
            assert decoded.size == (320, 240)
            assert decoded.mode == ("L" if packed.is_kept else "RGB")


def test_smaller_pictures_carry_smaller_annotations(album: Path, tmp_path: Path, made_up_hands: Any) -> None:
    pack_album(album, tmp_path / "out", PackOptions(max_side=160))
    content = members(tmp_path / "out" / "000000.tar")
    with Image.open(io.BytesIO(content["000000.jpg"])) as image:
        assert image.size == (160, 120)
    sample, points = load_pickle(content["000000.data.pyd"])[0], made_up_hands.hand(0).points
    np.testing.assert_allclose(sample["keypoints_2d"][:, :2], (points + 0.5) / 2 - 0.5, atol=1e-4)  # float32 of 160
    np.testing.assert_allclose(sample["extra_info"]["camera"], [150, 150, 79.75, 59.75])
    np.testing.assert_allclose(sample["scale"] * 200, 2 * np.ptp(points, axis=0) / 2, rtol=1e-5)


def test_masks_follow_their_hands(album: Path, tmp_path: Path) -> None:
    mask = np.zeros((240, 320), np.uint8)
    mask[:, :100] = 255
    Image.fromarray(mask).save(album.parent / "mask.png")
    content = json.loads(album.read_text())
    content["pictures"] = content["pictures"][:1]
    content["pictures"][0]["hands"][1]["mask"] = "mask.png"
    pack_album(write_json(album, content), tmp_path / "out")
    packed = members(tmp_path / "out" / "000000.tar")
    assert [h["extra_info"]["detection_npz_idx"] for h in load_pickle(packed["000000.data.pyd"])] == [0, 1]
    masks = np.load(io.BytesIO(packed["000000.detection.npz"]))["masks"]
    assert masks.dtype == bool
    assert masks[0].all()
    np.testing.assert_array_equal(masks[1], mask > 0)


def test_fields_are_left_out_on_request(album: Path, tmp_path: Path) -> None:
    shards = pack_album(album, tmp_path / "out", PackOptions(leave_out=("hand_pose", "keypoints_3d")))
    assert (shards[0].with_pose, shards[0].with_3d, shards[0].with_betas) == (0, 0, 10)
    with pytest.raises(ValueError, match="leave_out"):
        PackOptions(leave_out=("vertices",))


def test_parts_are_apart_and_together_all() -> None:
    def pictures(names: list[str]) -> Pictures[str]:
        return Pictures(names, lambda name: PictureAnnotation(Path(name), name, []))

    names = [f"{n}.jpg" for n in range(1000)]
    parts = {part: part_of(pictures(names), part, 0.2) for part in ("train", "val")}  # type: ignore[arg-type]
    found = {part: {p.name(i) for i in range(len(p))} for part, p in parts.items()}
    assert found["train"] | found["val"] == set(names)
    assert not found["train"] & found["val"]
    assert 150 < len(found["val"]) < 250  # binomial: 200, standard deviation 13
    fewer = part_of(pictures(names[:500]), "val", 0.2)
    assert {fewer.name(i) for i in range(len(fewer))} == found["val"] & set(names[:500])
    videos = part_of(pictures([f"v{n // 10}/{n}.jpg" for n in range(1000)]), "val", 0.2)
    folders = [videos.name(i).split("/")[0] for i in range(len(videos))]
    assert all(folders.count(folder) == 10 for folder in folders)
    with pytest.raises(ValueError, match="would be empty"):
        part_of(pictures(["a.jpg"]), "val", 1e-9)
    with pytest.raises(ValueError, match="between 0 and 1"):
        part_of(pictures(names), "val", 1.0)


def test_the_example_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(__file__).resolve().parents[2] / "examples"
    spec = importlib.util.spec_from_file_location("own_training_data", folder / "05_own_training_data.py")
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    example.main(str(folder / "pictures"), str(tmp_path))
    assert "1 files, 4 samples: 0 errors, 0 warnings" in capsys.readouterr().out
    assert (tmp_path / "sheet.jpg").is_file()


def test_a_shard_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), TarShard(tmp_path / "a.tar") as shard:  # noqa: PT012
        shard.add("000000", {"jpg": b"picture"})
        assert [f.name for f in tmp_path.iterdir()] == ["a.tar.partial"]
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    with TarShard(tmp_path / "a.tar") as shard:
        shard.add("000000", {"jpg": b"picture"})
    assert members(tmp_path / "a.tar") == {"000000.jpg": b"picture"}


def test_masks_must_be_masks() -> None:
    with pytest.raises(ValueError, match="bool"):
        mask_bytes(np.zeros((2, 3, 4)))


def test_demo_results_below_a_score_are_left_out(album: Path, tmp_path: Path) -> None:
    content = json.loads(album.read_text())["pictures"][0]
    content["hands"][0]["score"] = 0.3
    content["hand_model"] = "open"
    (tmp_path / "demo").mkdir()
    write_json(tmp_path / "demo" / "p0.json", content)
    for hand_model, with_betas in (("mano", 0), ("open", 1)):
        options = SourceOptions(img_folder=album.parent, min_score=0.5, hand_model=hand_model)  # type: ignore[arg-type]
        shard = pack(read_annotations(tmp_path / "demo", options=options), tmp_path / hand_model)[0]
        assert (shard.hands, shard.with_betas) == (1, with_betas)  # betas of the open hand are not MANO's
        assert "below 0.5" in shard.skipped[0][1]
