"""Training of captioners that read regions which a detector found: padding changes nothing, data and encoder agree."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError, DataError
from optophone.core.search import SearchConfig
from optophone.core.vocabulary import build_words
from optophone.data.captioned_pictures import build_vocabulary, encode_captions
from optophone.data.captioned_regions import CaptionedRegions, RegionBatch, RegionBatches
from optophone.data.prepare.region_features import prepare_region_features
from optophone.data.steps import StepItems
from optophone.models.captioners.build import DecoderConfig, build_decoder
from optophone.training.caption_loss import doubly_stochastic_penalty
from optophone.training.captioning import (
    CaptioningExperiment,
    CaptioningObjective,
    build_model,
    read_regions,
    run_captioning,
)
from optophone.training.describing import describe
from optophone.training.self_critical import SelfCriticalConfig, sample_captions, self_critical_loss
from tiny_datasets import COLOURS, captioner_experiment, write_captioned_pictures

VOCABULARY = build_words(["a dog runs on the grass"])
END = 2
DIM = 6
MASK = torch.tensor([[True, True, False, False], [True, True, True, True]])


@pytest.fixture(params=["transformer", "show-attend-tell"])
def decoder(request: pytest.FixtureRequest) -> nn.Module:
    options: dict[str, dict[str, Any]] = {
        "transformer": {"dim": 16, "n_heads": 2, "n_layers": 1, "feed_forward_dim": 16},
        "show-attend-tell": {"embedding_dim": 16, "attention_dim": 8, "hidden_dim": 16},
    }
    torch.manual_seed(2)
    return build_decoder(DecoderConfig(request.param, options[request.param]), len(VOCABULARY), DIM, None).eval()


@pytest.fixture
def regions() -> torch.Tensor:
    """Two pictures; of the first only two regions are real, the others are loud."""
    found = torch.randn(2, 4, DIM, generator=torch.Generator().manual_seed(6))
    found[0, 2:] = 50.0
    return found


def test_padding_changes_no_caption(decoder: nn.Module, regions: torch.Tensor) -> None:
    config = SearchConfig(beam_size=2, max_length=5)
    (padded, *_), _ = describe(decoder, regions, VOCABULARY, config, MASK)
    ((alone, *_),) = describe(decoder, regions[:1, :2], VOCABULARY, config)
    assert padded.ids == alone.ids
    assert padded.log_prob == pytest.approx(alone.log_prob, abs=1e-4)


def test_padding_changes_no_reward_and_no_sample(decoder: nn.Module, regions: torch.Tensor) -> None:
    captions, rewards = [[4, 5, END], [6, END], [7, END], [8, 9, END]], torch.tensor([1.0, 0.0, 2.0, 5.0])
    other = regions.clone()
    other[0, 2:] = -50.0
    losses = [self_critical_loss(decoder, r, captions, rewards, VOCABULARY, 1.0, MASK) for r in (regions, other)]
    torch.testing.assert_close(*losses)
    samples = []
    for r in (regions, other):
        torch.manual_seed(0)
        samples.append(sample_captions(decoder, r, VOCABULARY, SelfCriticalConfig(5), 6, MASK))
    assert samples[0] == samples[1]


def test_no_region_is_missed_where_none_is() -> None:
    attention = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]]).unsqueeze(1)
    counted = torch.ones(2, 1, dtype=torch.bool)
    expected = (2 * 0.25 + 4 * 0.75**2) / 6
    assert doubly_stochastic_penalty(attention, counted, MASK) == pytest.approx(expected)
    repeated = doubly_stochastic_penalty(attention.repeat_interleave(3, 0), counted.repeat(3, 1), MASK)
    assert repeated == pytest.approx(expected)


class Scene:
    """Tiny pictures with 1 to 4 regions each, which say the picture's colour."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.dataset = write_captioned_pictures(folder / "data")
        (folder / "features").mkdir()
        rng = np.random.default_rng(0)
        for split, n in (("train", 12), ("dev", 4)):
            for i in range(n):
                features = rng.normal(0, 0.1, (i % 4 + 1, DIM))
                features[:, i % 3] += 1.0
                np.savez(folder / "features" / f"{split}{i}.npz", feat=features.astype(np.float32))
        prepare_region_features(folder / "features", folder / "packed")
        mapping = captioner_experiment(folder / "data")
        mapping["data"]["regions"] = str(folder / "packed")
        mapping["encoder"] = {"n_features": DIM}
        self.experiment = from_mapping(CaptioningExperiment, {**mapping, **changes})


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_the_colours_are_learned_from_the_regions(scene: Scene) -> None:
    experiment, rows = scene.experiment, scene.dataset.rows("train")
    packed = read_regions(experiment)
    assert packed is not None
    vocabulary = build_vocabulary(rows, experiment.data)
    captions = encode_captions(rows, vocabulary)
    model = build_model(experiment, vocabulary)
    objective = CaptioningObjective(experiment, vocabulary, scene.dataset.rows("dev"), None)
    dataset = CaptionedRegions(packed, packed.ids_of(rows), captions, vocabulary, experiment.data)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(60):
        optimizer.zero_grad()
        loss, _ = objective.training_loss(model.train(), dataset[StepItems(0, step, range(12))], step)
        loss.backward()
        optimizer.step()
    model.eval()
    batch = RegionBatches(packed, packed.ids_of(objective.dev_rows))[0]
    assert isinstance(batch, RegionBatch)
    objective.validate(model, batch)
    said = [[word for word in caption.split() if word in COLOURS] for caption in objective.captions]
    assert said == [["red"], ["green"], ["blue"], ["red"]]
    assert objective.measures()["bleu_1"] > 0.5


def test_a_run_and_what_it_shows(scene: Scene, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    run_captioning(scene.experiment, folder)
    assert (folder / "captioner.safetensors").is_file()
    assert not (tmp_path / "regions").exists()
    rewarded = replace(
        scene.experiment,
        captioner_weights=str(folder / "captioner.safetensors"),
        self_critical=SelfCriticalConfig(2),
        attention_penalty=0.0,
    )
    (tmp_path / "second").mkdir()
    run_captioning(rewarded, tmp_path / "second")
    assert (tmp_path / "second" / "captioner.safetensors").is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": {"widths": [4, 6], "depths": [1, 1]}}, "need each other"),
        ({"encoder": {"n_features": 7}}, f"n_features is 7, the regions in .* have {DIM}"),
        ({"frozen_views": 2}, "leave it at 0"),
    ],
)
def test_data_and_encoder_must_agree(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_regions(Scene(tmp_path, **changes).experiment)


def test_an_encoder_that_needs_regions_needs_their_folder(scene: Scene) -> None:
    data = replace(scene.experiment.data, regions=None)
    with pytest.raises(ConfigurationError, match="need each other"):
        read_regions(replace(scene.experiment, data=data))


def test_pictures_without_regions_are_named(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    np.save(tmp_path / "few" / "train0.npy", np.ones((2, DIM), np.float32))
    prepare_region_features(tmp_path / "few", tmp_path / "few-packed")
    data = replace(scene.experiment.data, regions=str(tmp_path / "few-packed"))
    with pytest.raises(DataError, match=r"no regions of 11 of 12 pictures: train1, train2, train3, …"):
        run_captioning(replace(scene.experiment, data=data), tmp_path)
