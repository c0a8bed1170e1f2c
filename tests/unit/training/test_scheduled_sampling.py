"""The schedule, what is mixed into known captions, and that a resumed run mixes the same."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError
from optophone.data.captioned_pictures import CaptionedPictures, build_vocabulary, encode_captions
from optophone.data.steps import StepItems
from optophone.models.captioners.build import DecoderConfig, build_decoder
from optophone.training.captioning import CaptioningExperiment, CaptioningObjective, build_model
from optophone.training.run import train
from optophone.training.scheduled_sampling import ScheduledSamplingConfig, mix_inputs
from tiny_datasets import captioner_experiment, write_captioned_pictures, write_configuration
from tiny_models import DECODERS

N_SYMBOLS = 9


class Counting(nn.Module):
    """Says the symbol after the one it read, shifted by the picture; its state counts the steps."""

    def begin(self, regions: Tensor, regions_mask: Tensor | None) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        assert not self.training, "symbols are drawn without dropout"
        return (regions[:, 0, 0].long(),), (torch.zeros(len(regions), dtype=torch.long),)

    def step(
        self, ids: Tensor, memory: tuple[Tensor, ...], state: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        self.steps = int(state[0][0]) + 1
        following = (ids + 1 + memory[0]) % N_SYMBOLS
        log_probs = torch.full((len(ids), N_SYMBOLS), -torch.inf).scatter_(1, following[:, None], 0.0)
        return log_probs, torch.ones(len(ids), 1), (state[0] + 1,)


def test_the_schedule_is_that_of_the_public_x_lan() -> None:
    config = ScheduledSamplingConfig(first_step=6 * 10, increase_every=5 * 10)  # epochs of ten steps
    for epoch in range(70):
        expected = min(0.05 * ((epoch - 6) // 5), 0.5) if epoch > 6 else 0.0
        assert config.probability(10 * epoch) == config.probability(10 * epoch + 9) == pytest.approx(expected)


@pytest.mark.parametrize(
    "options",
    [
        {"first_step": -1, "increase_every": 1},
        {"first_step": 0, "increase_every": 0},
        {"first_step": 0, "increase_every": 1, "increase": 0.0},
        {"first_step": 0, "increase_every": 1, "largest": 1.5},
    ],
)
def test_schedules_without_meaning_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="scheduled_sampling"):
        ScheduledSamplingConfig(**options)


def test_all_symbols_replaced_are_what_the_decoder_says_by_itself() -> None:
    decoder = Counting().train()
    regions = torch.tensor([0.0, 3.0]).view(2, 1, 1)
    ids = torch.randint(N_SYMBOLS, (4, 5))  # two captions a picture
    before = ids.clone()
    mixed = mix_inputs(decoder, regions, None, ids, 1.0)
    for row, shift in enumerate((1, 1, 4, 4)):
        assert mixed[row].tolist() == [(int(ids[row, 0]) + shift * place) % N_SYMBOLS for place in range(5)]
    assert decoder.training
    assert torch.equal(ids, before)


def test_each_symbol_is_replaced_by_itself_after_the_mixed_prefix() -> None:
    torch.manual_seed(1)
    ids = torch.zeros(500, 6, dtype=torch.long)
    mixed = mix_inputs(Counting(), torch.zeros(500, 1, 1), None, ids, 0.3)
    replaced = mixed != ids
    assert not replaced[:, 0].any()
    assert replaced[:, 1:].float().mean() == pytest.approx(0.3, abs=0.03)
    assert (replaced[:, 1:].float().mean(0) - 0.3).abs().max() < 0.07
    previous = mixed[:, :-1][replaced[:, 1:]]
    assert torch.equal(mixed[:, 1:][replaced[:, 1:]], (previous + 1) % N_SYMBOLS)
    assert 2 in mixed  # two replaced in a row: the second follows the first


def test_nothing_is_drawn_or_computed_without_need() -> None:
    decoder = Counting()
    ids = torch.zeros(3, 4, dtype=torch.long)
    state = torch.get_rng_state()
    assert mix_inputs(decoder, torch.zeros(3, 1, 1), None, ids, 0.0) is ids
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(0)
    mixed = mix_inputs(decoder, torch.zeros(3, 1, 1), None, torch.zeros(3, 40, dtype=torch.long), 0.02)
    assert decoder.steps == int(mixed.any(0).nonzero()[-1]), "no step after the last symbol that is replaced"


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_members_of_the_family_mix_alike_when_seeded_alike(name: str) -> None:
    torch.manual_seed(0)
    decoder = build_decoder(DecoderConfig(name, DECODERS[name]), 12, 10, (2, 3)).train()
    regions, ids = torch.randn(3, 6, 10), torch.randint(4, 12, (6, 5))
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(mix_inputs(decoder, regions, None, ids, 0.8))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert all(module.training for module in decoder.modules())
    assert all(parameter.grad is None for parameter in decoder.parameters())


def test_the_loss_changes_from_the_first_rise_on(tmp_path: Path) -> None:
    dataset = write_captioned_pictures(tmp_path)
    mapping = captioner_experiment(tmp_path)
    mapping["scheduled_sampling"] = {"first_step": 4, "increase_every": 2, "increase": 0.9, "largest": 0.9}
    experiment = from_mapping(CaptioningExperiment, mapping)
    rows = dataset.rows("train")
    vocabulary = build_vocabulary(rows, experiment.data)
    captions = encode_captions(rows, vocabulary)
    model = build_model(experiment, vocabulary).train()
    objective = CaptioningObjective(experiment, vocabulary, rows, None)
    batch = CaptionedPictures(dataset.array("train", "pictures"), captions, vocabulary, experiment.data)[
        StepItems(0, 0, [0, 1, 2])
    ]
    losses = {}
    for step in (0, 5, 6):
        torch.manual_seed(7)
        losses[step] = objective.training_loss(model, batch, step)[0].item()
    assert losses[0] == losses[5] != losses[6]


def test_a_resumed_run_ends_as_one_that_was_left_alone(tmp_path: Path) -> None:
    write_captioned_pictures(tmp_path / "data")
    mapping = captioner_experiment(tmp_path / "data")
    mapping["scheduled_sampling"] = {"first_step": 0, "increase_every": 1, "increase": 0.4}
    mapping["trainer"] |= {"validate_every": 9, "gradient_clip": 0.1, "gradient_clip_by": "value"}
    mapping["optimizer"] |= {"schedule": "constant"}
    path = write_configuration(tmp_path / "tiny.yaml", mapping)
    train(path, out=tmp_path / "whole")
    train(path, [("trainer.max_steps", "2")], out=tmp_path / "halves")
    train(path, out=tmp_path / "halves")
    whole, halves = (load_file(tmp_path / name / "captioner.safetensors") for name in ("whole", "halves"))
    assert all(torch.equal(value, halves[name]) for name, value in whole.items())
    train(path, [("scheduled_sampling", "null")], out=tmp_path / "without")
    without = load_file(tmp_path / "without/captioner.safetensors")
    assert any(not torch.equal(value, without[name]) for name, value in whole.items())
