"""One voice of several alone."""

import pytest
import torch

from optophone.models.acoustic.speaker_choice import keep_speaker
from tiny_models import tiny_acoustic


@torch.no_grad()
def test_it_says_what_it_said_among_the_others() -> None:
    model = tiny_acoustic(("a", "b", "c")).model
    ids = torch.randint(0, 148, (1, 7), generator=torch.Generator().manual_seed(1))
    masks = [torch.full((12, 1, 24), 2.0)] * 2
    said = [model.infer(ids, None, torch.tensor([number]), masks, 20).mel_after for number in range(3)]
    for number in range(3):
        kept = keep_speaker(model, number)
        assert kept.config.n_speakers == 1
        assert not kept.training
        assert torch.equal(kept.infer(ids, None, torch.tensor([0]), masks, 20).mel_after, said[number])
    assert not torch.allclose(said[0], said[2], atol=1e-4)


def test_the_whole_is_left_as_it_is_and_the_others_are_gone() -> None:
    model = tiny_acoustic(("a", "b", "c")).model
    kept = keep_speaker(model, 1)
    assert model.speakers is not None
    assert kept.speakers is not None
    assert model.speakers.weight.shape == (3, 8)
    assert torch.equal(kept.speakers.weight, model.speakers.weight[1:2])
    assert kept.decoder.projection.weight.data_ptr() != model.decoder.projection.weight.data_ptr()
    with pytest.raises(AssertionError):
        keep_speaker(model, 3)
