"""The baseline: scheduled sampling, matching, speaking freely."""

from typing import Any

import pytest
import torch
from torch import Tensor

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError
from optophone.models.direct import ShowAndSpeak, ShowAndSpeakConfig, TrueSpeech
from optophone.models.direct.speech_summary import SpeechSummary
from optophone.training.show_and_speak_objective import matching_loss
from tiny_direct import ENDS, OPTIONS, REGION_DIM, SPEC


def build(**options: Any) -> ShowAndSpeak:
    torch.manual_seed(4)
    model = ShowAndSpeak(from_mapping(ShowAndSpeakConfig, {**OPTIONS["show-and-speak"], **options}), ENDS)
    model.decoder.prenet.dropout = 0.0
    return model.eval()


@pytest.fixture
def regions() -> Tensor:
    return torch.randn(3, 6, REGION_DIM, generator=torch.Generator().manual_seed(0))


def speech() -> TrueSpeech:
    torch.manual_seed(1)
    return TrueSpeech(torch.randn(3, 16, 9) - 5, torch.tensor([9, 4, 7]))


def test_with_its_own_frames_it_hears_itself(regions: Tensor) -> None:
    """Where every frame is its own, training goes the way that speaking freely goes."""
    model = build(max_frames=10)
    torch.nn.init.constant_(model.decoder.stop.bias, -20.0)
    free = model.infer(regions)
    output = model(regions, None, speech()._replace(mel_lengths=torch.tensor([9, 9, 9])), own_share=1.0)
    raw = torch.stack([one.mel for one in free])  # refined; compare what the decoder looked at
    looked = torch.stack([one.alignment for one in free])
    assert raw.shape == (3, 16, 10)
    torch.testing.assert_close(output.acoustic.alignment, looked, atol=1e-5, rtol=1e-4)
    taught = model(regions, None, speech())
    assert not torch.allclose(taught.acoustic.alignment, looked, atol=1e-4)


def test_a_share_of_the_frames_is_its_own(regions: Tensor) -> None:
    model = build()
    frames = torch.full((200, 3, 16), 9.0)
    memory, _ = model.begin(regions, None)
    torch.manual_seed(0)
    mixed = model._mix(frames, memory, 0.3)
    assert torch.equal(mixed[0], frames[0])
    assert float((mixed[1:] != 9.0).any(2).float().mean()) == pytest.approx(0.3, abs=0.06)


def test_scheduled_sampling_teaches_all_the_same(regions: Tensor) -> None:
    model = build().train()
    model(regions, None, speech(), own_share=0.5).acoustic.mel_after.sum().backward()
    assert model.decoder.attention_rnn.weight_hh.grad is not None


def test_it_stops_by_its_gate(regions: Tensor) -> None:
    model = build(max_frames=11)
    torch.nn.init.constant_(model.decoder.stop.bias, 20.0)
    assert [(one.mel.shape[1], one.stopped) for one in model.infer(regions)] == [(1, True)] * 3
    torch.nn.init.constant_(model.decoder.stop.bias, -20.0)
    said = model.infer(regions)
    assert [(one.mel.shape[1], one.stopped) for one in said] == [(11, False)] * 3
    assert said[0].alignment.shape == (6, 6)


def test_scores_are_of_pictures_with_their_first_utterance(regions: Tensor) -> None:
    model, one = build(), speech()
    twice = TrueSpeech(one.mel.repeat_interleave(2, 0), one.mel_lengths.repeat_interleave(2, 0))
    twice.mel[1::2] = -9.0
    torch.testing.assert_close(model(regions, None, twice, 2).scores, model(regions, None, one).scores)


def test_partners_that_win_by_the_margin_cost_nothing() -> None:
    assert float(matching_loss(5 * torch.eye(4), 1.0)) == 0
    assert float(matching_loss(torch.zeros(4, 4), 1.0)) == pytest.approx(4.0)


def test_the_summary_of_speech_does_not_know_its_padding() -> None:
    torch.manual_seed(0)
    summary = SpeechSummary(SPEC, 5)
    mel = torch.randn(1, 16, 10)
    whole, n = summary(torch.nn.functional.pad(mel, (0, 7), value=3.0), torch.tensor([10]))
    alone, _ = summary(mel, torch.tensor([10]))
    assert n.tolist() == [3]
    torch.testing.assert_close(whole[:, :, :3], alone[:, :, :3])


def test_what_it_refuses() -> None:
    with pytest.raises(ConfigurationError, match="location_kernel_size"):
        build(location_kernel_size=2)
    with pytest.raises(ConfigurationError, match="at least 1"):
        build(reduction_factor=0)
