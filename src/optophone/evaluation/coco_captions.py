"""Captions and references in the files of the COCO caption evaluation, to score captions that anything has made.

- Results: `[{"image_id": 42, "caption": "a dog"}, ...]`, one caption per picture.
- References: `{"images": [{"id": 42, "file_name": "42.jpg"}, ...], "annotations": [{"image_id": 42, "caption": ...}]}`.
"""

import json
from pathlib import Path
from typing import Any

from optophone.core.errors import DataError


def read_coco_results(path: str | Path) -> dict[str, str]:
    """Picture's id, as text, to its caption; also from the result files of `optophone evaluate`.

    Raises:
        DataError: missing, of another layout, empty, or with two captions of one picture.
    """
    path = Path(path)
    content = _read(path)
    if isinstance(content, dict) and isinstance(content.get("captions"), dict):
        content = [{"image_id": name, "caption": caption} for name, caption in content["captions"].items()]
    captions: dict[str, str] = {}
    try:
        for item in content:
            name, caption = str(item["image_id"]), item["caption"]
            if not isinstance(caption, str):
                raise TypeError(f"the caption of {name} is no text")
            if name in captions:
                raise DataError(f"{path}: two captions of picture {name}; give one for each.")
            captions[name] = caption
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f'{path}: not captions of the form [{{"image_id": 1, "caption": "a dog"}}]'
            f" ({type(error).__name__}: {error})."
        ) from None
    if not captions:
        raise DataError(f"{path}: holds no captions.")
    return captions


def read_coco_references(path: str | Path) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Picture's id, as text, to its human captions, and to its file's name where that is said.

    Raises:
        DataError: missing, of another layout, or empty.
    """
    path = Path(path)
    content = _read(path)
    references: dict[str, list[str]] = {}
    try:
        for item in content["annotations"]:
            if not isinstance(item["caption"], str):
                raise TypeError(f"a caption of {item['image_id']} is no text")
            references.setdefault(str(item["image_id"]), []).append(item["caption"])
        files = {str(item["id"]): str(item["file_name"]) for item in content.get("images", ()) if "file_name" in item}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path}: not references as in COCO's captions_*.json, with annotations of image_id and caption"
            f" ({type(error).__name__}: {error})."
        ) from None
    if not references:
        raise DataError(f"{path}: holds no reference captions.")
    return references, files


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    except ValueError as error:
        raise DataError(f"{path}: not a JSON file ({error}).") from None
