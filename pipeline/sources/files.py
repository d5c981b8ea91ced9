"""Files of a source data set as they lie on disk: listed safely, before any of them is opened.

Nothing outside of the root is ever opened: absolute paths, ``..``, links that lead out of it, pipes and
devices become a `Fault`, and so do files that are missing or beyond the size limit.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from manifests.errors import UserError
from pipeline.common.images import MAX_BYTES

Split = Literal["train", "query", "gallery"]
Role = Literal["person", "distractor", "junk"]
SPLITS: tuple[Split, ...] = ("train", "query", "gallery")
ROLES: tuple[Role, ...] = ("person", "distractor", "junk")
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})


class Fault(NamedTuple):
    """Why a file cannot become a row: a reason code, one sentence, and whether it may be opened at all."""

    reason: str
    message: str
    readable: bool = True


@dataclass(frozen=True)
class SourceFile:
    """One file of a source data set and what its layout says of it.

    ``relative_path`` is POSIX, inside the root; ``size`` in bytes, -1 if unknown. ``identity`` is None where
    nobody knows who it is (junk, background distractors, unlabelled sets). Cameras count from 1.
    """

    relative_path: str
    size: int
    split: Split
    role: Role = "person"
    identity: str | None = None
    camera: int | None = None
    sequence: int | None = None
    frame: int | None = None
    fault: Fault | None = None


class Entry(NamedTuple):
    """A file found or asked for: its path inside the root, its size, and what is wrong with it, if so."""

    relative_path: str
    size: int
    fault: Fault | None

    @property
    def stem(self) -> str:
        """The file's name without its image suffixes (``.jpg.JPG`` is two)."""
        return _stem(self.relative_path.rpartition("/")[2])


class SourceRoot:
    """The folder that a data set lies in. Relative paths are POSIX.

    Raises:
        UserError: the folder does not exist, is no folder, is empty or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise UserError(f"the source folder {path} does not exist")
        if not path.is_dir():
            raise UserError(f"the source {path} is not a folder")
        self.path = path.resolve()
        self.remarks: list[str] = []
        """What a reader of the layout wants to be said, a line each."""
        self._inside: dict[str, bool] = {}
        if not self.names():
            raise UserError(f"the source folder {path} is empty")

    def names(self, folder: str = "") -> list[str]:
        """Sorted names of everything in a folder, hidden files left out."""
        try:
            with os.scandir(self.path / folder) as entries:
                return sorted(entry.name for entry in entries if not entry.name.startswith("."))
        except OSError as error:
            raise UserError(f"cannot list {self.path / folder}: {error.strerror}") from None

    def shown(self) -> str:
        """The first few names in the root, for messages."""
        names = self.names()
        return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")

    def folders(self, folder: str = "") -> list[str]:
        """Sorted relative paths of the folders in a folder."""
        paths = (_join(folder, name) for name in self.names(folder))
        return [path for path in paths if (self.path / path).is_dir()]

    def has_folder(self, folder: str) -> bool:
        return (self.path / folder).is_dir()

    def has_file(self, path: str) -> bool:
        return (self.path / path).is_file()

    def images(self, folder: str = "", recursive: bool = False) -> Iterator[Entry]:
        """Entries of a folder's image files, sorted; told by suffix: ``Thumbs.db`` is passed over.

        Linked folders are not walked into (a link may lead back up); one that leads out of the root is a fault.
        """
        for name in self.names(folder):
            path = _join(folder, name)
            if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES:
                yield self.entry(path)
            elif recursive and (self.path / path).is_dir():
                if not (self.path / path).is_symlink():
                    yield from self.images(path, recursive=True)
                elif (fault := self.entry(path).fault) and fault.reason == "outside_root":
                    yield Entry(path, -1, fault)

    def entry(self, relative_path: str) -> Entry:
        """What is known of a file without opening it."""
        try:
            relative_path.encode()
        except UnicodeEncodeError:
            shown = os.fsencode(relative_path).decode("utf-8", "backslashreplace")
            return Entry(shown, -1, Fault("bad_name", "the file's name is not UTF-8", readable=False))
        parts = PurePosixPath(relative_path).parts
        if not parts or relative_path.startswith("/") or ".." in parts or "://" in relative_path:
            fault = Fault("bad_path", "not a plain path inside the source folder", readable=False)
            return Entry(relative_path, -1, fault)
        return self._status("/".join(parts))

    def _status(self, path: str) -> Entry:
        full = self.path / path
        try:
            if not self._is_inside(full):
                fault = Fault("outside_root", "a link leads out of the source folder", readable=False)
                return Entry(path, -1, fault)
            status = full.stat()
        except (OSError, RuntimeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            return Entry(path, -1, Fault("missing_file", f"cannot be opened: {reason}", readable=False))
        if not stat.S_ISREG(status.st_mode):
            return Entry(path, -1, Fault("not_a_file", "a folder, a pipe or a device", readable=False))
        if status.st_size > MAX_BYTES:
            message = f"{status.st_size} bytes, the limit is {MAX_BYTES}"
            return Entry(path, status.st_size, Fault("too_many_bytes", message, readable=False))
        return Entry(path, status.st_size, None)

    def _is_inside(self, full: Path) -> bool:
        """Whether a file really lies below the root; each folder is looked at once."""
        folder = str(full.parent)
        if folder not in self._inside:
            self._inside[folder] = full.parent.resolve(strict=True).is_relative_to(self.path)
        if not self._inside[folder]:
            return False
        return not full.is_symlink() or full.resolve(strict=True).is_relative_to(self.path)


def faulty(entry: Entry, split: Split, fault: Fault) -> SourceFile:
    """A file that will be a reject. What is wrong with the file itself goes first: perhaps nobody may open it."""
    return SourceFile(entry.relative_path, entry.size, split, fault=entry.fault or fault)


def name_key(file: SourceFile) -> Hashable:
    """Files of a split and folder whose names differ in case and suffix only are one picture by name."""
    folder, _, name = file.relative_path.rpartition("/")
    return file.split, folder, _stem(name).casefold()


def finish(files: Iterable[SourceFile], key: Callable[[SourceFile], Hashable] = name_key) -> list[SourceFile]:
    """Sort by path; of several files with the same ``key`` the first is kept, the others become rejects."""
    first: dict[Hashable, str] = {}
    result: list[SourceFile] = []
    for file in sorted(files, key=lambda file: (file.relative_path, file.split)):
        if file.fault is None and key(file) in first:
            fault = Fault("duplicate_name", f"the same picture by name as {first[key(file)]}")
            result.append(replace(file, fault=fault))
        else:
            result.append(file)
            if file.fault is None:
                first[key(file)] = file.relative_path
    return result


def written_otherwise(written: Mapping[str, set[str]]) -> list[str]:
    """What to say of people whose number is written in several ways: a line, or none. ``written`` is by their name."""
    several = {name: forms for name, forms in sorted(written.items()) if len(forms) > 1}
    if not several:
        return []
    name, forms = next(iter(several.items()))
    shown = f"{' and '.join(sorted(forms))} are one person, {name}"
    return [f"people whose number is written in more than one way: {len(several)}; the first: {shown}"]


def _stem(name: str) -> str:
    stem, _, suffix = name.rpartition(".")
    return _stem(stem) if stem and f".{suffix.lower()}" in IMAGE_SUFFIXES else name


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
