"""Data sets for PyTorch: images and labels by row, and two samplers.

data = ReIDDataset("runs/demo/dataset")
batches = IdentitySampler(data.hard_labels, people=16, images=4)
for batch in torch.utils.data.DataLoader(data, batch_sampler=batches, num_workers=4):
    loss = cross_entropy(network(batch["image"] / 255), batch["label"])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np
import polars as pl
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset as TorchDataset

from manifests.common.pictures import PictureError, check_digest, decode_picture
from manifests.errors import UserError
from manifests.exports.row_groups import RowGroups
from manifests.exports.rows import chosen_rows
from manifests.exports.samplers import IdentitySampler, RowGroupSampler
from manifests.format.label_checks import check_classes, check_sum, check_values
from manifests.format.schema import SCHEMAS
from manifests.format.soft_labels import NO_LABEL, ClassMap
from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.query import metadata
from manifests.reading.selection import Selection

__all__ = ["IdentitySampler", "ReIDDataset", "RowGroupSampler", "dense_labels"]

LabelForm = Literal["dense", "compact"]
ITEMS = ("image", "label", "hard_label", "camera", "identity")
"""What a row gives unless other columns are asked for."""
_SOFT_LABEL = ("soft_label", "soft_label_rest")


class ReIDDataset(TorchDataset[dict[str, Any]]):
    """The rows of ``data``, by number; each a dictionary that the default collation stacks. ``data``: the path or URI
    of a data set, read in its newest state, or one that is open, or a selection of its rows.

    ``image``: uint8 ``(3, H, W)``, RGB in [0, 255], or what ``transform`` makes of it. ``label``: float32 ``(K,)`` that
    sums to 1; with ``label="compact"`` instead ``label_index`` (int64 ``(M,)``), ``label_value`` (float32 ``(M,)``)
    and ``label_rest``, which `dense_labels` expands on any device; M is the longest list of the data set.
    ``hard_label``: class number, -1 for nobody in particular. ``camera``: its number, -1 where not known.
    ``identity``: its name, empty where there is none. Other columns come as the Python values that they are.

    Source images have no labels: ``classes`` (those of a synthetic data set, or their own people) numbers theirs, and
    the label is one-hot, all 0 for whom it does not name.

    Rows are read by row group (of 1,000, as we write them); each process keeps the last ones, up to ``cache_bytes``.
    Where the data set is larger, `RowGroupSampler` shuffles so that no group is read again and again; `IdentitySampler`
    goes all over it, and wants a cache that holds most of it. Workers may be forked or spawned (on an object store
    spawned), and each opens files by itself.

    ``hard_labels`` ``(rows,)`` int32 and ``row_groups`` ``(rows,)`` int32 are what the samplers take, ``num_classes``
    is K.

    Raises:
        UserError: there is no closed data set at ``data``, it holds no images or is labelled over other ``classes``, or
            ``where`` (SQL, as for `manifests.reading.query.rows_where`) makes no sense or chooses no row.
        ValueError: a column is not there.

    Reading a row raises UserError where its picture is not the one that its digest names; reading a batch, as a
    DataLoader does, also where its pictures are of several sizes and no ``transform`` is given.
    """

    def __init__(
        self,
        data: str | Dataset | Selection,
        columns: Sequence[str] = ITEMS,
        transform: Callable[[torch.Tensor], Any] | None = None,
        label: LabelForm = "dense",
        where: str | None = None,
        classes: ClassMap | None = None,
        cache_bytes: int = 512 << 20,
    ) -> None:
        opened = open_dataset(data) if isinstance(data, str) else data
        among = opened if isinstance(opened, Selection) else Selection.all_of(opened)
        dataset, rows = among.dataset, chosen_rows(among, where)
        names = SCHEMAS[dataset.kind].names
        if unknown := [name for name in columns if name not in (*ITEMS, *names)]:
            raise UserError(
                f"{dataset.kind} rows have no columns {unknown}; there are {', '.join(dict.fromkeys((*ITEMS, *names)))}"
            )
        if label not in (forms := get_args(LabelForm)):
            raise UserError(f"label={label!r}: a label is {' or '.join(forms)}")
        self.columns, self.transform, self.label_form = tuple(columns), transform, label
        self.hard_labels, self.num_classes, self._listed = _labels(dataset, rows, classes)
        beside = {"label": _SOFT_LABEL, "image": ("image_sha256",)}
        wanted = {*columns, *(other for name in columns for other in beside.get(name, ()))}
        self._uri = dataset.uri
        self._groups = RowGroups(dataset, [name for name in names if name in wanted], cache_bytes)
        self.row_groups, self._offsets = self._groups.places(rows)

    def __len__(self) -> int:
        return len(self.hard_labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        table, row = self._groups[int(self.row_groups[index])], int(self._offsets[index])
        item: dict[str, Any] = {}
        for name in self.columns:
            if name == "label":
                item |= self._label(table, row, int(self.hard_labels[index]))
            elif name == "hard_label":
                item[name] = int(self.hard_labels[index])
            elif name == "image":
                pixels = self._pixels(table, row)
                item[name] = self.transform(pixels) if self.transform else pixels
            else:
                value = table.column(name)[row].as_py()
                item[name] = {"camera": -1, "identity": ""}.get(name) if value is None else value
        return item

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """The rows of a batch, before they are collated."""
        items = [self[index] for index in indices]
        sizes = {tuple(item["image"].shape[1:]) for item in items if self.transform is None and "image" in item}
        if len(sizes) > 1:
            shown = ", ".join(f"{width} x {height}" for height, width in sorted(sizes)[:3])
            raise UserError(
                f"{self._uri} has images of several sizes ({shown}), which do not stack: give ReIDDataset a transform= "
                "that resizes them, or one that leaves them as they are for a collate_fn of your own"
            )
        return items

    def _pixels(self, table: pa.Table, row: int) -> torch.Tensor:
        """The picture of a row, uint8 ``(3, H, W)``."""
        sha256 = table.column("image_sha256")[row].as_py()
        try:
            return _decoded(table.column("image")[row], sha256)
        except PictureError as error:
            raise UserError(f"image {(sha256 or '')[:12]} of {self._uri} cannot be used: {error}") from None

    def _label(self, table: pa.Table, row: int, hard_label: int) -> dict[str, Any]:
        index, value, rest = self._entries(table, row, hard_label)
        if self.label_form == "compact":
            # The first entry fills the list up: it says the same again, so nothing changes when it is scattered.
            wide_index = np.full(self._listed, index[0] if len(index) else 0)
            wide_value = np.full(self._listed, value[0] if len(index) else rest)
            wide_index[: len(index)], wide_value[: len(index)] = index, value
            return {
                "label_index": torch.from_numpy(wide_index),
                "label_value": torch.from_numpy(wide_value),
                "label_rest": torch.tensor(rest),
            }
        dense = np.full(self.num_classes, rest, np.float32)
        dense[index] = value
        return {"label": torch.from_numpy(dense)}

    def _entries(
        self, table: pa.Table, row: int, hard_label: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], np.float32]:
        index, value, rest = _entries(table, row, hard_label)
        try:
            check_values(index, value, np.array([rest]), self.num_classes)
            if "soft_label" in table.schema.names:
                check_sum(float(value.sum() + rest * (self.num_classes - len(index))), self.num_classes)
        except ValueError as error:
            raise UserError(f"a row of {self._uri} has a label that is none: {error}") from None
        return index, value, rest


def dense_labels(index: torch.Tensor, value: torch.Tensor, rest: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Dense labels ``(N, K)`` float32 of a batch of compact ones, ``(N, M)``, ``(N, M)`` and ``(N,)``."""
    return rest[:, None].repeat(1, num_classes).scatter_(1, index, value)


def _labels(dataset: Dataset, rows: NDArray[np.int64], classes: ClassMap | None) -> tuple[NDArray[np.int32], int, int]:
    """Hard labels of the rows, the number of classes, and the longest list of entries in a compact label."""
    if dataset.kind == "source":
        identities = metadata(dataset).select("identity").collect()[rows].to_series().to_list()
        known = classes or ClassMap.of(identities)
        return known.numbers(identities), len(known), 1
    if classes is not None and dataset.classes != classes:
        raise UserError(f"{dataset.uri} is labelled over classes of its own, not over those asked for")
    listed = pl.col("soft_label").list.len()
    facts = metadata(dataset).select("hard_label", "num_classes", listed).collect()[rows]
    counts = facts["num_classes"].unique().to_list()
    if len(counts) != 1:
        raise UserError(f"{dataset.uri} has rows labelled over {sorted(counts)} classes: choose one number by where")
    named = dataset.classes
    if named is not None and counts[0] != len(named):
        raise UserError(f"{dataset.uri} has rows labelled over {counts[0]} classes and names {len(named)}: validate it")
    try:
        check_classes(counts[0])
    except ValueError as error:
        raise UserError(f"{dataset.uri}: {error}") from None
    return facts["hard_label"].to_numpy(), counts[0], max(1, int(facts["soft_label"].max()))  # type: ignore[arg-type]


def _entries(table: pa.Table, row: int, hard_label: int) -> tuple[NDArray[np.int64], NDArray[np.float32], np.float32]:
    """Class numbers and values that a row's label lists, and the value of all other classes."""
    if "soft_label" not in table.schema.names:
        known = hard_label != NO_LABEL
        return np.full(int(known), hard_label, np.int64), np.ones(int(known), np.float32), np.float32(0)
    entries = table.column("soft_label")[row].values
    index, value = (entries.field(name).to_numpy(zero_copy_only=False) for name in ("idx", "val"))
    return index.astype(np.int64), value, np.float32(table.column("soft_label_rest")[row].as_py())


def _decoded(image: Any, sha256: str | None) -> torch.Tensor:
    """The picture of an Arrow image value, whose bytes have that digest.

    Raises:
        PictureError: it is another picture, or none.
    """
    data = (image.as_py() or {}).get("bytes") or b""
    check_digest(data, sha256)
    return torch.from_numpy(decode_picture(data)).permute(2, 0, 1).contiguous()
