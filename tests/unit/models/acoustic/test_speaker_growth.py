"""A single voice's weights in a model of several voices."""

from dataclasses import replace

import pytest
import torch

from optophone.models.acoustic.speaker_growth import READERS, grow_speakers
from optophone.models.acoustic.tacotron2 import Tacotron2, Tacotron2Config

SINGLE = Tacotron2Config(
    n_symbols=13,
    n_mels=6,
    embedding_dim=10,
    encoder_dim=12,
    encoder_convolutions=2,
    speaker_dim=5,
    attention_dim=8,
    location_filters=3,
    location_kernel_size=5,
    attention_rnn_dim=14,
    decoder_rnn_dim=16,
    prenet_dims=(9, 7),
    prenet_dropout_at_inference=False,
    postnet_dim=11,
    postnet_convolutions=3,
    reduction_factor=2,
    mask_convolutions=True,
)
SEVERAL = replace(SINGLE, n_speakers=3)


def build(config: Tacotron2Config, seed: int) -> Tacotron2:
    torch.manual_seed(seed)
    return Tacotron2(config)


@pytest.fixture
def single() -> Tacotron2:
    return build(SINGLE, 1)


@pytest.fixture
def grown(single: Tacotron2) -> Tacotron2:
    model = build(SEVERAL, 2)
    model.load_state_dict(grow_speakers(single.state_dict(), model))
    return model


BATCH = (
    torch.randint(0, 13, (3, 8), generator=torch.Generator().manual_seed(2)),
    torch.tensor([5, 8, 3]),
    torch.randn(3, 6, 13, generator=torch.Generator().manual_seed(3)),
    torch.tensor([10, 7, 13]),
)


@pytest.mark.parametrize("speaker", [0, 1, 2])
@pytest.mark.parametrize("training", [False, True])
@torch.no_grad()
def test_every_speaker_says_what_the_single_voice_says(
    single: Tacotron2, grown: Tacotron2, speaker: int, training: bool
) -> None:
    found: list[torch.Tensor] = []
    expected: list[torch.Tensor] = []
    for model, voice, outputs in ((single, None, expected), (grown, torch.full((3,), speaker), found)):
        torch.manual_seed(5)
        outputs += model.train(training)(*BATCH, voice)
        outputs += model.eval().infer(*BATCH[:2], voice, max_frames=14)
    # To the last digits: a product with more columns may add in another order.
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_speakers_part_by_training(grown: Tacotron2) -> None:
    voices = torch.tensor([2, 0, 1])
    optimizer = torch.optim.SGD(grown.parameters(), lr=0.1)
    for step in range(2):
        optimizer.zero_grad()
        (grown(*BATCH, voices).mel_after - BATCH[2]).square().mean().backward()
        named = dict(grown.named_parameters())
        for name in READERS[:-1]:  # the mel does not see the stop layer
            gradient = named[name].grad
            assert gradient is not None
            assert bool(gradient[..., -5:].any()), name
        embedding = named["speakers.weight"].grad
        assert embedding is not None
        assert bool(embedding.any()) == (step > 0), "nobody reads it before the first step"
        optimizer.step()
    grown.eval()
    with torch.no_grad():
        one, other = (grown(*BATCH, torch.full((3,), speaker)).mel_after for speaker in (0, 1))
    assert not torch.allclose(one, other, atol=1e-6)


def test_embeddings_stay_random(single: Tacotron2, grown: Tacotron2) -> None:
    assert torch.equal(grown.speakers.weight, build(SEVERAL, 2).speakers.weight)  # type: ignore[union-attr]


def test_weights_that_fit_are_left_alone(single: Tacotron2, grown: Tacotron2) -> None:
    for weights, model in ((single, single), (grown, build(SEVERAL, 4)), (grown, single)):
        state = weights.state_dict()
        found = grow_speakers(state, model)
        assert found.keys() == state.keys()
        assert all(found[name] is state[name] for name in state)
