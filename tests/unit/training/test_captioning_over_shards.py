"""Training of captioners on pictures in shards: what packed pictures teach, in the order of the shards."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError, DataError
from optophone.data.captioned_pictures import CaptionedPictures, CaptionedPicturesConfig
from optophone.data.sharded_pictures import ShardedPictures
from optophone.data.steps import shuffled_plan
from optophone.training import captioning
from optophone.training.captioning import CaptioningExperiment, run_captioning
from optophone.training.experiment import SegmentCheckpoint
from tiny_datasets import captioner_experiment, write_captioned_pictures
from tiny_shards import put_into_shards

SIZE = 16


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """The same pictures packed and in shards, of the size of the training."""
    packed = write_captioned_pictures(tmp_path / "packed", SIZE)
    return {
        "packed": packed.folder,
        "shards": put_into_shards(packed, tmp_path / "shards", tmp_path / "indexed").folder,
    }


def run(data: Path, out: Path, **changes: Any) -> dict[str, torch.Tensor]:
    mapping = {**captioner_experiment(data), **changes}
    mapping["data"] = {**mapping["data"], "shards_at_once": 2}
    out.mkdir(parents=True, exist_ok=True)
    run_captioning(from_mapping(CaptioningExperiment, mapping), out)
    return load_file(out / "captioner.safetensors")


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_shards_teach_what_packed_pictures_teach(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = run(folders["packed"], tmp_path / "a/run")
    in_order_of_shards = run(folders["shards"], tmp_path / "b/run")
    assert any(not torch.equal(value, packed[name]) for name, value in in_order_of_shards.items())
    monkeypatch.setattr(captioning, "sharded_plan", lambda shards, batch, at_once, seed: shuffled_plan(12, batch, seed))
    assert_equal(packed, run(folders["shards"], tmp_path / "c/run"))


def test_a_frozen_encoder_sees_the_same(folders: dict[str, Path], tmp_path: Path) -> None:
    """Its regions are computed once, so the order is that of packed pictures by itself."""
    assert_equal(*(run(folders[name], tmp_path / name / "run", frozen_views=2) for name in ("packed", "shards")))


def test_a_run_that_was_stopped_ends_with_the_weights_of_one_that_was_not(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(folders["shards"], tmp_path / "whole")
    save = SegmentCheckpoint.on_train_epoch_end

    def save_then_die(self: Any, trainer: Any, pl_module: Any) -> None:
        save(self, trainer, pl_module)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SegmentCheckpoint, "on_train_epoch_end", save_then_die)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            run(folders["shards"], tmp_path / "stopped")
    assert_equal(whole, run(folders["shards"], tmp_path / "stopped"))


def test_a_picture_that_changes_while_it_is_trained_on_ends_the_run(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(self: CaptionedPictures, *_: object, shown: Any = CaptionedPictures.shown) -> Any:
        for shard in (tmp_path / "shards").glob("train-*.tar"):
            shard.write_bytes(bytes(shard.stat().st_size))
        return shown(self, *_)

    monkeypatch.setattr(CaptionedPictures, "shown", change)
    with pytest.raises(DataError, match=r"train-\d+.tar: was changed or cut off since it was indexed"):
        run(folders["shards"], tmp_path / "run")


def test_a_share_of_the_pictures_is_taken_shard_by_shard(folders: dict[str, Path], tmp_path: Path) -> None:
    """The places that the plan counts are those of the pairs."""
    from optophone.data.manifest import read_dataset

    dataset = read_dataset(folders["shards"])
    pictures = ShardedPictures(dataset, dataset.rows("train"), SIZE)
    config = CaptionedPicturesConfig("", batch_size=3, shards_at_once=1)
    training_set = CaptionedPictures.__new__(CaptionedPictures)
    training_set.pictures = pictures
    paired = [0, 1, 4, 5, 6, 9]
    plan = captioning.plan_of(training_set, paired, config, seed=0)
    for epoch in range(4):
        batches = plan(epoch)
        assert sorted(place for batch in batches for place in batch) == list(range(len(paired)))
        shards = [{pictures.shards[paired[place]] for place in batch} for batch in batches]
        assert sum(map(len, shards)) <= 4, "a shard of three pictures may lie in two steps, no other does"


def test_no_shards_at_once_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="shards_at_once is 0; give 1 or more"):
        CaptionedPicturesConfig("", shards_at_once=0)
