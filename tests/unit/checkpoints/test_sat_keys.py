"""The key map of the original Show, Attend and Tell: what fits, and what is refused by name."""

import pytest
import torch
from torch import Tensor

from optophone.checkpoints.sat import load_sat, sat_state_dict
from optophone.core.errors import BundleError, ConfigurationError
from optophone.models.captioners.show_attend_tell import ShowAttendTell, ShowAttendTellConfig


@pytest.fixture
def model() -> ShowAttendTell:
    torch.manual_seed(0)
    return ShowAttendTell(ShowAttendTellConfig(9, 6, 8, 5, 7)).eval()


@pytest.fixture
def original(model: ShowAttendTell) -> dict[str, Tensor]:
    return sat_state_dict(model)


def test_there_and_back(model, original):
    again = load_sat({f"module.{name}": x for name, x in original.items()})
    assert again.config == model.config
    assert not again.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_loaded_weights_are_our_own(original):
    model = load_sat(original)
    original["embedding.weight"].zero_()
    assert model.embedding.weight.abs().max() > 0


def test_options_of_the_original(original):
    model = load_sat(original, {"DecoderWithAttention": {"dropout": 0.2, "decoder_dim": 7}, "alpha_c": 1.0})
    assert model.config.dropout == 0.2
    with pytest.raises(ConfigurationError, match="'depth'"):
        load_sat(original, {"depth": 3})
    with pytest.raises(ConfigurationError, match="decoder_dim is 8, the checkpoint's tensors say 7"):
        load_sat(original, {"decoder_dim": 8})


def test_missing_and_unexpected_keys_are_named(original):
    original["extra.weight"] = original.pop("f_beta.bias")
    with pytest.raises(BundleError, match=r"missing f_beta\.bias; unexpected extra\.weight"):
        load_sat(original)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("init_h.weight", (7, 5)), ("fc.bias", (8,)), ("decode_step.weight_ih", (4,)), ("embedding.weight", (72,))],
)
def test_wrong_shapes_are_named(original, name: str, shape: tuple[int, ...]):
    original[name] = torch.zeros(shape)
    with pytest.raises(BundleError, match=name):
        load_sat(original)


def test_what_the_original_cannot_hold_is_refused():
    with pytest.raises(ConfigurationError, match="deep_output"):
        sat_state_dict(ShowAttendTell(ShowAttendTellConfig(9, 6, 8, 5, 7, deep_output=True)))
