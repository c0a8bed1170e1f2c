"""COCO's captions in their official layout (Chen et al. 2015, *Microsoft COCO Captions*).

Read are `annotations/captions_train<year>.json` and `captions_val<year>.json` with the pictures in `train<year>/` and
`val<year>/`, for the years 2014 and 2017. The official validation set becomes dev; COCO keeps the captions of its test
set to itself. For the splits in which captioners are compared see `karpathy`.
"""

from pathlib import Path
from typing import Any

from optophone.core.errors import DataError
from optophone.data.manifest import Dataset, Row, is_inside
from optophone.data.prepare.captions import caption_options, one_line, read_json, write_captioned
from optophone.data.prepare.karpathy import COCO_LICENCE
from optophone.data.prepare.preparation import Preparation

YEARS = ("2014", "2017")
PARTS = {"train": "train", "val": "dev"}


def prepare_coco(
    source: str | Path, out: str | Path, size: int = 192, features_only: bool = False, year: str | None = None
) -> Dataset:
    """Read COCO's captions at `source` and write `out`: manifests and, unless told otherwise, packed pictures.

    Rows are {"id", "picture", "captions"}: the id is COCO's number of the picture, by which region features are joined.
    Row i belongs to entry i of `<split>.pictures.npy` (n, size, size, 3) uint8, squashed to a square. Whichever of the
    two annotation files are present become splits. Does nothing where `out` is finished; continues where it was
    interrupted.

    Args:
        source: the folder with `annotations` and the pictures.
        out: the folder to write.
        size: height and width of the packed pictures in pixels.
        features_only: leave out the pictures, whose region features are there already.
        year: "2014" or "2017"; None for the one that is there.

    Raises:
        DataError: the layout is not found, pictures or captions are missing, or `out` holds something else.
        PictureError: a picture cannot be read.
    """
    source = Path(source)
    preparation = Preparation("coco", source, Path(out), {**caption_options(size, features_only), "year": year})
    finished = preparation.begin()
    if finished:
        return finished
    year = _find_year(source) if year is None else year
    files = {part: path for part in PARTS if (path := _captions_file(source, part, year)).is_file()}
    if not files:
        raise DataError(f"{_captions_file(source, 'train', year)}: missing, and so is captions_val{year}.json.")
    splits = {PARTS[part]: _read_rows(path, f"{part}{year}") for part, path in files.items()}
    root = None if features_only else _picture_root(source, [f"{part}{year}" for part in files])
    return write_captioned(preparation, splits, root, f"official folder, {year}", COCO_LICENCE)


def _captions_file(source: Path, part: str, year: str) -> Path:
    return source / "annotations" / f"captions_{part}{year}.json"


def _find_year(source: Path) -> str:
    years = [year for year in YEARS if any(_captions_file(source, part, year).is_file() for part in PARTS)]
    if not years:
        raise DataError(f"{source}: no COCO captions here; expected annotations/captions_train2014.json, or 2017.")
    if len(years) > 1:
        raise DataError(f"{source}: the captions of 2014 and of 2017 are here; choose with --year 2014 or --year 2017.")
    return years[0]


def _picture_root(source: Path, folders: list[str]) -> Path:
    for root in (source, source / "images"):
        if any((root / folder).is_dir() for folder in folders):
            return root
    expected = " and ".join(folders)
    raise DataError(
        f"{source}: no pictures here; expected the folder {expected}, or --features-only for captions alone."
    )


def _read_rows(path: Path, folder: str) -> list[Row]:
    """A row for every picture of the file, in its order, with its captions in theirs."""
    content = read_json(path, _shorten)
    images, annotations = (content.get(key) if isinstance(content, dict) else None for key in ("images", "annotations"))
    if not isinstance(images, list) or not isinstance(annotations, list):
        raise DataError(f'{path}: no lists of "images" and "annotations"; these are no captions of COCO.')
    rows: dict[Any, Row] = {}
    for number, image in enumerate(images):
        if not (isinstance(image, tuple) and isinstance(image[1], str) and is_inside(image[1])):
            raise DataError(f'{path}: image {number}: expected "id" and "file_name".')
        if image[0] in rows:
            raise DataError(f"{path}: image {number}: the id {image[0]} occurs twice.")
        rows[image[0]] = {"id": str(image[0]), "picture": f"{folder}/{image[1]}", "captions": []}
    for number, annotation in enumerate(annotations):
        if not (isinstance(annotation, tuple) and annotation[0] in rows and isinstance(annotation[1], str)):
            raise DataError(f'{path}: annotation {number}: expected a "caption" and the "image_id" of a picture.')
        if caption := one_line(annotation[1]):
            rows[annotation[0]]["captions"].append(caption)
    return list(rows.values())


def _shorten(entry: dict[str, Any]) -> Any:
    """Pictures and annotations as pairs at once: most of what COCO writes about each is not needed."""
    if "file_name" in entry and isinstance(entry.get("id"), int | str):
        return entry["id"], entry["file_name"]
    if "caption" in entry and isinstance(entry.get("image_id"), int | str):
        return entry["image_id"], entry["caption"]
    return entry
