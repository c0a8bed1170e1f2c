"""The joint model: what the voice is given, and how the captioner hears of it."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError
from optophone.data.speech import collate
from optophone.models.direct import Joint, JointConfig, TrueSpeech
from optophone.training.aligned_speech import AlignedBatch, align
from optophone.training.direct_batch import DirectBatch
from optophone.training.joint_objective import JointLossConfig, compare_gradients
from optophone.training.parallel_synthesis import losses_of
from tiny_direct import ENDS, N_UNITS, OPTIONS, REGION_DIM, joint_objective

SPECIAL = [0, 1, 2]


def build(**options: Any) -> Joint:
    torch.manual_seed(1)
    return Joint(from_mapping(JointConfig, {**OPTIONS["joint"], **options}), ENDS)


@pytest.fixture
def aligned() -> AlignedBatch:
    ids, durations = [torch.tensor([3, 8, 4, 9]), torch.tensor([5, 6])], [np.array([2, 3, 1, 4]), np.array([3, 2])]
    mels = [torch.randn(ENDS.mel.n_mels, int(one.sum())) for one in durations]
    return align(collate(ids, mels), durations)


@pytest.fixture
def regions() -> Tensor:
    return torch.randn(2, 6, REGION_DIM, generator=torch.Generator().manual_seed(0))


def speech_of(aligned: AlignedBatch) -> TrueSpeech:
    speech = aligned.speech
    return TrueSpeech(speech.mel, speech.mel_lengths, speech.ids, aligned.ids_mask, aligned.frames)


def test_the_voice_is_given_one_unit_drawn_from_what_the_captioner_thinks() -> None:
    joint = build().train()
    logits = torch.zeros(1, 1, N_UNITS + 3)
    logits[..., 5] = 2.0
    torch.manual_seed(0)
    drawn = torch.stack([joint.choose(logits, torch.ones(1, 1, dtype=torch.int64)) for _ in range(4000)])[:, 0, 0]
    assert torch.equal(drawn.sum(1), torch.ones(4000))
    assert set(drawn.flatten().tolist()) <= {0.0, 1.0} or torch.allclose(drawn, drawn.round(), atol=1e-6)
    expected = logits[0, 0].clone()
    expected[SPECIAL] = -torch.inf
    torch.testing.assert_close(drawn.mean(0), expected.softmax(0), atol=0.03, rtol=0)


def test_what_no_search_would_choose_is_not_said() -> None:
    """Neither start, end nor padding; nor the unit that is there already."""
    logits = torch.zeros(1, 2, N_UNITS + 3)
    logits[..., SPECIAL] = 50.0
    logits[..., 7] = 40.0
    before = torch.tensor([[1, 7]])
    for mode in (True, False):
        for relaxation in ("straight-through", "soft"):
            joint = build(relaxation=relaxation).train(mode)
            given = joint.choose(logits, before)
            assert float(given[:, :, SPECIAL].sum()) == 0
            assert float(given[0, 1, 7]) == 0
            assert float(given[0, 0, 7]) == pytest.approx(1)


def test_soft_is_the_mixture_by_probabilities() -> None:
    joint = build(relaxation="soft", temperature=2.0).train()
    logits = torch.randn(1, 1, N_UNITS + 3)
    given = joint.choose(logits, torch.ones(1, 1, dtype=torch.int64))
    torch.testing.assert_close(given[0, 0, 3:], (logits[0, 0, 3:] / 2).softmax(0))


def test_in_evaluation_nothing_is_drawn(aligned: AlignedBatch, regions: Tensor) -> None:
    joint = build().eval()
    first, second = (joint(regions, None, speech_of(aligned)) for _ in range(2))
    assert torch.equal(first.units, second.units)
    assert torch.equal(first.units.argmax(2)[:, 0], first.caption.logits[:, 0, 3:].argmax(1) + 3)


def test_some_places_keep_the_true_unit(aligned: AlignedBatch, regions: Tensor) -> None:
    joint = build(own_share=0.25).train()
    torch.manual_seed(0)
    kept = []
    for _ in range(300):
        output = joint(regions, None, speech_of(aligned))
        kept.append((output.units.argmax(2) == aligned.speech.ids)[aligned.ids_mask].float().mean())
    # Of 9 units the captioner finds the right one about every ninth time, before it has learned.
    assert float(torch.stack(kept).mean()) == pytest.approx(0.75 + 0.25 / 9, abs=0.05)


@pytest.mark.parametrize("relaxation", ["straight-through", "soft"])
def test_the_mel_alone_reaches_the_network_that_looks(relaxation: str, aligned: AlignedBatch, regions: Tensor) -> None:
    joint = build(relaxation=relaxation, own_share=1.0).train()
    output = joint(regions.requires_grad_(), None, speech_of(aligned))
    losses_of(output.voice, aligned)["mel"].backward()
    for name in ("captioner.region_projection.weight", "captioner.layers.0.cross_attention.query.weight"):
        gradient = joint.get_parameter(name).grad
        assert gradient is not None, name
        assert float(gradient.norm()) > 0, name
    assert regions.grad is not None
    assert float(regions.grad.norm()) > 0


def test_true_units_tell_the_captioner_nothing(aligned: AlignedBatch, regions: Tensor) -> None:
    """Only where its own units are said does it hear of the mel."""
    joint = build(own_share=1e-9).train()
    output = joint(regions, None, speech_of(aligned))
    mel = losses_of(output.voice, aligned)["mel"]
    found = torch.autograd.grad(mel, joint.captioner.region_projection.weight, allow_unused=True)[0]
    assert found is None or float(found.norm()) == 0


def test_listening_teaches_the_right_units(aligned: AlignedBatch, regions: Tensor) -> None:
    """A voice that says every unit in its own way, and does not learn, brings the captioner to the true units without
    any cross-entropy."""
    joint = build(relaxation="soft", own_share=1.0).train()
    with torch.no_grad():
        joint.voice.embedding.weight.normal_(std=2.0)
        joint.voice.mel.weight.normal_(std=2.0)
        said = joint.voice(aligned.speech.ids, aligned.ids_mask, aligned.frames).mel
    heard = aligned._replace(speech=aligned.speech._replace(mel=said))
    optimizer = torch.optim.Adam(joint.captioner.parameters(), 0.03)
    before = right_share(joint, heard, regions)
    for _ in range(150):
        loss = losses_of(joint(regions, None, speech_of(heard)).voice, heard)["mel"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert right_share(joint, heard, regions) > 0.8 > before


def right_share(joint: Joint, aligned: AlignedBatch, regions: Tensor) -> float:
    output = joint(regions, None, speech_of(aligned))
    return float((output.units.argmax(2) == aligned.speech.ids)[aligned.ids_mask].float().mean())


def test_both_gradients_are_measured_now_and_then(aligned: AlignedBatch, regions: Tensor) -> None:
    joint = build().train()
    objective = joint_objective(JointLossConfig(mel=2.0, compare_every=3))
    model = torch.nn.Module()
    model.speaker = joint
    batch = DirectBatch(regions, speech_of(aligned), aligned)
    seen = [objective.training_loss(model, batch, step)[1] for step in range(6)]
    with_gradients = [step for step, terms in enumerate(seen) if "gradient_mel" in terms]
    assert with_gradients == [2, 5]
    assert objective.search.forbid_repeats is True
    assert float(seen[2]["gradient_mel"]) > 0
    assert float(seen[2]["gradient_cross_entropy"]) > 0
    assert -1 <= float(seen[2]["gradient_cosine"]) <= 1
    expected = seen[0]["cross_entropy"] + 2 * seen[0]["mel"] + 0.1 * seen[0]["durations"]
    torch.testing.assert_close(seen[0]["loss"], expected)


def test_gradients_by_hand() -> None:
    first, second = (torch.nn.Parameter(torch.tensor([1.0, 1.0])) for _ in range(2))
    losses = {"a": 3 * first[0], "b": 4 * first[0] + 3 * second[1]}
    found = compare_gradients(losses, ("a", "b"), [first, second])
    assert float(found["gradient_a"]) == 3
    assert float(found["gradient_b"]) == 5
    assert float(found["gradient_cosine"]) == pytest.approx(0.8)


def test_what_it_refuses() -> None:
    with pytest.raises(ConfigurationError, match="prosody"):
        build(voice={"prosody": True})
    with pytest.raises(ConfigurationError, match="temperature"):
        build(temperature=0)
    with pytest.raises(ConfigurationError, match="own_share"):
        build(own_share=0.0)
    with pytest.raises(ConfigurationError, match=r"data\.units"):
        Joint(from_mapping(JointConfig, OPTIONS["joint"]), ENDS._replace(vocabulary=None))
