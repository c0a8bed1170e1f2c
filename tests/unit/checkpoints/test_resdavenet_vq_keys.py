"""The key map of the original ResDAVEnet-VQ: both halves, and what is refused by name."""

from typing import Any

import pytest
import torch
from torch import Tensor

from optophone.checkpoints import load_reference
from optophone.checkpoints.resdavenet_vq import load_resdavenet_vq, resdavenet_vq_state_dicts
from optophone.core.errors import BundleError, ConfigurationError
from optophone.models.encoders.resnet import ResNetConfig
from optophone.models.units.jitter import LATE
from optophone.models.units.resdavenet import ResDAVEnetConfig
from optophone.models.units.resdavenet_vq import ResDAVEnetVQ, ResDAVEnetVQConfig

AUDIO = ResDAVEnetConfig(
    5, (1, 2, 1, 1), (4, 4, 6, 6, 7), 3, quantizers=(1, 3), n_codes=(8, 9), jitter=0.0, jitter_offsets=LATE
)
PICTURE = ResNetConfig(blocks=(1, 1), bottleneck=True, stem_width=4, widths=(4, 5), expansion=2)


@pytest.fixture
def model() -> ResDAVEnetVQ:
    torch.manual_seed(0)
    return ResDAVEnetVQ(ResDAVEnetVQConfig(AUDIO, PICTURE)).eval()


@pytest.fixture
def states(model: ResDAVEnetVQ) -> dict[str, dict[str, Tensor]]:
    return resdavenet_vq_state_dicts(model)


def assert_same(found: ResDAVEnetVQ, model: ResDAVEnetVQ) -> None:
    assert found.config == model.config
    assert not found.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor), name


def test_both_halves_there_and_back(model: ResDAVEnetVQ, states: dict[str, dict[str, Tensor]]) -> None:
    wrapped = {half: {f"module.{name}": x for name, x in state.items()} for half, state in states.items()}
    flat = {f"{half}.{name}": x for half, state in wrapped.items() for name, x in state.items()}
    for state_dict in (states, wrapped, flat):
        assert_same(load_resdavenet_vq(state_dict), model)


def test_the_half_that_hears_is_enough(model: ResDAVEnetVQ, states: dict[str, dict[str, Tensor]]) -> None:
    found = load_reference("resdavenet-vq", {f"module.{name}": x for name, x in states["audio_model"].items()})
    assert isinstance(found, ResDAVEnetVQ)
    assert found.picture is None
    levels = torch.randn(2, 5, 30)
    assert torch.equal(found(levels).frames, model(levels).frames)


def test_loaded_weights_are_our_own(states: dict[str, dict[str, Tensor]]) -> None:
    found = load_resdavenet_vq(states)
    states["audio_model"]["conv1.weight"].zero_()
    states["image_model"]["embedder.weight"].zero_()
    assert found.audio.conv1.weight.abs().max() > 0
    assert found.picture is not None
    assert found.picture.embedder.weight.abs().max() > 0


def test_options_of_class_and_command_line(states: dict[str, dict[str, Tensor]]) -> None:
    audio = states["audio_model"]
    one = load_resdavenet_vq(
        audio, {"ResDavenetVQ": {"EMA_decay": 0.5, "commitment_cost": 2, "jitter_p": 0.1}, "margin": 3}
    )
    other = load_resdavenet_vq(
        audio,
        {"VQ_turnon": "1,0,1,0,0", "VQ_sizes": "8,1,9,1,1", "layer_depths": "1,2,1,1", "jitter": 0.12, "lr": 1e-3},
    )
    assert one.config.audio.quantizer.decay == 0.5
    assert one.config.audio.quantizer.commitment == 2
    assert one.config.audio.jitter == 0.1
    assert one.config.margin == 3
    assert other.config.audio.jitter == 0.12


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"feat_dim": 40}, "feat_dim is 40.* say 5"),
        ({"vqs_enabled": [0, 0, 1, 0, 0]}, "vqs_enabled"),
        ({"codebook_Ks": [8, 8, 8, 8, 8]}, "codebook_Ks"),
        ({"layer_widths": "1,2,3,4,5"}, "layer_widths"),
        ({"layers": [1, 1, 1, 1]}, "layers"),
    ],
)
def test_sizes_that_the_tensors_contradict(
    states: dict[str, dict[str, Tensor]], options: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named):
        load_resdavenet_vq(states["audio_model"], options)


@pytest.mark.parametrize(
    ("half", "name", "shape"),
    [
        ("audio_model", "quant3._ema_w", None),
        ("audio_model", "batchnorm1.bias", None),
        ("audio_model", "layer3.0.conv2.weight", (6, 6, 3)),
        ("audio_model", "quant1._embedding.weight", (8,)),
        ("audio_model", "conv1.weight", (4, 5)),
        ("image_model", "embedder.bias", None),
        ("image_model", "embedder.weight", (7, 3, 1, 1)),
        ("image_model", "layer2.0.bn3.weight", None),
    ],
)
def test_what_does_not_fit_is_named(
    states: dict[str, dict[str, Tensor]], half: str, name: str, shape: tuple[int, ...] | None
) -> None:
    del states[half][name]
    if shape is not None:
        states[half][name] = torch.zeros(shape)
    with pytest.raises(BundleError, match=name.replace(".", r"\.")):
        load_resdavenet_vq(states)


def test_the_half_that_sees_is_not_enough(states: dict[str, dict[str, Tensor]]) -> None:
    with pytest.raises(BundleError, match="image model; give its audio model"):
        load_resdavenet_vq(states["image_model"])
    with pytest.raises(BundleError, match="unexpected conv1"):
        load_resdavenet_vq({**states, "conv1.weight": torch.zeros(1)})


def test_what_the_original_cannot_hold_is_refused() -> None:
    model = ResDAVEnetVQ(ResDAVEnetVQConfig(AUDIO, ResNetConfig(depth=18, grid=(2, 2))))
    with pytest.raises(ConfigurationError, match="residual network"):
        resdavenet_vq_state_dicts(model)
