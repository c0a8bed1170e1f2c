"""A Vocos: what a sample depends on, and that its spectra are spectra."""

import pytest
import torch

from optophone.core.errors import ConfigurationError
from optophone.models.vocoders.vocos import Vocos, VocosConfig
from tiny_vocoders import TINY_VOCOS, tiny_vocos


def test_the_published_size() -> None:
    """13.5 million parameters, as Siuzdak 2023 says in table 3 (with 100 mel bands)."""
    model = Vocos(VocosConfig(n_mels=100, dim=512, hidden_dim=1536, n_layers=8))
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(13.5e6, rel=0.01)


def test_samples_depend_on_the_context_alone() -> None:
    model, context = tiny_vocos(), TINY_VOCOS.context_frames
    mel = torch.randn(1, TINY_VOCOS.n_mels, 40)
    other = mel.clone()
    other[:, :, 20] += 1.0
    with torch.no_grad():
        changed = (model(mel) - model(other))[0].abs().unflatten(0, (40, TINY_VOCOS.hop_length)).amax(1) > 1e-7
    frames = changed.nonzero()[:, 0]
    assert 20 in frames
    assert frames.min() >= 20 - context
    assert frames.max() <= 20 + context
    assert frames.max() - frames.min() >= 2 * context - 2, "the context is stated larger than it is"


def test_spectra_in_full_precision_under_autocast() -> None:
    model, mel = tiny_vocos(), torch.randn(2, TINY_VOCOS.n_mels, 12)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        real, imaginary = model.spectra(mel)
    assert real.dtype == imaginary.dtype == torch.float32


def test_every_parameter_takes_part() -> None:
    model = tiny_vocos()
    model(torch.randn(1, TINY_VOCOS.n_mels, 12)).square().sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("options", [{"kernel_size": 4}, {"n_layers": 0}, {"dim": 0}])
def test_sizes_that_do_not_exist(options: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        VocosConfig(**options)
