"""Tars of made pictures: the same bytes however they are made, read by training, continued after a stop."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from hamer.checkpoints.unpickling import load_pickle
from hamer.datasets.crop_settings import CropSettings
from hamer.datasets.hands import PatchCutter, hands_of_sample
from hamer.datasets.made_set import MadeSet
from hamer.datasets.skipping import SkipCounts
from hamer.datasets.streams import Place
from hamer.datasets.synthetic import shards
from hamer.datasets.synthetic.options import SyntheticOptions
from hamer.datasets.synthetic.shards import Recipe, encoded, made_samples, write_shards
from hamer.datasets.synthetic.stream import MadeSource
from hamer.datasets.tar_filters import AnnotationFilters
from hamer.datasets.tar_reading import TarSample, read_tar

COUNT, SHARD = 7, 3


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return Recipe(SyntheticOptions(skins=1, width=96, height=96), seed=2, landmarks=False)


@pytest.fixture(scope="module")
def folder(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_shards(recipe, COUNT, folder, shard_size=SHARD)
    return folder


def contents(folder: Path) -> list[bytes]:
    return [tar.read_bytes() for tar in sorted(folder.glob("*.tar"))]


def samples(folder: Path) -> list[TarSample]:
    skipped = SkipCounts()
    found = [sample for tar in sorted(folder.glob("*.tar")) for sample in read_tar(str(tar), skipped)]
    assert not skipped.summary()
    return found


def test_samples_are_complete_and_in_order(folder: Path, recipe: Recipe) -> None:
    found = samples(folder)
    assert [sample.key for sample in found] == [f"{number:06d}" for number in range(COUNT)]
    maker = recipe.maker()
    for number, sample in enumerate(found):
        made = maker.make(number)
        parts = cv2.imdecode(np.frombuffer(sample.members["parts.png"], np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(parts, made.parts)
        (hand,) = load_pickle(sample.members["data.pyd"])
        for name, value in made.annotation.items():
            if name != "extra_info":
                np.testing.assert_array_equal(hand[name], value)
        assert hand["visibility"].dtype == bool
        assert isinstance(hand["family"], str)
        jpg = cv2.imdecode(np.frombuffer(sample.members["jpg"], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        # JPEG of quality 92 is off by two grey levels on average, more where the camera's noise is strong
        assert np.abs(jpg.astype(int) - made.rgb).mean() < 6


def test_training_reads_them(folder: Path) -> None:
    cutter = PatchCutter(CropSettings(size=64))
    skipped = SkipCounts()
    for sample in samples(folder):
        (hand,) = hands_of_sample(sample, AnnotationFilters(), skipped, lambda: 0)
        item = hand.item(cutter)
        assert item is not None
        assert item["img"].shape == (3, 64, 64)
        inside = np.abs(item["keypoints_2d"][:, :2]) <= 0.5  # crop widths from its middle
        assert inside.mean() > 0.5


def test_an_interrupted_run_continues_to_the_same_bytes(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(done: int, _total: int) -> None:
        if done == SHARD + 2:  # in the second shard
            raise StopError

    with pytest.raises(StopError):
        write_shards(recipe, COUNT, tmp_path, shard_size=SHARD, progress=stop)
    assert [tar.name for tar in tmp_path.glob("*.tar*")] == ["000000.tar"]
    done: list[int] = []
    write_shards(recipe, COUNT, tmp_path, shard_size=SHARD, progress=lambda n, _: done.append(n))
    assert done == list(range(SHARD, COUNT + 1))
    assert contents(tmp_path) == contents(folder)


def test_a_killed_runs_half_shard_is_made_anew(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    write_shards(recipe, COUNT, tmp_path, shard_size=SHARD)
    tar = tmp_path / "000001.tar"
    tar.write_bytes(tar.read_bytes()[:-600])  # as a machine that went down may leave it
    (tmp_path / "000002.tar.partial").write_bytes(b"half")
    write_shards(recipe, COUNT, tmp_path, shard_size=SHARD)
    assert contents(tmp_path) == contents(folder)
    assert not list(tmp_path.glob("*.partial"))


def test_a_larger_count_adds_pictures(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    write_shards(recipe, SHARD, tmp_path, shard_size=SHARD)
    write_shards(recipe, COUNT, tmp_path, shard_size=SHARD)
    assert contents(tmp_path) == contents(folder)
    shards = write_shards(recipe, COUNT - 2, tmp_path, shard_size=SHARD)  # fewer takes nothing away
    assert sum(shard.pictures for shard in shards) == COUNT


def test_another_recipe_needs_another_folder(recipe: Recipe, tmp_path: Path) -> None:
    write_shards(recipe, 1, tmp_path)
    other = Recipe(recipe.options, seed=9, landmarks=False)
    with pytest.raises(ValueError, match="seed"):
        write_shards(other, 1, tmp_path)
    write_shards(other, 1, tmp_path, overwrite=True)


def test_processes_give_the_same_pictures(folder: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two spawned processes, chunks of them in turn: the bytes of the samples are those of this process."""
    monkeypatch.setattr(shards, "_CHUNK", 3)  # of 7 pictures: the processes get two and one
    several = list(made_samples(recipe, range(COUNT), processes=2))
    assert [made.members for made in several] == [sample.members for sample in samples(folder)]


def test_a_process_that_died_is_told(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class DeadPool:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def submit(self, *_: object) -> None:
            raise BrokenProcessPool("terminated abruptly")

        def shutdown(self, **_: object) -> None:
            pass

    monkeypatch.setattr(shards, "ProcessPoolExecutor", DeadPool)
    with pytest.raises(shards.WorkerDiedError, match="--processes"):
        write_shards(recipe, 100, tmp_path, processes=2)
    assert not list(tmp_path.glob("*.tar*"))


def test_what_a_process_cannot_read_is_told(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that memory ran out: the error of the process is the caller's."""
    monkeypatch.setattr(shards, "_CHUNK", 1)
    with pytest.raises(FileNotFoundError, match=r"no hand model at nowhere\.pkl"):
        list(made_samples(replace(recipe, hand="nowhere.pkl"), range(2), processes=2))


def test_processes_end_with_a_killed_parent(tmp_path: Path) -> None:
    """The parent is killed without a chance to tell its processes, which would wait for work for ever."""
    script = tmp_path / "parent.py"
    script.write_text(
        "import multiprocessing, threading, time\n"
        "from hamer.datasets.synthetic.shards import _end_with_parent\n"
        "def work(ready):\n"
        "    threading.Thread(target=_end_with_parent, daemon=True).start()\n"
        "    ready.put(multiprocessing.current_process().pid)\n"
        "    time.sleep(600)\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('spawn')\n"
        "    ready = context.Queue()\n"
        "    context.Process(target=work, args=(ready,)).start()\n"
        "    print(ready.get(), flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        # until the child has closed its copy of the pipe there is more to come; then it is gone
        assert parent.stdout.read() == ""
    with pytest.raises(ProcessLookupError):
        _wait_for_end(child)


def _wait_for_end(pid: int) -> None:
    """Ask for the process until it is gone, which raises ProcessLookupError; at most a minute."""
    for _ in range(600):
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        if state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            raise ProcessLookupError(f"{pid} has ended; nobody has collected it yet")
        time.sleep(0.1)


def test_pictures_begin_at_the_first_index(recipe: Recipe) -> None:
    moved = Recipe(recipe.options, recipe.seed, first_index=4, landmarks=False)
    (first,) = made_samples(moved, range(1))
    assert first == encoded(recipe.maker().make(4), recipe.quality)


def test_a_stream_gives_each_place_other_pictures(recipe: Recipe, folder: Path) -> None:
    stored = samples(folder)
    source = MadeSource(recipe, AnnotationFilters())
    for worker in range(2):
        stream = source.samples(Place(worker=worker, workers=2))
        for number in (worker, worker + 2):
            assert next(stream).members == stored[number].members
        stream.close()


def test_a_stream_gives_items_and_goes_on_in_the_next_epoch(recipe: Recipe) -> None:
    made, cutter = MadeSet("MADE", MadeSource(recipe, AnnotationFilters()), 2), PatchCutter(CropSettings(size=32))
    epochs = [islice(made.endless_hands(0, epoch, Place()), 2) for epoch in range(2)]
    items = [hand.item(cutter) for epoch in epochs for hand in epoch]
    assert [item and item["__key__"] for item in items] == ["000000", "000001", "000002", "000003"]


@pytest.mark.parametrize(
    ("change", "message"),
    [({"quality": 20}, "quality"), ({"seed": -1}, "seed"), ({"backgrounds": Path("no_such_folder")}, "backgrounds")],
)
def test_recipes_say_what_is_wrong(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["count", "shard_size", "processes"])
def test_counts_must_be_positive(recipe: Recipe, tmp_path: Path, name: str) -> None:
    arguments = {"count": 1, "shard_size": 1, "processes": 1, name: 0}
    with pytest.raises(ValueError, match=name):
        write_shards(recipe, arguments.pop("count"), tmp_path, **arguments)
