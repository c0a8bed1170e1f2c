"""The one door for public checkpoints."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from optophone.checkpoints import LOADERS, load_reference
from optophone.checkpoints.sat import sat_state_dict
from optophone.checkpoints.sat_encoder import torchvision_names
from optophone.core.errors import BundleError, ConfigurationError
from optophone.models.captioners.show_attend_tell import ShowAttendTell, ShowAttendTellConfig


def test_tensors_and_arrays_become_models() -> None:
    original = sat_state_dict(ShowAttendTell(ShowAttendTellConfig(9, 6, 8, 5, 7)))
    arrays = {f"module.{name}": tensor.numpy() for name, tensor in original.items()}
    model = load_reference("sat", arrays)  # type: ignore[arg-type]
    assert isinstance(model, ShowAttendTell)
    assert not model.training
    assert np.array_equal(model.embedding.weight.detach().numpy(), arrays["module.embedding.weight"])


def test_an_unknown_name_is_told_the_names() -> None:
    with pytest.raises(ConfigurationError, match=r"'vgg'.*sat.*tacotron2"):
        load_reference("vgg", {})


@pytest.mark.parametrize("name", LOADERS)
def test_every_name_has_its_loader(name: str) -> None:
    with pytest.raises(BundleError, match="missing"):
        load_reference(name, {"nothing": torch.zeros(1)})


def test_the_door_itself_needs_no_torch() -> None:
    check = "import sys; from optophone.checkpoints import load_reference; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_the_names_of_the_tutorials_encoder() -> None:
    names = ["module.resnet.0.weight", "resnet.1.bias", "resnet.4.0.conv1.weight", "resnet.7.2.bn3.bias", "layer1.x"]
    assert list(torchvision_names(dict.fromkeys(names, torch.zeros(1)))) == [
        "conv1.weight", "bn1.bias", "layer1.0.conv1.weight", "layer4.2.bn3.bias", "layer1.x",
    ]  # fmt: skip
