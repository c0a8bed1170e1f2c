"""ResDAVEnet-VQ against the outputs of the public original, for whatever sizes the fixture has."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from optophone.checkpoints.resdavenet_vq import load_resdavenet_vq, resdavenet_vq_state_dicts
from optophone.core.errors import BundleError, ConfigurationError
from optophone.evaluation.retrieval import retrieval_scores
from optophone.models.units.matching import MatchingLosses, sampled_triplet_loss, semi_hard_triplet_loss, similarity
from optophone.models.units.quantizer import perplexity
from optophone.models.units.resdavenet import ResDAVEnetOutput
from optophone.models.units.resdavenet_vq import ResDAVEnetVQ

LOSSES = {
    "sampled_I2A": "sampled_to_speech",
    "sampled_A2I": "sampled_to_picture",
    "semihard_I2A": "semi_hard_to_speech",
    "semihard_A2I": "semi_hard_to_picture",
    "total_loss": "total",
}


class Fixture:
    """The stored arrays and settings of one reference run."""

    def __init__(self, folder: Path) -> None:
        self.settings: dict[str, Any] = json.loads((folder / "resdavenet_vq.json").read_text())
        with np.load(folder / "resdavenet_vq.npz") as arrays:
            self.arrays = {name: torch.from_numpy(arrays[name].copy()) for name in arrays.files}
        self.x, self.n_frames = self.arrays["input/x"], self.arrays["input/nframes"]

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): tensor for name, tensor in self.arrays.items() if name.startswith(prefix)}

    def model(self, jitter: float = 0.0) -> ResDAVEnetVQ:
        return load_resdavenet_vq(self.tensors("weight/"), {**self.settings["config"], "jitter_p": jitter})

    def has(self, name: str) -> bool:
        return f"output/{name}" in self.arrays

    def check(self, name: str, found: Tensor) -> None:
        """`found` is the stored output, within ten times the original's own rounding; losses within 1e-5."""
        reference = self.arrays[f"output/{name}"]
        assert found.numel() == reference.numel(), f"{name} is {tuple(found.shape)}"
        found = found.detach().reshape(reference.shape)
        if not reference.is_floating_point():
            assert torch.equal(found, reference), name
            return
        scale = float(reference.abs().max()) if reference.numel() else 1.0
        tolerance = 10 * self.settings["reference_rounding_fp32_vs_fp64"].get(name, 0.0) + 1e-5 * max(1.0, scale)
        limit = 1e-5 * max(1.0, scale) if reference.ndim == 0 else 1e-4 * max(1.0, scale)
        torch.testing.assert_close(found, reference, rtol=0, atol=min(tolerance, limit), msg=lambda m: f"{name}: {m}")

    def positions(self) -> list[int]:
        return [i for i in range(1, 6) if self.has(f"eval_quant{i}_units")]


@pytest.fixture(scope="module")
def fixture(parity_fixtures: Path) -> Fixture:
    return Fixture(parity_fixtures)


Step = tuple[ResDAVEnetVQ, ResDAVEnetOutput, Tensor, MatchingLosses]


@pytest.fixture(scope="module")
def step(fixture: Fixture) -> Step:
    """One step of training, in the original's order: forward, codebooks, losses of the old codes, gradients."""
    model = fixture.model().train()
    output = model(fixture.x, fixture.n_frames)
    regions = fixture.arrays["input/train_image_output"].flatten(2).transpose(1, 2)
    negatives = (fixture.arrays["input/train_neg_index_I2A"], fixture.arrays["input/train_neg_index_A2I"])
    model.update_codebooks(output)
    losses = model.losses(regions, output, negatives)
    losses.total.backward()
    return model, output, model.similarity(regions, output), losses


@torch.no_grad()
def test_every_position_equals_the_original(fixture: Fixture) -> None:
    model = fixture.model()
    output, valid = model(fixture.x), model(fixture.x, fixture.n_frames)
    fixture.check("eval_embedding", output.frames)
    for number, position in enumerate(output.positions, 1):
        if fixture.has(f"eval_quant{number}_output"):
            fixture.check(f"eval_quant{number}_output", position.after)
        if position.units is not None:
            assert position.loss is not None
            assert valid.positions[number - 1].loss is not None
            fixture.check(f"eval_quant{number}_preq", position.before.transpose(1, 2))
            fixture.check(f"eval_quant{number}_loss", position.loss)
            fixture.check(f"eval_quant{number}_loss_valid", valid.positions[number - 1].loss)


def test_units_are_those_of_the_original(fixture: Fixture) -> None:
    output = fixture.model()(fixture.x)
    assert fixture.positions() == list(fixture.model().config.audio.quantizers)
    for number in fixture.positions():
        fixture.check(f"eval_quant{number}_units", output.positions[number - 1].units)


def test_units_of_one_utterance_are_those_of_the_whole_network(fixture: Fixture) -> None:
    model = fixture.model()
    for number in fixture.positions():
        whole = model(fixture.x[:1]).positions[number - 1].units
        units = model.units(fixture.x[0], number)
        assert len(units) >= whole.shape[1] - 1
        assert torch.equal(units, whole[0, : len(units)])


def test_training_step_equals_the_original(fixture: Fixture, step: Step) -> None:
    model, output, scores, losses = step
    fixture.check("train_embedding", output.frames)
    fixture.check("train_nframes_pooled", output.lengths)
    fixture.check("train_S", scores)
    for theirs, ours in LOSSES.items():
        fixture.check(f"train_{theirs}", getattr(losses, ours))
    for number in fixture.positions():
        units = model.audio.valid_units(output, number)
        fixture.check(f"train_quant{number}_units_valid", units)
        fixture.check(f"train_quant{number}_loss", output.positions[number - 1].loss)
        n_codes = dict(zip(model.config.audio.quantizers, model.config.audio.n_codes, strict=True))[number]
        fixture.check(f"train_quant{number}_perplexity", perplexity(units, n_codes))


def test_gradients_equal_the_original(fixture: Fixture, step: Step) -> None:
    gradients = _gradients(step[0])
    names = [name.removeprefix("train_grad.") for name in fixture.tensors("output/") if name.startswith("train_grad.")]
    assert names
    for name in names:
        fixture.check(f"train_grad.{name}", gradients[name])


def test_codebooks_and_statistics_move_as_in_the_original(fixture: Fixture, step: Step) -> None:
    after = resdavenet_vq_state_dicts(step[0])["audio_model"]
    names = {name.removeprefix("train_after.") for name in fixture.tensors("output/") if "train_after." in name}
    assert any("_embedding" in name for name in names) == bool(fixture.positions())
    for name in names:
        if not name.startswith("batchnorm1."):  # stored but unused; ours has none
            fixture.check(f"train_after.{name}", after[name])


def test_jitter_equals_the_original(fixture: Fixture) -> None:
    model = fixture.model(fixture.settings["config"]["train_jitter_p"]).train()
    draws = (fixture.arrays["input/jitter_draw_0"], fixture.arrays["input/jitter_draw_1"])
    fixture.check("train_jitter_embedding", model(fixture.x, fixture.n_frames, draws).frames)


def test_matching_equals_the_original(fixture: Fixture) -> None:
    regions = fixture.arrays["input/match_image_output"].flatten(2).transpose(1, 2)
    frames, lengths = fixture.arrays["input/match_audio_output"].squeeze(2), fixture.arrays["input/match_nframes"]
    scores, margin = similarity(regions, frames, lengths), fixture.settings["config"]["margin"]
    fixture.check("match_S", scores)
    for direction, matrix in (("I2A", scores), ("A2I", scores.T)):
        negatives = fixture.arrays[f"input/match_neg_index_{direction}"]
        fixture.check(f"match_sampled_{direction}", sampled_triplet_loss(matrix, margin, negatives))
        fixture.check(f"match_semihard_{direction}", semi_hard_triplet_loss(matrix, margin))
    found = retrieval_scores(scores.numpy())
    recalls = [*found.to_speech.values(), *found.to_picture.values()]
    fixture.check("match_recalls", torch.tensor(recalls))


def test_goes_out_as_it_came_in(fixture: Fixture) -> None:
    weights = fixture.tensors("weight/")
    back = resdavenet_vq_state_dicts(load_resdavenet_vq({f"module.{name}": x for name, x in weights.items()}))
    assert back.keys() == {"audio_model"}
    assert back["audio_model"].keys() == weights.keys()
    for name, tensor in weights.items():
        if not name.startswith("batchnorm1."):
            assert torch.equal(back["audio_model"][name], tensor), name


def test_missing_and_unexpected_keys_are_named(fixture: Fixture) -> None:
    weights = fixture.tensors("weight/")
    weights["layer4.extra"] = weights.pop("layer2.0.bn2.bias")
    with pytest.raises(BundleError, match=r"missing layer2\.0\.bn2\.bias; unexpected layer4\.extra"):
        load_resdavenet_vq(weights)


def test_wrong_shapes_and_sizes_are_named(fixture: Fixture) -> None:
    weights = fixture.tensors("weight/")
    with pytest.raises(ConfigurationError, match="convsize is 4"):
        load_resdavenet_vq(weights, {"convsize": 4})
    weights["bn1.bias"] = torch.zeros(1)
    with pytest.raises(BundleError, match=r"bn1\.bias is \(1,\)"):
        load_resdavenet_vq(weights)


def _gradients(model: ResDAVEnetVQ) -> dict[str, Tensor]:
    """Gradients under the original's names: they pass through the same door as the weights."""
    twin = ResDAVEnetVQ(model.config)
    twin.load_state_dict(model.state_dict())
    for parameter, source in zip(twin.parameters(), model.parameters(), strict=True):
        parameter.data.copy_(torch.zeros_like(source) if source.grad is None else source.grad)
    return resdavenet_vq_state_dicts(twin)["audio_model"]
