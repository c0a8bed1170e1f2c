"""Packed pictures become the tensors that the runtime makes of the same pictures."""

import numpy as np
import torch

from optophone.core.picture import PictureSpec, normalize_picture, prepare_picture
from optophone.data.pictures import as_batch, normalize, resized

PACKED = np.random.default_rng(2).integers(0, 256, (3, 24, 30, 3), dtype=np.uint8)


def test_a_batch_is_channels_first_and_keeps_its_values() -> None:
    batch = as_batch(PACKED)
    assert batch.shape == (3, 3, 24, 30)
    assert batch.dtype == torch.float32
    assert batch[1, 2, 3, 4] == PACKED[1, 3, 4, 2]


def test_a_batch_is_a_copy() -> None:
    frozen = PACKED.copy()
    frozen.flags.writeable = False
    as_batch(frozen).zero_()
    assert np.array_equal(frozen, PACKED)


def test_training_and_runtime_prepare_pictures_alike() -> None:
    spec = PictureSpec(16, 20)
    found = normalize(as_batch(resized(PACKED, spec)), spec)
    for ours, picture in zip(found, PACKED, strict=True):
        np.testing.assert_allclose(ours.numpy(), prepare_picture(picture, spec), atol=1e-5)


def test_the_right_size_is_left_alone() -> None:
    spec = PictureSpec(24, 30, mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0))
    assert resized(PACKED, spec) is PACKED
    found = normalize(as_batch(PACKED), spec)
    np.testing.assert_allclose(found[0].numpy(), normalize_picture(PACKED[0], spec), atol=1e-5)
