"""Learning from pictures and captions that do not belong together: what is added, and what learns from what."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError
from optophone.core.vocabulary import Vocabulary
from optophone.data.captioned_pictures import build_vocabulary, encode_captions
from optophone.data.manifest import read_dataset
from optophone.data.pairs import alone, paired_rows
from optophone.data.steps import StepItems
from optophone.data.unit_symbols import read_unit_symbols
from optophone.data.written_captions import written_rows
from optophone.models.captioners.build import FAMILY
from optophone.training.captioning import (
    CaptioningExperiment,
    CaptioningObjective,
    build_model,
    learn_unpaired,
    run_captioning,
    shown_pictures,
    surroundings,
)
from optophone.training.pseudo_labels import Labelling, PseudoLabels
from optophone.training.unpaired_method import ASIDE
from optophone.training.weights import save_weights
from tiny_datasets import captioner_experiment, write_captioned_pictures, write_spoken_captions
from tiny_textless import unit_captioner_experiment, write_unit_column

# Each method as soon as it can, and one with nothing to give.
METHODS: dict[str, dict[str, Any]] = {
    "language_model": {},
    "back_translation": {"first_step": 0},
    "pseudo_labels": {"first_step": 0, "every": 2, "n_pictures": 6, "keep": 0.7},
    "bottleneck": {"n_tokens": 1},
}
NOTHING: dict[str, dict[str, Any]] = {
    "language_model": {"weight": 0},
    "back_translation": {"weight": 0},
    "pseudo_labels": {"weight": 0},
    "bottleneck": {"weight": 0, "matching_weight": 0},
}
BOTTLENECK = {"n_slots": 5, "dim": 8, "n_heads": 2}
ATTENTIVE = {"embedding_dim": 12, "attention_dim": 8, "hidden_dim": 12}
HEADS = {"dim": 12, "n_heads": 2}
OPTIONS: dict[str, dict[str, Any]] = {
    "attention-on-attention": {**HEADS, "n_refining_layers": 1},
    "semantic-attention": {"dim": 12, "first_attribute": 3, "n_attributes": 6, "n_chosen": 3},
    "show-and-tell": {"embedding_dim": 12, "hidden_dim": 12},
    "transformer": {**HEADS, "n_layers": 1, "feed_forward_dim": 16},
    "x-lan": {**HEADS, "n_encoder_blocks": 1, "encoder_mid_dim": 6, "decoder_mid_dim": 5},
    "x-transformer": {**HEADS, "n_layers": 1, "n_encoder_layers": 1, "feed_forward_dim": 16},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Pictures, and the units of what is said about them."""
    folder = tmp_path_factory.mktemp("data")
    speech = write_spoken_captions(folder / "speech", write_captioned_pictures(folder / "pictures", 16))
    write_unit_column(folder / "units", speech)
    return folder / "pictures", folder / "units"


def mapping_of(folders: tuple[Path, Path], **sections: Any) -> dict[str, Any]:
    """Half of the pairs, and the methods of `sections`."""
    mapping = unit_captioner_experiment(*folders)
    mapping["data"] |= {"pairs_share": 0.5, "batch_size": 3, "max_symbols": 12}
    mapping["search"]["max_length"] = 12
    mapping |= {"frozen_views": 2, "trainer": {**mapping["trainer"], "max_steps": 4, "validate_every": 4}}
    if "bottleneck" in sections:
        mapping["decoder"]["bottleneck"] = BOTTLENECK
    return mapping | ({"unpaired": sections} if sections else {})


class Scene:
    """An experiment with its parts at hand."""

    def __init__(self, mapping: dict[str, Any], folder: Path) -> None:
        self.experiment = from_mapping(CaptioningExperiment, mapping)
        data = self.experiment.data
        dataset = read_dataset(data.folder)
        units = None if data.units is None else read_unit_symbols(data.units)
        self.rows = written_rows(dataset, "train", data.symbols, units)
        self.vocabulary: Vocabulary = build_vocabulary(self.rows, data)
        self.captions = encode_captions(self.rows, self.vocabulary)
        self.paired = paired_rows(self.rows, data.pairs_share, data.pairs_seed)
        model = build_model(self.experiment, self.vocabulary)
        pictures = dataset.array("train", "pictures")
        self.source = shown_pictures(self.experiment, pictures, self.captions, self.vocabulary, model, folder)
        pairs = CaptioningObjective(self.experiment, self.vocabulary, [], None)
        around = surroundings(self.experiment, self.captions, self.paired, self.source, self.vocabulary)
        self.model, self.objective, self.methods = learn_unpaired(
            self.experiment, model, pairs, around, self.vocabulary
        )
        self.around = around

    def loss(self, step: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
        one_of_each_colour = [next(place for place in self.paired if place % 3 == colour) for colour in range(3)]
        batch = self.source[StepItems(0, step, one_of_each_colour)]
        return self.objective.training_loss(self.model, batch, step)

    def gradients(self, *names: str, step: int = 0) -> set[str]:
        """Which parameters the terms of these names move."""
        _, terms = self.loss(step)
        self.model.zero_grad()
        torch.stack([terms[name] for name in names]).sum().backward()
        moved = [name for name, p in self.model.named_parameters() if p.grad is not None and bool(p.grad.any())]
        return {".".join(name.split(".")[:2]) if name.startswith("helpers") else name.split(".")[0] for name in moved}


def scene_of(folders: tuple[Path, Path], folder: Path, **sections: Any) -> Scene:
    return Scene(mapping_of(folders, **sections), folder)


def test_captions_alone_are_of_pictures_without_pairs(folders: tuple[Path, Path], tmp_path: Path) -> None:
    scene = scene_of(folders, tmp_path, language_model={})
    assert len(scene.paired) == 6
    unpaired = alone(12, scene.paired)
    assert scene.around.pictures is not None
    assert scene.around.pictures.indices == unpaired
    assert scene.around.captions is not None
    said = sorted(caption for place in unpaired for caption in scene.captions[place])
    assert sorted(scene.around.captions.captions) == said
    limited = scene_of(folders, tmp_path, language_model={}, speech_limit=3)
    assert limited.around.captions is not None
    assert len(limited.around.captions) == 3
    mapping = mapping_of(folders, language_model={})
    mapping["data"]["pairs_share"] = 1.0
    whole = Scene(mapping, tmp_path)
    assert whole.around.pictures is None
    assert whole.around.captions is not None
    assert len(whole.around.captions) == 24, "where all have pairs, all captions"


def test_other_speech_takes_the_place_of_captions_alone(folders: tuple[Path, Path], tmp_path: Path) -> None:
    scene = scene_of(folders, tmp_path, language_model={}, speech=str(folders[1]))
    assert scene.around.captions is not None
    assert len(scene.around.captions) == 24


def test_the_language_model_moves_decoder_and_no_picture(folders: tuple[Path, Path], tmp_path: Path) -> None:
    scene = scene_of(folders, tmp_path, language_model={"weight": 2.0})
    assert scene.gradients("language_model") == {"decoder", "helpers.no_picture"}
    total, terms = scene.loss()
    torch.testing.assert_close(total, terms["cross_entropy"] + terms["language_model"])
    half = scene_of(folders, tmp_path, language_model={"weight": 1.0})
    half.model.load_state_dict(scene.model.state_dict())
    torch.testing.assert_close(2 * half.loss()[1]["language_model"], terms["language_model"])


def test_a_language_model_may_come_first(folders: tuple[Path, Path], tmp_path: Path) -> None:
    scene = scene_of(folders, tmp_path, language_model={"alone_until": 3})
    total, terms = scene.loss(2)
    assert terms.keys() == {"language_model", "loss"}
    assert torch.equal(total, terms["language_model"])
    assert "cross_entropy" in scene.loss(3)[1]


def test_back_translation_teaches_network_and_captioner_apart(folders: tuple[Path, Path], tmp_path: Path) -> None:
    scene = scene_of(folders, tmp_path, back_translation={"first_step": 2})
    assert "back_translation" not in scene.loss(1)[1]
    assert scene.gradients("feature", step=2) == {"helpers.back_translation"}
    assert scene.gradients("back_translation", step=2) == {"decoder"}


def test_back_translation_learns_the_pictures_of_captions(folders: tuple[Path, Path], tmp_path: Path) -> None:
    scene = scene_of(folders, tmp_path, back_translation={"first_step": 100})
    network = scene.model.helpers["back_translation"]
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    losses = []
    for step in range(40):
        feature = scene.loss(step)[1]["feature"]
        optimizer.zero_grad()
        feature.backward()
        optimizer.step()
        losses.append(float(feature.detach()))
    assert losses[-1] < 0.3 * ASIDE, "1 is what the mean of all pictures gives"


def test_speech_goes_through_the_bottleneck_of_pictures(folders: tuple[Path, Path], tmp_path: Path) -> None:
    scene = scene_of(folders, tmp_path, bottleneck={"n_tokens": 1})
    assert scene.gradients("autoencoding") == {"decoder", "helpers.speech"}
    bottleneck: Any = scene.model.decoder.bottleneck  # type: ignore[union-attr]
    assert bool(bottleneck.slots.grad.any())
    inner: Any = scene.model.decoder.decoder  # type: ignore[union-attr]
    assert bool(inner.output.weight.grad.any())
    assert scene.gradients("matching") == {"decoder", "helpers.speech"}
    assert bool(scene.model.decoder.from_picture.weight.grad.any()), "pictures are drawn to speech, too"  # type: ignore[union-attr]
    assert inner.output.weight.grad is None or not bool(inner.output.weight.grad.any())


def test_a_bottleneck_for_speech_needs_one_for_pictures(folders: tuple[Path, Path], tmp_path: Path) -> None:
    mapping = mapping_of(folders, bottleneck={})
    del mapping["decoder"]["bottleneck"]
    with pytest.raises(ConfigurationError, match=r"decoder\.bottleneck"):
        Scene(mapping, tmp_path)


def labels_of(scene: Scene) -> PseudoLabels:
    (method,) = scene.methods
    assert isinstance(method, PseudoLabels)
    return method


def test_pseudo_labels_are_the_best_of_a_round_and_the_same_again(folders: tuple[Path, Path], tmp_path: Path) -> None:
    options = {**METHODS["pseudo_labels"], "n_pictures": 5}
    scene = scene_of(folders, tmp_path, pseudo_labels=options)
    labels = labels_of(scene)
    assert [step for step in range(6) if labels.is_due(step)] == [0, 2, 4]
    assert "pseudo_labels" not in scene.loss()[1]
    with torch.no_grad():  # an end after a few symbols
        scene.model.decoder.output.bias[scene.vocabulary.end] += 0.7  # type: ignore[union-attr]
    scene.model.train()
    scene.model.encoder.eval()
    labels.label(scene.model, 2)
    assert scene.model.training
    assert not scene.model.encoder.training
    first = labels.labels
    assert 1 <= len(first.pictures) <= 4
    assert set(first.pictures) <= set(alone(12, scene.paired)), "only pictures alone"
    assert all(caption[-1] == scene.vocabulary.end for caption in first.captions)
    labels.label(scene.model, 2)
    assert labels.labels == first
    again = scene_of(folders, tmp_path, pseudo_labels=options)
    again.model.load_state_dict(scene.model.state_dict())
    labels_of(again).label(again.model, 2)
    assert labels_of(again).labels == first
    callback = Labelling(labels_of(scene_of(folders, tmp_path, pseudo_labels=options)))
    callback.load_state_dict(Labelling(labels).state_dict())
    assert callback.labels.labels == first

    labels.config = replace(labels.config, keep=1.0)
    labels.label(scene.model, 2)
    everything = labels.labels
    assert set(zip(first.pictures, first.captions, strict=True)) < set(
        zip(everything.pictures, everything.captions, strict=True)
    )


def test_pseudo_labels_teach_the_captioner_and_pairs_the_head(folders: tuple[Path, Path], tmp_path: Path) -> None:
    scene = scene_of(folders, tmp_path, pseudo_labels=METHODS["pseudo_labels"])
    labels = labels_of(scene)
    unpaired = alone(12, scene.paired)
    caption = tuple(scene.captions[unpaired[0]][0])
    Labelling(labels).load_state_dict({"pictures": (unpaired[0],), "captions": (caption,)})
    assert scene.gradients("match") == {"helpers.match"}
    assert scene.gradients("pseudo_labels") == {"decoder"}


def test_captions_without_an_end_are_never_kept(folders: tuple[Path, Path], tmp_path: Path) -> None:
    scene = scene_of(folders, tmp_path, pseudo_labels=METHODS["pseudo_labels"])
    with torch.no_grad():
        scene.model.decoder.output.bias[scene.vocabulary.end] -= 50  # type: ignore[union-attr]
    labels_of(scene).label(scene.model, 0)
    assert labels_of(scene).labels.pictures == ()


def test_the_language_model_judges_pseudo_labels_where_there_is_one(folders: tuple[Path, Path], tmp_path: Path) -> None:
    scene = scene_of(folders, tmp_path, language_model={}, pseudo_labels={**METHODS["pseudo_labels"], "keep": 1.0})
    method = scene.methods[-1]
    assert isinstance(method, PseudoLabels)
    inputs = torch.tensor([[scene.vocabulary.start, 3], [scene.vocabulary.start, 4]])
    targets = torch.tensor([[3, scene.vocabulary.end], [4, scene.vocabulary.end]])
    scene.model.eval()
    fluency = method._fluency(scene.model, inputs, targets, [])
    region = scene.model.helpers["no_picture"](2)
    scores = scene.model.decoder(region, None, inputs).logits.log_softmax(-1)  # type: ignore[operator]
    expected = scores.gather(2, targets.unsqueeze(2)).mean((1, 2))
    torch.testing.assert_close(fluency, expected)


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "captioner.safetensors")


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def trained(mapping: dict[str, Any], folder: Path) -> dict[str, Tensor]:
    folder.mkdir(parents=True, exist_ok=True)
    run_captioning(from_mapping(CaptioningExperiment, mapping), folder)
    return weights(folder)


def write_hasty_captioner(mapping: dict[str, Any], path: Path) -> Path:
    """An untrained captioner whose captions end all the same."""
    experiment = from_mapping(CaptioningExperiment, mapping)
    vocabulary = build_vocabulary([], experiment.data)
    model: Any = build_model(experiment, vocabulary)
    inner = getattr(model.decoder, "decoder", model.decoder)
    with torch.no_grad():
        inner.output.bias[vocabulary.end] += 3
    save_weights(model, path)
    return path


@pytest.mark.parametrize("method", NOTHING)
def test_a_method_of_weight_0_is_plain_training(method: str, folders: tuple[Path, Path], tmp_path: Path) -> None:
    mapping = mapping_of(folders, **{method: NOTHING[method]})
    mapping["decoder"]["options"]["dropout"] = 0.3
    found = trained(mapping, tmp_path / "with")
    del mapping["unpaired"]
    assert_equal(found, trained(mapping, tmp_path / "without"))


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    method: str, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapping = mapping_of(folders, **{method: METHODS[method]})
    mapping["search"] |= {"max_length": 40, "min_length": 2}
    mapping["decoder"]["options"]["dropout"] = 0.3
    mapping["captioner_weights"] = str(write_hasty_captioner(mapping, tmp_path / "hasty.safetensors"))
    mapping["trainer"] |= {"max_steps": 6, "validate_every": 6}
    whole = trained(mapping, tmp_path / "whole")
    assert not any(name.startswith("helpers") for name in whole), "what is exported is the captioner alone"
    from optophone.training import experiment as module

    save = module.SegmentCheckpoint.on_train_epoch_end

    def save_then_die(self: Any, trainer: Any, pl_module: Any) -> None:
        save(self, trainer, pl_module)
        if trainer.global_step == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module.SegmentCheckpoint, "on_train_epoch_end", save_then_die)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            trained(mapping, tmp_path / "halves")
    assert_equal(whole, trained(mapping, tmp_path / "halves"))
    del mapping["unpaired"]
    plain = trained(mapping, tmp_path / "plain")
    assert any(not torch.equal(plain[name], whole[name]) for name in plain), "the method teaches something"


@pytest.mark.parametrize("name", FAMILY)
def test_every_member_of_the_family_learns_by_every_method(
    name: str, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    mapping = mapping_of(folders, **METHODS)
    mapping["decoder"] |= {"name": name, "options": OPTIONS.get(name, ATTENTIVE)}
    scene = Scene(mapping, tmp_path)
    labels = next(method for method in scene.methods if isinstance(method, PseudoLabels))
    unpaired = alone(12, scene.paired)
    captions = tuple(tuple(scene.captions[place][0]) for place in unpaired)
    Labelling(labels).load_state_dict({"pictures": tuple(unpaired), "captions": captions})
    total, terms = scene.loss()
    expected = {"language_model", "back_translation", "feature", "match", "pseudo_labels", "autoencoding", "matching"}
    assert expected <= terms.keys()
    total.backward()
    for helper, parameter in ((n, p) for n, p in scene.model.helpers.named_parameters()):
        assert parameter.grad is not None, helper
        assert bool(parameter.grad.isfinite().all()), helper
    labels.label(scene.model, 0)


def test_words_and_pictures_that_are_seen_anew(tmp_path: Path) -> None:
    write_captioned_pictures(tmp_path / "data", 16)
    mapping = captioner_experiment(tmp_path / "data")
    mapping["data"] |= {"pairs_share": 0.5, "pairs_shuffled": True}
    mapping["decoder"]["bottleneck"] = BOTTLENECK
    mapping["unpaired"] = METHODS
    assert trained(mapping, tmp_path / "run")


def test_region_features(folders: tuple[Path, Path], tmp_path: Path) -> None:
    import numpy as np

    from optophone.data.prepare.region_features import prepare_region_features

    (tmp_path / "features").mkdir()
    for split, n in (("train", 12), ("dev", 4)):
        for i in range(n):
            np.savez(tmp_path / "features" / f"{split}{i}.npz", feat=np.ones((i % 3 + 1, 6), np.float32))
    prepare_region_features(tmp_path / "features", tmp_path / "packed")
    mapping = mapping_of(folders, **METHODS)
    mapping |= {"frozen_views": 0, "encoder": {"n_features": 6}}
    mapping["data"]["regions"] = str(tmp_path / "packed")
    assert trained(mapping, tmp_path / "run")


@pytest.mark.parametrize(
    ("sections", "share", "problem"),
    [
        ({}, 0.5, "at least one"),
        ({"pseudo_labels": {}}, 1.0, "pairs_share less than 1"),
        ({"language_model": {"weight": -1.0}}, 0.5, "0 or more"),
        ({"language_model": {"weight": 0.0, "alone_until": 2}}, 0.5, "alone_until"),
        ({"pseudo_labels": {"keep": 0.0}}, 0.5, "keep"),
        ({"pseudo_labels": {"every": 0}}, 0.5, "every"),
        ({"back_translation": {"first_step": -1}}, 0.5, "0 or more"),
        ({"bottleneck": {"n_tokens": 0}}, 0.5, "n_tokens"),
        ({"language_model": {}, "speech_limit": -1}, 0.5, "speech_limit"),
    ],
)
def test_what_cannot_be(
    sections: dict[str, Any], share: float, problem: str, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    mapping = mapping_of(folders, **sections) | {"unpaired": sections}
    mapping["data"]["pairs_share"] = share
    with pytest.raises(ConfigurationError, match=problem):
        Scene(mapping, tmp_path)


def test_reward_and_methods_exclude_each_other(folders: tuple[Path, Path]) -> None:
    mapping = mapping_of(folders, language_model={}) | {"self_critical": {}, "captioner_weights": "x"}
    with pytest.raises(ConfigurationError, match="self_critical"):
        from_mapping(CaptioningExperiment, mapping)
