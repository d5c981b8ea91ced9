"""A folder that appears whole: filled under a hidden name beside its place, then renamed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from manifests.describing.statements import INTENDED_USE, STATEMENTS, terms
from manifests.errors import UserError
from manifests.reading.dataset import Dataset
from manifests.reading.query import RowNumbers

NOTE = "README.md"
_FRONT_MATTER = """---
configs:
- config_name: default
  data_files:
{files}
---
"""


class Exported(NamedTuple):
    """What an export wrote: the folder, its images, and what one should know of it."""

    path: str
    images: int
    notes: tuple[str, ...] = ()


@contextlib.contextmanager
def new_folder(output: str) -> Iterator[Path]:
    """A folder to fill; it becomes ``output`` when the block ends well and is gone when the block raises. What an
    export that was killed left there is removed first.

    Raises:
        UserError: ``output`` is a URI, a file, or a folder with something in it, another export is on its way there,
            or nothing can be written.
    """
    if "://" in output or output.startswith("memory:"):
        raise UserError(f"{output}: an export is a folder on a local disk; copy it from there")
    target = Path(output).expanduser().absolute()
    unfinished = target.parent / f".{target.name}.unfinished"
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UserError(f"{target} is there already: choose a new or an empty folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        claim = _claim(unfinished)
    except OSError as error:
        raise _failure(output, error) from None
    try:
        yield unfinished
        unfinished.rename(target)
    except OSError as error:
        raise _failure(output, error) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        os.close(claim)


def _claim(unfinished: Path) -> int:
    """Make the folder, or empty what was left of one; a descriptor that holds it until it is closed or this process
    dies."""
    left = unfinished.exists()
    unfinished.mkdir(exist_ok=True)
    claim = os.open(unfinished, os.O_RDONLY)
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(claim), unfinished.stat()):
            raise BlockingIOError
    except OSError as error:
        # A file system without locks cannot tell who is alive, which matters where something is left.
        if left or isinstance(error, BlockingIOError | FileNotFoundError):
            os.close(claim)
            raise UserError(f"{unfinished} is another export on its way: wait for it, or delete it") from None
    for path in unfinished.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return claim


def write_note(
    folder: Path, dataset: Dataset, form: str, body: Sequence[str], rows: RowNumbers, splits: Mapping[str, str]
) -> None:
    """``README.md``: what the images are, what they are for and on what terms (those of ``rows``), and how this form
    is to be read.

    Its head gives the files of each of ``splits`` as Hugging Face ``datasets`` takes them, which by itself knows no
    split called query and passes over its files.
    """
    lines = [
        _FRONT_MATTER.format(files="\n".join(f"  - {{split: {name}, path: {path}}}" for name, path in splits.items())),
        f"# Person re-identification, {form}\n",
        STATEMENTS[dataset.kind] + "\n",
        f"{INTENDED_USE}\n",
        "Made from:\n",
        *terms(dataset, rows),
        "",
        *body,
        f"\nExported from the {dataset.kind} data set with digest `{dataset.digest()}`.\n",
    ]
    (folder / NOTE).write_text("\n".join(lines), encoding="utf-8")


def _failure(output: str, error: OSError) -> UserError:
    return UserError(f"cannot write {output}: {os.strerror(error.errno) if error.errno else error}")
