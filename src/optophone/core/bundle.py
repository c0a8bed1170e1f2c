"""Bundles: the folder in which a part travels.

A bundle holds a manifest (`bundle.json`), graphs or weights, and where the part has one its vocabulary. The manifest
names every file with its size and SHA-256 and is written last, so that a half-written bundle is no bundle. A *system*
bundle holds its parts as bundles in folders of its own and records their manifests, which in turn record their files.

What `open_bundle` returns has been checked as a whole: a bundle from a stranger reads no file outside its folder.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, get_args

from optophone.core.configuration import from_mapping, to_mapping
from optophone.core.errors import BundleError, ConfigurationError
from optophone.core.mel import MelSpec
from optophone.core.picture import PictureSpec
from optophone.core.unit_origin import unit_origin
from optophone.core.vocabulary import Vocabulary
from optophone.core.whole_file import Unfinished, is_full, is_unfinished, why_unwritten

BundleKind = Literal["captioner", "acoustic", "vocoder", "units", "direct", "encoder", "recognizer", "system"]

FORMAT = 1
MANIFEST = "bundle.json"
VOCABULARY = "vocabulary.json"
_MAX_MANIFEST_BYTES = 4 * 2**20
_MAX_FILES = 1000
_MAX_TOTAL_BYTES = 4 * 2**30
_SAFE_STEP = re.compile(r"[\w+-](?:[\w .+-]*[\w+-])?", re.ASCII)
_MEND = "download or export it again"


@dataclass(frozen=True)
class FileRecord:
    """What a manifest says of a file.

    Args:
        sha256: of the content, 64 hexadecimal digits.
        bytes: size.
    """

    sha256: str
    bytes: int


@dataclass(frozen=True)
class BundleManifest:
    """What a bundle is; the content of `bundle.json`, where `cls` is written "class".

    Args:
        kind: which protocol the part fulfils; "system" for parts made to go together.
        cls: the class of the part, as the runtime's tables name it.
        name: what users call it.
        configuration: options of the class.
        vocabulary_hash: `Vocabulary.hash` of `vocabulary.json`, or None.
        mel: layout of the mel spectrograms it makes or takes, or None.
        picture: what pictures it takes, or None.
        data_manifest_hash: of the data it was trained on, or None.
        metrics: what it reached, by name.
        licence: SPDX name.
        parts: of a system: kind to folder, relative to the bundle.
        files: every file to its record; of a part inside a system only the manifest.
        format: version of this layout.
    """

    kind: BundleKind
    cls: str
    name: str
    configuration: Mapping[str, Any] = field(default_factory=dict)
    vocabulary_hash: str | None = None
    mel: MelSpec | None = None
    picture: PictureSpec | None = None
    data_manifest_hash: str | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, FileRecord] = field(default_factory=dict)
    format: int = FORMAT

    def to_json(self) -> str:
        """The text of `bundle.json`.

        Raises:
            BundleError: a configuration or metric that JSON cannot hold, such as NaN.
        """
        mapping = to_mapping(self)
        mapping = {"format": mapping.pop("format"), "kind": mapping.pop("kind"), "class": mapping.pop("cls"), **mapping}
        try:
            return json.dumps(mapping, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        except (TypeError, ValueError) as error:
            raise BundleError(f"the manifest of {self.name} cannot be written as JSON ({error}).") from None

    @classmethod
    def from_json(cls, text: str, where: str) -> "BundleManifest":
        """Read what `to_json` wrote; `where` is the name printed in errors.

        Raises:
            BundleError: no JSON, another format, or keys and values that no manifest has.
        """
        try:
            mapping = json.loads(text)
            json.dumps(mapping, ensure_ascii=False, allow_nan=False).encode("utf-8")  # no NaN, no half characters
        except (ValueError, RecursionError):
            raise BundleError(f"{where}: not a bundle's manifest (no valid JSON); {_MEND}.") from None
        if not isinstance(mapping, dict) or "class" not in mapping or "format" not in mapping:
            raise BundleError(f"{where}: not a bundle's manifest (no format or class); {_MEND}.")
        if mapping["format"] != FORMAT:
            raise BundleError(
                f"{where}: format {mapping['format']!r}, but this version reads format {FORMAT}; update optophone."
            )
        mapping["cls"] = mapping.pop("class")
        try:
            return from_mapping(cls, mapping, where)
        except ConfigurationError as error:
            raise BundleError(str(error)) from None


@dataclass(frozen=True)
class Bundle:
    """A bundle that `open_bundle` has checked."""

    folder: Path
    manifest: BundleManifest

    def file(self, name: str) -> Path:
        """The path of one of its files.

        Raises:
            BundleError: the manifest names no such file.
        """
        if name not in self.manifest.files:
            raise BundleError(f"{self.folder}: the bundle has no {name}; {_MEND}.")
        return self.folder / name

    def vocabulary(self) -> Vocabulary:
        """Its vocabulary.

        Raises:
            BundleError: it has none, or one with another hash than the manifest says.
            VocabularyError: the file is no vocabulary.
        """
        vocabulary = Vocabulary.load(self.file(VOCABULARY))
        if vocabulary.hash != self.manifest.vocabulary_hash:
            raise BundleError(f"{self.folder}: {VOCABULARY} is not the vocabulary of the manifest; {_MEND}.")
        return vocabulary

    def mel_spec(self) -> MelSpec:
        """The layout of its mels.

        Raises:
            BundleError: it states none.
        """
        if self.manifest.mel is None:
            raise BundleError(f"{self.folder}: the manifest has no mel specification; {_MEND}.")
        return self.manifest.mel

    def part(self, kind: str) -> Path:
        """The folder of a system's captioner, acoustic model, ...; pass it to `open_bundle`.

        Raises:
            BundleError: the system has no such part.
        """
        if kind not in self.manifest.parts:
            raise BundleError(f"{self.folder}: this {self.manifest.kind} has no {kind}; choose another bundle.")
        return self.folder / self.manifest.parts[kind]


def open_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Open a bundle and check all of it: layout, names, sizes and the SHA-256 of every file.

    Raises:
        BundleError: no bundle, another format, a file missing or changed, a name or link that leads out of the folder,
            or more than 1000 files or 4 GiB.
    """
    folder = Path(path)
    manifest = BundleManifest.from_json(_read_manifest(folder), str(folder / MANIFEST))
    _check_layout(folder, manifest)
    root = folder.resolve()
    for name, record in manifest.files.items():
        _check_file(folder, root, name, record)
    return Bundle(folder, manifest)


def check_composition(captioner: Bundle | None, acoustic: Bundle, vocoder: Bundle | None) -> None:
    """Whether the parts fit together: each reads what the one before it writes.

    Words and characters go to a voice that reads characters, because they can be spelled; otherwise the vocabularies
    must be equal, and where both parts say whose units they are over, the same ones. The mel specifications must be
    equal.

    Args:
        captioner: bundle of a captioner, or None for a voice alone.
        acoustic: bundle of an acoustic model.
        vocoder: bundle of a vocoder, or None where it is built to fit.

    Raises:
        BundleError: they do not; both sides are named.
    """
    if captioner is not None:
        written, read = captioner.vocabulary(), acoustic.vocabulary()
        is_spelled = written.kind in ("words", "characters") and read.kind == "characters"
        if written.hash != read.hash and not is_spelled:
            raise BundleError(
                f"{captioner.manifest.name} writes {written.kind} (vocabulary {written.hash[:12]}) but "
                f"{acoustic.manifest.name} reads {read.kind} (vocabulary {read.hash[:12]}); "
                "choose parts that were made together."
            )
        ours, theirs = (unit_origin(part.manifest.configuration, str(part.folder)) for part in (captioner, acoustic))
        if ours is not None and theirs is not None and not ours.agrees_with(theirs):
            raise BundleError(
                f"{captioner.manifest.name} writes units of {ours} but {acoustic.manifest.name} reads those of "
                f"{theirs}; choose parts that were made together."
            )
    if vocoder is not None and acoustic.manifest.mel != vocoder.manifest.mel:
        raise BundleError(
            f"{acoustic.manifest.name} makes {acoustic.manifest.mel} but {vocoder.manifest.name} takes "
            f"{vocoder.manifest.mel}; choose parts with equal mel specifications."
        )


class BundleWriter:
    """Writes a bundle: all of it, or nothing.

    Use it as a context manager and write the files where `path` says. They are gathered in a hidden folder beside the
    target; at the end each is recorded and forced to the disk, the manifest is written, and the folder takes the
    target's place. An exception leaves the target as it was.

        with BundleWriter("out", kind="vocoder", cls="griffin-lim", name="griffin-lim", mel=spec) as writer:
            writer.path("CARD.md").write_text(card)

    Args:
        folder: the target; an older bundle there is replaced.
        vocabulary: saved as `vocabulary.json`, its hash in the manifest.
        parts: of a system: kind to folder inside this bundle, itself written by a `BundleWriter` under `path(folder)`.

    The other arguments are those of `BundleManifest`; `metrics` may be changed until the end.

    Raises:
        BundleError: the target exists and is no bundle, or cannot be written.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        kind: BundleKind,
        cls: str,
        name: str,
        configuration: Mapping[str, Any] | None = None,
        vocabulary: Vocabulary | None = None,
        mel: MelSpec | None = None,
        picture: PictureSpec | None = None,
        data_manifest_hash: str | None = None,
        metrics: Mapping[str, Any] | None = None,
        licence: str = "",
        parts: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.vocabulary = vocabulary
        self.metrics = dict(metrics or {})
        self._manifest = BundleManifest(
            kind, cls, name, dict(configuration or {}), vocabulary.hash if vocabulary else None, mel, picture,
            data_manifest_hash, {}, licence, dict(parts or {}),
        )  # fmt: skip
        self._target = self.folder.resolve()  # where links lead, so that the last renaming stays on one disk
        self._part: Unfinished | None = None

    def __enter__(self) -> Self:
        if self.folder.exists() and not self._may_replace():
            raise BundleError(f"{self.folder} exists and is not a bundle; choose another folder.")
        try:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            self._part = Unfinished(self._target, is_folder=True)
        except OSError as error:
            raise BundleError(f"{self.folder}: cannot write here ({why_unwritten(error)}).") from None
        if self.vocabulary is not None:
            self.vocabulary.save(self._work / VOCABULARY)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if kind is None:
                self._finish()
            elif isinstance(error, OSError) and is_full(error):  # what copies a file names the one that it reads
                raise error
        except OSError as failure:
            raise BundleError(f"{self.folder}: the bundle cannot be written ({why_unwritten(failure)}).") from None
        finally:
            self._begun.discard()

    @property
    def _begun(self) -> Unfinished:
        assert self._part is not None, "write inside the with statement"
        return self._part

    @property
    def _work(self) -> Path:
        return self._begun.path

    def path(self, name: str) -> Path:
        """Where to write the file `name`, or the folder of a part; folders on the way are made."""
        assert name != MANIFEST
        assert _is_safe(name), f"not a name for a bundle's file: {name!r}"
        path = self._work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _may_replace(self) -> bool:
        if not self.folder.is_dir():
            return False
        return (self.folder / MANIFEST).is_file() or all(map(is_unfinished, self.folder.iterdir()))

    def _finish(self) -> None:
        fields = {name: getattr(self._manifest, name) for name in BundleManifest.__dataclass_fields__}
        manifest = BundleManifest(**{**fields, "metrics": self.metrics, "files": self._record_files()})
        content = manifest.to_json()
        # What could not be opened again must not be written; this also catches a part that is missing.
        _check_layout(self.folder, BundleManifest.from_json(content, str(self.folder / MANIFEST)))
        (self._work / MANIFEST).write_text(content, encoding="utf-8")
        _flush(self._work / MANIFEST)
        _flush_folder(self._work)
        self._begun.put_folder_in_place()
        _flush_folder(self._target.parent)

    def _record_files(self) -> dict[str, FileRecord]:
        records = {}
        for path in sorted(self._work.rglob("*")):
            _flush(path) if path.is_file() else _flush_folder(path)
            inside_part = any((folder / MANIFEST).is_file() for folder in path.parents if self._work in folder.parents)
            if path.is_file() and (path.name == MANIFEST or not inside_part):
                records[path.relative_to(self._work).as_posix()] = FileRecord(_sha256(path), path.stat().st_size)
        return records


def _read_manifest(folder: Path) -> str:
    path = folder / MANIFEST
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise BundleError(f"{path}: the manifest must be a plain file; {_MEND}.")
        with open(path, "rb") as file:
            content = file.read(_MAX_MANIFEST_BYTES + 1)
    except FileNotFoundError:
        what = "there is no such folder" if not folder.exists() else f"not a bundle (it has no {MANIFEST})"
        raise BundleError(f"{folder}: {what}; give the folder of a complete bundle.") from None
    except OSError as error:
        raise BundleError(f"{folder}: the bundle cannot be read ({error.strerror}).") from None
    if len(content) > _MAX_MANIFEST_BYTES:
        raise BundleError(f"{path}: too large for a manifest; {_MEND}.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise BundleError(f"{path}: not a bundle's manifest (no UTF-8 text); {_MEND}.") from None


def _check_layout(folder: Path, manifest: BundleManifest) -> None:
    """Refuse names that lead out of the folder, too much of anything, and parts that are not recorded."""
    for name, record in manifest.files.items():
        if not _is_safe(name) or name == MANIFEST or record.bytes < 0:
            raise BundleError(f"{folder}: a file {name!r} of {record.bytes} bytes is not allowed in a bundle.")
    if len(manifest.files) > _MAX_FILES:
        raise BundleError(f"{folder}: {len(manifest.files)} files, but a bundle has at most {_MAX_FILES}.")
    if sum(record.bytes for record in manifest.files.values()) > _MAX_TOTAL_BYTES:
        raise BundleError(f"{folder}: larger than {_MAX_TOTAL_BYTES >> 30} GiB, the most that a bundle may have.")
    if manifest.parts and manifest.kind != "system":
        raise BundleError(f"{folder}: a {manifest.kind} cannot have parts; only a system can.")
    for kind, place in manifest.parts.items():
        if kind not in get_args(BundleKind) or kind == "system":
            raise BundleError(f"{folder}: {kind!r} is no kind of part.")
        if not _is_safe(place):
            raise BundleError(f"{folder}: the folder name {place!r} is not allowed for a part.")
        if f"{place}/{MANIFEST}" not in manifest.files:
            raise BundleError(f"{folder}: the {kind} in {place!r} is not complete; {_MEND}.")


def _check_file(folder: Path, root: Path, name: str, record: FileRecord) -> None:
    path = folder / name
    try:
        resolved = path.resolve(strict=True)
        if not resolved.is_relative_to(root):
            raise BundleError(f"{path}: a link that leads out of the bundle is not allowed; {_MEND}.")
        status = resolved.stat()
        if not stat.S_ISREG(status.st_mode):
            raise BundleError(f"{path}: not a plain file; {_MEND}.")
        # The size first: a file that has grown without end is not read.
        if status.st_size != record.bytes or _sha256(resolved) != record.sha256:
            raise BundleError(f"{path}: damaged (not the content that the manifest records); {_MEND}.")
    except FileNotFoundError:
        raise BundleError(f"{path}: missing from the bundle; {_MEND}.") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise BundleError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}).") from None


def _is_safe(name: str) -> bool:
    """Whether `name` is a relative path inside a bundle on every system: plain steps, "/" between them."""
    steps = name.split("/")
    return len(name) <= 200 and len(steps) <= 8 and all(_SAFE_STEP.fullmatch(step) for step in steps)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """Force a file to the disk."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(path: Path) -> None:
    """Force the names in a folder to the disk, where the system can."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
