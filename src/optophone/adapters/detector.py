"""Region features of any picture, by a detector of transformers: DETR, RT-DETR and their kin.

A detection transformer ends in one vector per object it looks for, from which class and box are read off by a linear
layer each. These vectors are the region features: what Anderson et al. 2018 took from Faster R-CNN's pooled regions.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from optophone.core.errors import ConfigurationError, DataError, PictureError
from optophone.core.whole_file import whole_file, why_unwritten


@dataclass(frozen=True)
class RegionFeatures:
    """What a detector saw, the surest region first.

    Args:
        features: (R, D) float32.
        boxes: (R, 4) float32, left, top, right, bottom in pixels of the picture.
        labels: R names of the likeliest classes.
        scores: (R,) float32, 0..1, of these classes.
    """

    features: np.ndarray
    boxes: np.ndarray
    labels: tuple[str, ...]
    scores: np.ndarray

    def save(self, path: Path) -> None:
        """Write a `.npz` that `load_regions` reads, whole or not at all; "feat", "bbox", "labels" and "scores".

        Raises:
            DataError: the file cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as temporary, open(temporary, "wb") as file:
                self.write(file)
        except OSError as error:
            raise DataError(f"{path}: the region features cannot be written ({why_unwritten(error)}).") from None

    def write(self, file: BinaryIO) -> None:
        """Write that to an open file; the same features make the same bytes."""
        labels = np.array(self.labels, dtype=np.str_)
        np.savez(file, feat=self.features, bbox=self.boxes, labels=labels, scores=self.scores)


class DetectorRegions:
    """A detection transformer and its preparation of pictures.

    Args:
        path_or_name: a folder with config.json, preprocessor_config.json and model.safetensors; or a name on the hub,
            which transformers downloads or finds in its cache.
        n_regions: regions that are kept, those with the highest scores; as many as the detector has where it has fewer.
        revision: of the files on the hub.

    Raises:
        ConfigurationError: no detector there, one whose weights are not whole or that gives no vector per region, or
            fewer than 1 region.
        ModuleNotFoundError: transformers is not installed.
    """

    def __init__(self, path_or_name: str | Path, n_regions: int = 36, revision: str | None = None) -> None:
        if n_regions < 1:
            raise ConfigurationError(f"n_regions is {n_regions}; give at least 1.")
        import transformers

        self.name, self.n_regions = str(path_or_name), n_regions
        options: dict[str, Any] = {"trust_remote_code": False, "revision": revision or "main"}
        options["local_files_only"] = Path(path_or_name).is_dir()
        try:
            self.processor: Any = transformers.AutoImageProcessor.from_pretrained(self.name, **options)
            self.model, facts = transformers.AutoModelForObjectDetection.from_pretrained(
                self.name, use_safetensors=True, output_loading_info=True, **options
            )
        except Exception as error:  # transformers, its hub and safetensors raise many kinds on a wrong folder
            raise ConfigurationError(f"{self.name}: {_why_not(error)}") from None
        if facts["missing_keys"]:
            first = sorted(facts["missing_keys"])[0]
            raise ConfigurationError(f"{self.name}: weights are missing, {first} for one; download the detector again.")
        self.model.requires_grad_(False).eval()

    @property
    def dim(self) -> int:
        """D, features per region."""
        return int(self.model.config.d_model)

    def regions(self, picture: np.ndarray) -> RegionFeatures:
        """The regions of a picture (H, W, 3) uint8 RGB.

        Raises:
            PictureError: the detector cannot prepare a picture of this shape.
            ConfigurationError: the detector gives no vector per region.
        """
        height, width = picture.shape[:2]
        try:
            inputs = self.processor(images=picture, return_tensors="pt")
        except (ValueError, ZeroDivisionError) as error:
            raise PictureError(f"A picture of {width} x {height} pixels is not for this detector ({error}).") from None
        found = self.model(**inputs)
        features, boxes = found.last_hidden_state[0].numpy(), found.pred_boxes[0].numpy()
        if len(features) != len(boxes):
            raise ConfigurationError(f"{self.name}: gives no vector per region; use a DETR or an RT-DETR.")
        scores = class_scores(found.logits[0].numpy(), self.model.config.num_labels)
        best = np.argsort(-scores.max(1), kind="stable")[: self.n_regions]
        names = self.model.config.id2label
        return RegionFeatures(
            np.ascontiguousarray(features[best], np.float32),
            corners(boxes[best]) * np.array([width, height, width, height], np.float32),
            tuple(str(names[int(label)]) for label in scores[best].argmax(1)),
            scores[best].max(1),
        )


def class_scores(logits: np.ndarray, n_labels: int) -> np.ndarray:
    """Probabilities (R, n_labels) of the classes.

    DETR has one class more, "no object", and a softmax (Carion et al. 2020, section 3.1); its successors have a sigmoid
    for each class.
    """
    logits = logits.astype(np.float32)
    if logits.shape[1] == n_labels + 1:
        exponentials = np.exp(logits - logits.max(1, keepdims=True))
        return (exponentials / exponentials.sum(1, keepdims=True))[:, :-1]
    return 1 / (1 + np.exp(-np.clip(logits, -60, 60)))


def corners(boxes: np.ndarray) -> np.ndarray:
    """(R, 4) left, top, right, bottom within 0..1, from centre x, centre y, width, height."""
    centres, halves = boxes[:, :2].astype(np.float32), boxes[:, 2:].astype(np.float32) / 2
    return np.concatenate([centres - halves, centres + halves], 1).clip(0, 1)


def _why_not(error: Exception) -> str:
    reason = " ".join(str(error).split())[:200]
    if "timm" in reason:
        return "needs the package timm; take an RT-DETR, or a DETR's revision 'no_timm'."
    return (
        "no detector that transformers can load; give a folder with config.json, preprocessor_config.json and "
        f"model.safetensors, or a name on the hub ({reason})."
    )
