"""The keys of a checkpoint against those that its model needs: one check, one wording, for every reference."""

from collections.abc import Collection, Iterable

from optophone.core.errors import BundleError

_MOST_NAMED = 20


def check_keys(what: str, found: Iterable[str], needed: Collection[str], ignored: Collection[str] = ()) -> None:
    """Refuse a checkpoint whose keys are not those that are needed.

    Args:
        what: the reference, as the message begins.
        found: the checkpoint's keys.
        needed: what must be there, in the order in which to name it.
        ignored: what may be there besides.

    Raises:
        BundleError: keys are missing or unexpected; they are named.
    """
    present = set(found)
    missing = [name for name in needed if name not in present]
    unexpected = sorted(present - set(needed) - set(ignored))
    if missing or unexpected:
        parts = [f"missing {listed(missing)}"] if missing else []
        parts += [f"unexpected {listed(unexpected)}"] if unexpected else []
        raise BundleError(f"{what} checkpoint: {'; '.join(parts)}.")


def listed(names: list[str]) -> str:
    """All of a few names; of many, the first and how many more: a one-line message stays one."""
    rest = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
