"""Weight normalisation changes how a WaveGlow learns, not what it computes."""

import copy

import torch

from optophone.models.vocoders.weight_norm import add_weight_norm, remove_weight_norm
from tiny_vocoders import tiny_waveglow


def test_there_and_back() -> None:
    model = tiny_waveglow()
    plain = copy.deepcopy(model)
    mel, audio = torch.randn(1, 3, 6), torch.randn(1, 96)
    expected = model(mel, audio).z
    add_weight_norm(model)
    names = [name for name, _ in model.named_parameters()]
    assert sum(name.endswith("original0") for name in names) == 4 * (2 + 3 + 3)
    assert not any("end." in name and "original" in name for name in names)
    torch.testing.assert_close(model(mel, audio).z, expected, atol=1e-5, rtol=1e-5)
    twin = copy.deepcopy(model)  # as the moving average is
    remove_weight_norm(twin)
    remove_weight_norm(twin)
    assert twin.state_dict().keys() == plain.state_dict().keys()
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(twin.state_dict()[name], tensor, atol=1e-6, rtol=1e-5)
    assert model.state_dict().keys() != plain.state_dict().keys(), "the copy's weights are its own"
