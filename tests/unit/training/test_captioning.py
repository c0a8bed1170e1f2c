"""Training of captioners: losses, validation, what is shown, and what a run starts from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError
from optophone.core.picture import PictureSpec, prepare_picture
from optophone.core.search import SearchConfig
from optophone.core.vocabulary import Vocabulary
from optophone.data.captioned_pictures import CaptionedPictures, build_vocabulary, encode_captions
from optophone.data.steps import StepItems
from optophone.models.captioners.captioner import Captioner
from optophone.training.caption_loss import caption_cross_entropy, doubly_stochastic_penalty
from optophone.training.captioning import (
    CaptioningExperiment,
    CaptioningObjective,
    attention_strip,
    build_model,
    dev_pictures,
    regions_of,
    run_captioning,
)
from optophone.training.self_critical import SelfCriticalConfig, SelfCriticalReward
from optophone.training.weights import save_weights
from tiny_datasets import COLOURS, captioner_experiment, write_captioned_pictures


class Writer:
    """What a run shows, instead of TensorBoard."""

    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}

    def add_text(self, name: str, text: str, step: int) -> None:
        self.shown[name] = text

    def add_image(self, name: str, image: Tensor, step: int) -> None:
        self.shown[name] = image


class Scene:
    """An experiment on tiny data with its parts at hand."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.dataset = write_captioned_pictures(folder)
        self.experiment = from_mapping(CaptioningExperiment, {**captioner_experiment(folder), **changes})
        self.rows = self.dataset.rows("train")
        self.vocabulary: Vocabulary = build_vocabulary(self.rows, self.experiment.data)
        self.captions = encode_captions(self.rows, self.vocabulary)
        self.model: Captioner = build_model(self.experiment, self.vocabulary)
        config = self.experiment.self_critical
        reward = SelfCriticalReward(self.captions, config) if config else None
        self.objective = CaptioningObjective(self.experiment, self.vocabulary, self.dataset.rows("dev"), reward)

    def batch(self, step: int = 0) -> Any:
        pictures = self.dataset.array("train", "pictures")
        source = CaptionedPictures(pictures, self.captions, self.vocabulary, self.experiment.data)
        return source[StepItems(0, step, [step % 12, (step + 1) % 12, (step + 2) % 12, (step + 5) % 12])]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "data")


def test_the_loss_is_the_cross_entropy_of_what_follows(scene: Scene) -> None:
    scene.model.eval()
    batch = scene.batch()
    loss, terms = scene.objective.training_loss(scene.model, batch, 0)
    logits = scene.model(batch.pictures, batch.inputs, 5).logits
    torch.testing.assert_close(loss, caption_cross_entropy(logits, batch.targets, scene.vocabulary.pad))
    assert terms.keys() == {"loss", "cross_entropy"}


def test_smoothing_and_penalty_join_the_loss(tmp_path: Path) -> None:
    scene = Scene(tmp_path, label_smoothing=0.2, attention_penalty=0.5)
    scene.model.eval()
    batch = scene.batch()
    loss, terms = scene.objective.training_loss(scene.model, batch, 0)
    output = scene.model(batch.pictures, batch.inputs, 5)
    counted = batch.targets != scene.vocabulary.pad
    smooth = caption_cross_entropy(output.logits, batch.targets, scene.vocabulary.pad, 0.2)
    penalty = doubly_stochastic_penalty(output.attention, counted)
    torch.testing.assert_close(loss, smooth + 0.5 * penalty)
    torch.testing.assert_close(terms["attention_penalty"], penalty)


def test_known_regions_are_not_encoded_again(scene: Scene) -> None:
    regions = torch.randn(2, 4, 6)
    assert regions_of(scene.model, regions) is regions
    scene.model.eval()
    pictures = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(regions_of(scene.model, pictures), scene.model.encoder(pictures))


def test_self_critical_training_has_no_dropout_and_raises_the_reward(tmp_path: Path) -> None:
    scene = Scene(tmp_path, self_critical={"n_samples": 8})
    optimizer = torch.optim.Adam(scene.model.parameters(), lr=0.01)
    rewards = []
    for step in range(30):
        scene.model.train()
        torch.manual_seed(step)
        loss, terms = scene.objective.training_loss(scene.model, scene.batch(step), step)
        assert not scene.model.decoder.training  # type: ignore[attr-defined]
        assert torch.equal(loss, terms["loss"])
        assert bool(loss.isfinite())
        rewards.append(float(terms["reward"]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert np.mean(rewards[-5:]) > 1.5 * np.mean(rewards[:5])


def test_a_captioner_learns_to_name_colours(scene: Scene) -> None:
    optimizer = torch.optim.AdamW(scene.model.parameters(), lr=0.01)
    for step in range(60):
        scene.model.train()
        loss, _ = scene.objective.training_loss(scene.model, scene.batch(step), step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    scene.model.eval()
    for batch in dev_pictures(scene.dataset, scene.experiment.data):
        with torch.no_grad():
            scene.objective.validate(scene.model, batch)
    for caption, row in zip(scene.objective.captions, scene.dataset.rows("dev"), strict=True):
        colour = next(colour for colour in COLOURS if colour in row["captions"][0])
        assert colour in caption.split()
    measures = scene.objective.measures()
    assert measures["bleu_1"] > 90
    assert measures["n_distinct_captions"] == 3


def test_measures_compare_each_caption_with_its_own_picture(scene: Scene) -> None:
    human = [row["captions"][2] for row in scene.dataset.rows("dev")]
    scene.objective.captions = list(human)
    found = scene.objective.measures()
    assert found.keys() == {"bleu_1", "bleu_4", "cider_d", "n_distinct_captions", "mean_length"}
    assert found["bleu_1"] == pytest.approx(100)
    assert scene.objective.captions == [], "the next validation starts anew"
    scene.objective.captions = [human[1], human[0], human[0]]  # fewer than there are: a limited validation
    wrong = scene.objective.measures()
    assert wrong["bleu_1"] < 90
    assert wrong["n_distinct_captions"] == 2


def test_what_is_shown(scene: Scene) -> None:
    scene.model.eval()
    (batch,) = dev_pictures(scene.dataset, scene.experiment.data)
    with torch.no_grad():
        scene.objective.validate(scene.model, batch)
        scene.objective.validate(scene.model, batch)
    writer = Writer()
    captions = scene.objective.captions[:4]
    scene.objective.show(scene.model, writer, 7)
    assert writer.shown["dev/captions"].split("\n\n") == captions
    assert writer.shown.keys() == {"dev/captions", *(f"dev/attention_{i}" for i in range(4))}
    assert writer.shown["dev/attention_0"].shape[:2] == (3, 16)
    assert scene.objective.looks == []


def test_silence_is_shown_without_pictures(tmp_path: Path) -> None:
    scene = Scene(tmp_path, search={"beam_size": 1, "max_length": 3})
    scene.model.eval()
    nn.init.constant_(scene.model.decoder.output.bias[scene.vocabulary.end], 50.0)  # type: ignore[attr-defined]
    with torch.no_grad():
        scene.objective.validate(scene.model, torch.zeros(1, 3, 16, 16))
    assert scene.objective.captions == [""]
    writer = Writer()
    scene.objective.show(scene.model, writer, 0)
    assert writer.shown == {"dev/captions": ""}


def test_the_strip_is_bright_where_the_symbol_looked() -> None:
    attention = np.zeros((2, 16), dtype=np.float32)
    attention[0, 0] = attention[1, 15] = 1.0
    strip = attention_strip(torch.zeros(3, 32, 32), attention)
    assert strip.shape == (3, 32, 64)
    assert 0 <= strip.min() < strip.max() <= 1
    first, second = strip[0, :, :32], strip[0, :, 32:]
    assert first[2, 2] > 2 * first[29, 29]
    assert second[29, 29] > 2 * second[2, 2]


def test_dev_pictures_are_prepared_as_at_runtime(scene: Scene) -> None:
    (batch,) = dev_pictures(scene.dataset, scene.experiment.data)
    packed = scene.dataset.array("dev", "pictures")
    expected = np.stack([prepare_picture(picture, PictureSpec(16, 16)) for picture in packed])
    np.testing.assert_allclose(batch.numpy(), expected, atol=1e-5)
    (limited,) = dev_pictures(scene.dataset, replace(scene.experiment.data, dev_limit=3))
    assert torch.equal(limited, batch[:3])


def weights_of(module: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def test_new_weights_follow_from_the_seed(scene: Scene) -> None:
    again = build_model(scene.experiment, scene.vocabulary)
    assert torch.equal(weights_of(again), weights_of(scene.model))
    other = replace(scene.experiment, trainer=replace(scene.experiment.trainer, seed=1))
    assert not torch.equal(weights_of(build_model(other, scene.vocabulary)), weights_of(scene.model))


def test_a_run_starts_from_the_weights_it_names(scene: Scene, tmp_path: Path) -> None:
    with torch.no_grad():
        for parameter in scene.model.parameters():
            parameter.add_(1.0)
    save_weights(scene.model, tmp_path / "captioner.safetensors")
    save_weights(scene.model.encoder, tmp_path / "encoder.safetensors")

    def started(**options: str) -> Captioner:
        names = {option: str(tmp_path / name) for option, name in options.items()}
        return build_model(replace(scene.experiment, **names), scene.vocabulary)  # type: ignore[arg-type]

    assert torch.equal(weights_of(started(captioner_weights="captioner.safetensors")), weights_of(scene.model))
    for option in ({"encoder_weights": "encoder.safetensors"}, {"encoder_from": "captioner.safetensors"}):
        model = started(**option)
        assert torch.equal(weights_of(model.encoder), weights_of(scene.model.encoder))
        assert not torch.equal(weights_of(model.decoder), weights_of(scene.model.decoder))  # type: ignore[arg-type]


def test_self_critical_training_needs_a_captioner(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "data")
    experiment = replace(scene.experiment, self_critical=SelfCriticalConfig())
    with pytest.raises(ConfigurationError, match="captioner_weights"):
        run_captioning(experiment, tmp_path)


def test_the_search_of_the_configuration_is_used(tmp_path: Path) -> None:
    scene = Scene(tmp_path, search={"beam_size": 1, "max_length": 5, "min_length": 5})
    assert isinstance(scene.experiment.search, SearchConfig)
    scene.model.eval()
    with torch.no_grad():
        scene.objective.validate(scene.model, torch.zeros(2, 3, 16, 16))
    assert [len(caption.split()) for caption in scene.objective.captions] == [5, 5]


def test_another_kind_of_symbols_changes_what_is_counted_in_words(tmp_path: Path) -> None:
    mapping = captioner_experiment(tmp_path)
    mapping["search"] |= {"max_length": 20, "min_length": 2, "block_ngram": 3}
    mapping["data"] |= {"max_symbols": 22}
    words = from_mapping(CaptioningExperiment, mapping)
    assert words.search_in_symbols() == words.search
    assert words.decoder_in_symbols() == words.decoder
    mapping["data"]["symbols"] = "characters"
    letters = from_mapping(CaptioningExperiment, mapping)
    search = letters.search_in_symbols()
    assert (search.max_length, search.min_length, search.block_ngram) == (100, 10, 15)
    assert letters.decoder_in_symbols().options["max_length"] == 110
    mapping["decoder"]["options"]["max_length"] = 500
    assert from_mapping(CaptioningExperiment, mapping).decoder_in_symbols().options["max_length"] == 500
    mapping["decoder"] = {"name": "show-attend-tell"}
    assert from_mapping(CaptioningExperiment, mapping).decoder_in_symbols().options == {}
