"""How much the unit of a frame tells about the phone of the frame."""

from dataclasses import dataclass

import numpy as np

from optophone.core.errors import DataError


@dataclass(frozen=True)
class PhoneInformation:
    """What units and phones of frames have in common.

    Attributes:
        mutual_information_bits: of unit and phone.
        pnmi: the same over the entropy of the phone: the share of what is uncertain about the phone that the unit
            settles, 0 to 1.
        phone_purity: share of the frames whose phone is the commonest one of their unit.
        unit_purity: share of the frames whose unit is the commonest one of their phone.
        n_frames, n_phones: looked at; a pause is a phone of its own.
    """

    mutual_information_bits: float
    pnmi: float
    phone_purity: float
    unit_purity: float
    n_frames: int
    n_phones: int


def phone_information(units: np.ndarray, phones: np.ndarray) -> PhoneInformation:
    """Compare frames.

    All of it is counted in the frames themselves, so it rises with the number of units; beside it belongs the same of
    shuffled units.

    Args:
        units: (N,) codes, one per frame.
        phones: (N,) numbers of phones.

    Raises:
        DataError: no frames, or all of one phone.

    Source: Hsu et al. 2021, "HuBERT" (phone purity, cluster purity, phone-normalised mutual information).
    """
    assert units.shape == phones.shape, f"{len(units)} units for {len(phones)} phones"
    if not len(units) or phones.min() == phones.max():
        raise DataError("No information about phones: there are fewer than two; give more speech.")
    _, unit_numbers = np.unique(units, return_inverse=True)
    _, phone_numbers = np.unique(phones, return_inverse=True)
    n_units, n_phones = int(unit_numbers.max()) + 1, int(phone_numbers.max()) + 1
    counts = np.bincount(phone_numbers * n_units + unit_numbers, minlength=n_phones * n_units)
    joint = counts.reshape(n_phones, n_units) / len(units)
    of_phone, of_unit = joint.sum(1), joint.sum(0)
    seen = joint > 0
    expected = of_phone[:, None] * of_unit[None, :]
    information = float((joint[seen] * np.log2(joint[seen] / expected[seen])).sum())
    uncertainty = float(-(of_phone * np.log2(of_phone)).sum())
    return PhoneInformation(
        mutual_information_bits=information,
        pnmi=information / uncertainty,
        phone_purity=float(joint.max(0).sum()),
        unit_purity=float(joint.max(1).sum()),
        n_frames=len(units),
        n_phones=n_phones,
    )
