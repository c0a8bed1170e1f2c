"""How many symbols differ between two sequences."""

from collections.abc import Hashable, Mapping, Sequence

from optophone.core.errors import DataError


def edit_distance(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """Fewest symbols to put in, leave out or replace to make one of the other.

    A column of the table of distances is kept as two integers, whose bits say where it goes up and where down, so a
    sequence costs a few operations per symbol of the other.

    Source: Myers 1999, "A fast bit-vector algorithm for approximate string matching", as in Hyyrö 2003, figure 3.
    """
    if not first:
        return len(second)
    places: dict[Hashable, int] = {}
    for i, symbol in enumerate(first):
        places[symbol] = places.get(symbol, 0) | 1 << i
    everywhere, last = (1 << len(first)) - 1, 1 << (len(first) - 1)
    up, down, distance = everywhere, 0, len(first)
    for symbol in second:
        equal = places.get(symbol, 0)
        diagonal = (((equal & up) + up) ^ up) | equal | down
        right_up, right_down = down | ~(diagonal | up), up & diagonal
        distance += bool(right_up & last) - bool(right_down & last)
        right_up, right_down = right_up << 1 | 1, right_down << 1
        up = (right_down | ~(diagonal | right_up)) & everywhere
        down = right_up & diagonal & everywhere
    return distance


def nearest_error_rate(
    said: Mapping[str, Sequence[Hashable]], references: Mapping[str, Sequence[Sequence[Hashable]]], symbols: str
) -> float:
    """Wrong, missing and surplus symbols over the symbols of the reference that is nearest, over all pictures.

    Args:
        said: picture's name to its symbols.
        references: picture's name to its human captions in symbols.
        symbols: what they are called in messages.

    Raises:
        DataError: nothing to score, or a picture without references.
    """
    if not said:
        raise DataError("No captions to score: there is no metric over nothing.")
    errors, total = 0, 0
    for picture, symbols_said in said.items():
        wrong = [(edit_distance(human, symbols_said), len(human)) for human in references[picture] if human]
        if not wrong:
            raise DataError(f"Picture {picture!r} has a caption but no {symbols} to compare it with; leave it out.")
        nearest = min(wrong, key=lambda pair: pair[0] / pair[1])
        errors, total = errors + nearest[0], total + nearest[1]
    return errors / total
