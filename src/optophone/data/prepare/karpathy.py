"""The splits of Karpathy and Fei-Fei 2015, in which captioners of COCO, Flickr8k and Flickr30k are compared.

One JSON file a data set, `dataset_<name>.json`: under "images" for each picture "filename", "split", "sentences" (with
"raw" and "tokens"); for COCO also "filepath" (the folder) and "cocoid". "val" is called dev here, and "restval", the
pictures of COCO's validation set that are in neither dev nor test, belongs to train, as everywhere in the literature.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optophone.core.errors import DataError
from optophone.data.manifest import Dataset, Row, is_inside
from optophone.data.prepare.captions import SPLITS, caption_options, one_line, read_json, write_captioned
from optophone.data.prepare.flickr8k import LICENCE as FLICKR8K_LICENCE
from optophone.data.prepare.flickr8k import read_captions
from optophone.data.prepare.preparation import Preparation

SPLIT_NAMES = {"train": "train", "restval": "train", "val": "dev", "test": "test"}
COCO_LICENCE = "Captions: CC BY 4.0, COCO Consortium; the photographs belong to their Flickr authors."
FLICKR30K_LICENCE = "Non-commercial research and education; the photographs belong to their Flickr authors."
LAYOUT = "Karpathy's splits"


@dataclass(frozen=True)
class KarpathyLayout:
    """Where the files of one of the three data sets lie.

    Args:
        splits_file: the JSON, in the source folder, in `annotations` or in `caption_datasets`.
        picture_folders: names that the folder of the pictures may have; for COCO, whose pictures are in several
            folders, where these may lie.
        licence: the terms.
        tokens_file: lines NAME#NUMBER<tab>CAPTION whose captions go before those of the JSON, where it is present.
    """

    splits_file: str
    picture_folders: tuple[str, ...]
    licence: str
    tokens_file: str | None = None


LAYOUTS = {
    "coco-karpathy": KarpathyLayout("dataset_coco.json", (".", "images"), COCO_LICENCE),
    "flickr8k-karpathy": KarpathyLayout(
        "dataset_flickr8k.json", ("Flicker8k_Dataset", "Flickr8k_Dataset", "images"), FLICKR8K_LICENCE
    ),
    "flickr30k": KarpathyLayout(
        "dataset_flickr30k.json",
        ("flickr30k-images", "flickr30k_images", "images"),
        FLICKR30K_LICENCE,
        "results_20130124.token",
    ),
}


def prepare_karpathy(
    name: str, source: str | Path, out: str | Path, size: int = 192, features_only: bool = False
) -> Dataset:
    """Read the data set `name` at `source` and write `out`: manifests and, unless told otherwise, packed pictures.

    Rows are {"id", "picture", "captions"}: the id is COCO's number of the picture, or the file's name without its
    ending, by which region features are joined; captions are the raw ones. Row i belongs to entry i of
    `<split>.pictures.npy` (n, size, size, 3) uint8, squashed to a square. Does nothing where `out` is finished;
    continues where it was interrupted.

    Args:
        name: a key of `LAYOUTS`.
        source: the folder with the JSON and the pictures.
        out: the folder to write.
        size: height and width of the packed pictures in pixels.
        features_only: leave out the pictures, whose region features are there already.

    Raises:
        DataError: the layout is not found, pictures or captions are missing, or `out` holds something else.
        PictureError: a picture cannot be read.
    """
    source, layout = Path(source), LAYOUTS[name]
    preparation = Preparation(name, source, Path(out), caption_options(size, features_only))
    finished = preparation.begin()
    if finished:
        return finished
    splits = _read_splits(_find_splits_file(source, layout), _read_tokens(source, layout))
    root = None if features_only else _picture_root(source, layout, splits)
    return write_captioned(preparation, splits, root, LAYOUT, layout.licence)


def _find_splits_file(source: Path, layout: KarpathyLayout) -> Path:
    for folder in (".", "annotations", "caption_datasets"):
        path = source / folder / layout.splits_file
        if path.is_file():
            return path
    raise DataError(f"{source}: no {layout.splits_file} here; it is in Karpathy's caption_datasets.zip, unpacked.")


def _read_tokens(source: Path, layout: KarpathyLayout) -> dict[str, list[str]]:
    """Picture name to its captions from the token file; empty where there is none."""
    if layout.tokens_file is None or not (source / layout.tokens_file).is_file():
        return {}
    return read_captions(source / layout.tokens_file)


def _picture_root(source: Path, layout: KarpathyLayout, splits: Mapping[str, list[Row]]) -> Path:
    """The folder that the pictures of `splits` start from."""
    parts = {row["picture"].rpartition("/")[0] for rows in splits.values() for row in rows}
    for folder in layout.picture_folders:
        if any((source / folder / part).is_dir() for part in parts):
            return source / folder
    expected = ", ".join(sorted(parts)) if "" not in parts else layout.picture_folders[0]
    raise DataError(
        f"{source}: no pictures here; expected the folder {expected}, or --features-only for captions alone."
    )


def _read_splits(path: Path, captions: Mapping[str, list[str]]) -> dict[str, list[Row]]:
    """Split name to rows, in the order of the file; captions of `captions` go before those of the file."""
    content = read_json(path, _shorten)
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list) or not images:
        raise DataError(f'{path}: no list of "images"; this is none of Karpathy\'s files.')
    splits: dict[str, list[Row]] = {split: [] for split in SPLITS}
    for number, image in enumerate(images):
        split, row = _read_image(image, f"{path}: image {number}")
        row["captions"] = captions.get(row["picture"], row["captions"])
        splits[split].append(row)
    return {split: rows for split, rows in splits.items() if rows}


def _shorten(entry: dict[str, Any]) -> Any:
    """A sentence becomes its text at once: the tokens of all of COCO's would fill a gigabyte of memory."""
    if "raw" not in entry and "tokens" not in entry:
        return entry
    tokens = entry.get("tokens")
    joined = " ".join(map(str, tokens)) if isinstance(tokens, list) else ""
    return one_line(entry.get("raw")) or one_line(joined)


def _read_image(image: Any, where: str) -> tuple[str, Row]:
    try:
        name, split, sentences = image["filename"], SPLIT_NAMES[image["split"]], image["sentences"]
        picture = f"{image['filepath']}/{name}" if "filepath" in image else name
        identity = str(image["cocoid"]) if "cocoid" in image else Path(name).stem
        captions = [caption for caption in sentences if isinstance(caption, str) and caption]
    except (KeyError, TypeError) as error:
        raise DataError(f'{where}: expected "filename", "split" and "sentences" ({error}).') from None
    if not isinstance(picture, str) or not is_inside(picture):
        raise DataError(f"{where}: {picture!r} is no file inside the source folder.")
    return split, {"id": identity, "picture": picture, "captions": captions}
