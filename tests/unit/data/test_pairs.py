"""Shares of pairs: nested, decided by ids alone; and pictures whose captions are exchanged."""

import pytest

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError
from optophone.data.captioned_pictures import CaptionedPicturesConfig
from optophone.data.pairs import alone, exchange_captions, paired_rows, plan_over
from optophone.data.steps import shuffled_plan

ROWS = [{"id": f"picture{i}"} for i in range(200)]


def test_smaller_shares_are_part_of_larger_ones() -> None:
    shares = {share: paired_rows(ROWS, share, 0) for share in (0.01, 0.03, 0.1, 0.3, 1.0)}
    assert [len(found) for found in shares.values()] == [2, 6, 20, 60, 200]
    for smaller, larger in zip(list(shares)[:-1], list(shares)[1:], strict=True):
        assert set(shares[smaller]) < set(shares[larger])
    assert shares[1.0] == list(range(200)), "all pairs in the order of the rows: nothing is changed"
    assert all(found == sorted(found) for found in shares.values())


def test_seed_and_ids_decide() -> None:
    assert paired_rows(ROWS, 0.1, 0) == paired_rows(ROWS, 0.1, 0)
    assert paired_rows(ROWS, 0.1, 0) != paired_rows(ROWS, 0.1, 1)
    names = {ROWS[place]["id"] for place in paired_rows(ROWS, 0.1, 0)}
    turned = ROWS[::-1]
    assert {turned[place]["id"] for place in paired_rows(turned, 0.1, 0)} == names
    assert len(paired_rows(ROWS, 1e-6, 0)) == 1, "one pair at least"


def test_the_others_are_alone() -> None:
    paired = paired_rows(ROWS, 0.3, 0)
    unpaired = alone(len(ROWS), paired)
    assert sorted(paired + unpaired) == list(range(200))


def test_exchanged_captions_stay_among_the_pairs_and_belong_to_nobody() -> None:
    captions = [[[i], [i, i]] for i in range(200)]
    paired = paired_rows(ROWS, 0.1, 0)
    exchanged = exchange_captions(captions, ROWS, paired, 0)
    assert all(exchanged[place] != captions[place] for place in paired)
    assert sorted(exchanged[place] for place in paired) == sorted(captions[place] for place in paired)
    assert all(exchanged[place] == captions[place] for place in alone(200, paired))
    assert captions[paired[0]] == [[paired[0]], [paired[0]] * 2], "the captions that were given stay as they are"


def test_a_plan_over_chosen_rows() -> None:
    plan = plan_over(shuffled_plan(3, 2, 0), [5, 7, 11])
    batches = [batch for epoch in range(20) for batch in plan(epoch)]
    assert {place for batch in batches for place in batch} == {5, 7, 11}
    whole = shuffled_plan(6, 2, 0)
    assert plan_over(whole, range(6))(3) == whole(3)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5])
def test_shares_are_shares(share: float) -> None:
    with pytest.raises(ConfigurationError, match="pairs_share"):
        from_mapping(CaptionedPicturesConfig, {"folder": "x", "pairs_share": share})
