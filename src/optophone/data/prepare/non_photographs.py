"""Pictures that are no photographs, drawn by `optophone.data.non_photographs`; a family stands in one split only."""

from collections.abc import Iterator
from pathlib import Path

from optophone.core.errors import DataError
from optophone.core.whole_file import write_whole
from optophone.data.drawn.canvas import font_files
from optophone.data.manifest import Dataset, Row, write_manifest
from optophone.data.non_photographs import Family, draw_non_photograph, families, file_content
from optophone.data.prepare.preparation import Preparation
from optophone.data.prepare.progress import show_progress

LICENCE = "CC0: drawn by this program."
SPLITS = ("train", "test")


def prepare_non_photographs(out: str | Path, count: int = 40, seed: int = 0) -> Dataset:
    """Draw `count` pictures of every family into `out`/pictures, as PNG and JPEG files.

    Rows are {"id", "picture", "family"}. The split "train" has the families that a detector may learn from, "test" the
    others. The same count, seed and fonts draw the same pictures. Does nothing where `out` is finished; continues where
    it was interrupted.

    Args:
        out: the folder to write.
        count: pictures of each family.
        seed: another number draws other pictures.

    Raises:
        DataError: `out` holds something else, or nothing is asked for.
    """
    out = Path(out)
    if count < 1 or seed < 0:
        raise DataError(f"--count {count} --seed {seed}: at least one picture of a family, and a seed of 0 or more.")
    fonts = [Path(name).name for name in font_files()]
    preparation = Preparation("non-photographs", None, out, {"count": count, "seed": seed, "fonts": fonts})
    finished = preparation.begin()
    if finished:
        return finished
    (out / "pictures").mkdir(exist_ok=True)
    for split in SPLITS:
        kinds = families(split)
        drawn = show_progress(_draw(kinds, count, seed, out / "pictures"), len(kinds) * count, split)
        write_manifest(out / f"{split}.jsonl", list(drawn))
    return preparation.finish(SPLITS, "drawn", LICENCE, {"picture": (out / "pictures").resolve()})


def _draw(kinds: list[Family], count: int, seed: int, folder: Path) -> Iterator[Row]:
    for family in kinds:
        for index in range(count):
            stem = f"{family.name}-{index:04}"
            name = next((f"{stem}.{kind}" for kind in ("png", "jpg") if (folder / f"{stem}.{kind}").is_file()), None)
            if name is None:
                suffix, content = file_content(draw_non_photograph(family, index, seed), index)
                name = f"{stem}.{suffix}"
                write_whole(folder / name, content)
            yield {"id": stem, "picture": name, "family": family.name}
