"""Tacotron 2: sizes, caps, the attention window, dropout while speaking."""

import copy
from dataclasses import replace

import pytest
import torch

from optophone.core.configuration import from_mapping, to_mapping
from optophone.core.errors import ConfigurationError
from optophone.models.acoustic.tacotron2 import Tacotron2, Tacotron2Config

TINY = Tacotron2Config(
    n_symbols=9,
    n_mels=4,
    embedding_dim=6,
    encoder_dim=6,
    attention_dim=5,
    location_filters=2,
    location_kernel_size=3,
    attention_rnn_dim=7,
    decoder_rnn_dim=8,
    prenet_dims=(6, 6),
    postnet_dim=5,
    postnet_convolutions=2,
)


def build(config: Tacotron2Config) -> Tacotron2:
    torch.manual_seed(0)
    return Tacotron2(config).eval()


def test_default_has_the_size_of_the_public_checkpoint() -> None:
    with torch.device("meta"):
        model = Tacotron2(Tacotron2Config())
    assert sum(parameter.numel() for parameter in model.parameters()) == 28_193_153
    assert len(model.state_dict()) == 84


def test_configuration_survives_json() -> None:
    config = replace(TINY, attention_window=(1, 3), reduction_factor=2)
    assert from_mapping(Tacotron2Config, to_mapping(config)) == config


@pytest.mark.parametrize(
    "wrong", [{"encoder_dim": 7}, {"postnet_kernel_size": 4}, {"reduction_factor": 0}, {"prenet_dims": ()}]
)
def test_impossible_sizes_are_refused_by_name(wrong: dict) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        replace(TINY, **wrong)


def test_length_caps() -> None:
    never = {"stop_threshold": 1.1, "max_frames": 20, "reduction_factor": 3}
    spoken = build(replace(TINY, **never, max_frames_per_symbol=2.5)).infer(
        torch.ones(2, 10, dtype=torch.long), torch.tensor([3, 10])
    )
    assert spoken.mel_lengths.tolist() == [8, 20]
    assert spoken.mel_after.shape == (2, 4, 20)
    assert spoken.mel_after[0, :, 8:].abs().sum() == 0
    assert spoken.alignment.shape == (2, 7, 10)
    assert not spoken.stopped.any()


def test_stops_at_the_frame_within_the_step() -> None:
    model = build(replace(TINY, reduction_factor=3))
    model.decoder.stop.weight.data.zero_()
    model.decoder.stop.bias.data = torch.tensor([-1.0, 1.0, -1.0])
    spoken = model.infer(torch.ones(1, 4, dtype=torch.long))
    assert spoken.mel_lengths.tolist() == [2]
    assert spoken.stopped.all()


def test_window_keeps_the_attention_near_its_peak() -> None:
    ids = torch.randint(0, 9, (2, 12), generator=torch.Generator().manual_seed(1))
    options = {"stop_threshold": 1.1, "max_frames": 15, "attention_window": (1, 2)}
    alignment = build(replace(TINY, **options)).infer(ids).alignment
    peaks = torch.cat((torch.zeros(2, 1, dtype=torch.long), alignment.argmax(2)), dim=1)
    for b in range(2):
        for u in range(alignment.shape[1]):
            low, high = int(peaks[b, u]) - 1, int(peaks[b, u]) + 2
            seen = alignment[b, u].nonzero()
            assert seen.min() >= max(low, 0)
            assert seen.max() <= high


def test_prenet_dropout_while_speaking_is_an_option() -> None:
    ids = torch.ones(1, 4, dtype=torch.long)
    for on in (True, False):
        model = build(replace(TINY, prenet_dropout_at_inference=on, max_frames=6, stop_threshold=1.1))
        first, second = model.infer(ids).mel_after, model.infer(ids).mel_after
        assert torch.equal(first, second) is not on


def test_padding_leaks_only_where_asked() -> None:
    ids, longer = torch.ones(1, 4, dtype=torch.long), torch.ones(1, 8, dtype=torch.long)
    mel, n = torch.randn(1, 4, 5), torch.tensor([4])
    for mask in (True, False):
        model = build(replace(TINY, mask_convolutions=mask, prenet_dropout_at_inference=False))
        alone = model(ids, n, mel, torch.tensor([5])).mel_before
        padded = model(longer, n, mel, torch.tensor([5])).mel_before
        assert torch.allclose(alone, padded, atol=1e-6) is mask


def test_outputs_are_of_full_precision_under_autocast() -> None:
    lengths = torch.tensor([3]), torch.tensor([5])
    model = build(TINY)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(torch.ones(1, 3, dtype=torch.long), lengths[0], torch.randn(1, 4, 5), lengths[1])
    assert {x.dtype for x in output[:4]} == {torch.float32}


def test_speaking_follows_a_fused_optimizer() -> None:
    """It changes weights without counting; what speaking has packed must not outlive a training step."""
    torch.manual_seed(0)
    model = Tacotron2(Tacotron2Config(attention_rnn_dim=256, decoder_rnn_dim=256))
    ids, mel = torch.randint(1, 100, (2, 7)), torch.randn(2, 80, 12)
    lengths, frames = torch.tensor([7, 7]), torch.tensor([12, 12])
    masks = [torch.ones(9, 2, 256)] * 2
    optimizer = torch.optim.Adam(model.parameters(), 0.05, fused=True)
    for _ in range(2):
        output = model.train()(ids, lengths, mel, frames)
        output.mel_after.square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        spoken = model.eval().infer(ids, prenet_masks=masks, max_frames=6).mel_before
        fresh = copy.deepcopy(model).infer(ids, prenet_masks=masks, max_frames=6).mel_before
        torch.testing.assert_close(spoken, fresh, rtol=1e-3, atol=1e-4)
