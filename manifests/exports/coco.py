"""COCO: `images/SPLIT/ROW_ID.jpg`, objects in `annotations/instances_SPLIT.json` and `person_keypoints_SPLIT.json`.

An image has one object, the person, or none where it shows a distractor. Its mask is a run-length encoding without
compression, its box the mask's or else the whole picture. Joints of a score under `LEAST_SCORE` are not labelled (0);
all scores stand in ``keypoint_scores``. Objects without a pose are in the first file alone. What else is known of a row
stands in ``attributes`` of its object: identity, camera, scores.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.common.json_text import lenient_json
from manifests.describing.statements import STATEMENTS
from manifests.errors import UserError
from manifests.exports.file_names import key_of, split_of
from manifests.exports.folder import Exported, write_note
from manifests.exports.rows import chosen_rows, image_file, read_rows
from manifests.exports.signed import signed_folder
from manifests.format.annotation_values import read_keypoints, read_mask
from manifests.format.schema import ROW_ID, SPLITS
from manifests.format.skeleton import KEYPOINT_NAMES, LEAST_SCORE, LIMB_HUES
from manifests.reading.dataset import Dataset
from manifests.reading.origins import Row, find_images, given_dataset
from manifests.reading.query import metadata
from manifests.signing.claims import Signer

ANNOTATIONS = "annotations"
_IMAGE = ("image", "image_sha256", "width", "height", "split", "licence")
_FACTS = {
    "source": ("identity", "camera", "sequence", "frame", "domain", "role"),
    "synthetic": ("identity", "camera", "domain", "recipe"),
}
_MORE = {
    "source": ("relative_path",),
    "synthetic": ("recipe_version", "plan_id", "digital_source_type", "mask", "keypoints", "quality"),
}
_PERSON = {
    "id": 1,  # CVAT takes 0 for no category
    "name": "person",
    "supercategory": "person",
    "keypoints": KEYPOINT_NAMES,
    "skeleton": [[first + 1, second + 1] for first, second, _ in LIMB_HUES],
}


def export_coco(
    dataset: Dataset,
    output: str,
    where: str | None = None,
    annotations: str | None = None,
    signer: Signer | None = None,
) -> Exported:
    """Write the rows for which ``where`` holds, or all, as COCO at ``output``.

    Masks and poses of source images are those of the data set ``annotations``; synthetic rows have their own. One row
    group of images is in memory at a time, and the annotations of all rows.

    Raises:
        UserError: `signed_folder`'s and `chosen_rows`' reasons, ``annotations`` holds none or is given for
            synthetic rows, or a mask or pose is none.

    Example:
        >>> import json
        >>> from manifests import export_coco, open_dataset
        >>> done = export_coco(open_dataset("runs/synthetic"), "coco", "identity = '0002'")
        >>> found = json.load(open("coco/annotations/instances_train.json"))
        >>> len(found["images"]), found["annotations"][0]["attributes"]["identity"]
        (3, '0002')
    """
    rows = chosen_rows(dataset, where)
    found = _found(dataset, annotations)
    splits: dict[str, _Split] = defaultdict(_Split)
    with signed_folder(output, dataset, signer, rows) as folder:
        for row in read_rows(dataset, rows, _columns(dataset)):
            row_id = key_of(dataset, row[ROW_ID[dataset.kind]])
            split = split_of(dataset, row_id, row["split"])
            data, suffix = image_file(dataset, row, signer)
            path = folder / "images" / split / f"{row_id}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            try:
                splits[split].add(path.name, row_id, row, _facts(dataset, row), found.get(row["image_sha256"], row))
            except ValueError as error:
                raise UserError(f"{dataset.uri}: row {row_id} cannot be exported: {error}") from None
        (folder / ANNOTATIONS).mkdir()
        for split, one in splits.items():
            one.write(folder / ANNOTATIONS, split, _plain(STATEMENTS[dataset.kind]))
        patterns = {split: f"images/{split}/*" for split in SPLITS if split in splits}
        write_note(folder, dataset, "COCO", _HOW_TO_READ, rows, patterns)
    return Exported(output, len(rows), tuple(_notes(splits.values())))


def _columns(dataset: Dataset) -> list[str]:
    return [ROW_ID[dataset.kind], *_IMAGE, *_FACTS[dataset.kind], *_MORE[dataset.kind]]


def _found(dataset: Dataset, annotations: str | None) -> Mapping[str, Row]:
    """Masks and poses that lie in a data set of their own, by image digest."""
    if annotations is None:
        return {}
    if dataset.kind == "synthetic":
        raise UserError("--annotations are of source images: synthetic rows have masks and poses of their own")
    digests = metadata(dataset).select("image_sha256").collect()["image_sha256"].to_list()
    return find_images([given_dataset(annotations, "annotation")], digests, ["width", "height", "mask", "keypoints"])


def _facts(dataset: Dataset, row: Row) -> dict[str, Any]:
    """What is known of a row beside its picture; no key is one of COCO's, which FiftyOne would put these over."""
    scores = {name: value for name, value in (row.get("quality") or {}).items() if value is not None}
    known = {name: row[name] for name in _FACTS[dataset.kind] if row[name] is not None}
    return known | {name: round(value, 6) for name, value in scores.items() if math.isfinite(value)}


def _plain(markdown: str) -> str:
    return markdown.replace("**", "").replace("`", "")


class _Split:
    """The images of one split and their objects."""

    def __init__(self) -> None:
        self.images: list[dict[str, Any]] = []
        self.objects: list[dict[str, Any]] = []
        self._licences: dict[str, int] = {}

    def add(self, file: str, row_id: str, row: Row, facts: dict[str, Any], found: Row) -> None:
        """Raises ValueError where mask or keypoints are none."""
        image = {"id": len(self.images) + 1, "file_name": file, "width": row["width"], "height": row["height"]}
        licence = self._licences.setdefault(row["licence"] or "unstated", len(self._licences) + 1)
        self.images.append({**image, "license": licence, "row_id": row_id, "attributes": facts})
        if row.get("relative_path"):
            self.images[-1]["relative_path"] = row["relative_path"]
        if row.get("role") != "distractor":
            shape = row["height"], row["width"]
            about = {"id": len(self.objects) + 1, "image_id": image["id"], "category_id": _PERSON["id"], "iscrowd": 0}
            self.objects.append({**about, **_outline(found, *shape), **_pose(found), "attributes": facts})

    def write(self, folder: Path, split: str, description: str) -> None:
        posed = [one for one in self.objects if "keypoints" in one]
        plain = [{name: one[name] for name in one if "keypoint" not in name} for one in self.objects]
        for task, objects in (("instances", plain), ("person_keypoints", posed)):
            if objects or task == "instances":
                licences = [{"id": number, "name": name, "url": ""} for name, number in self._licences.items()]
                head = {"info": {"description": description}, "licenses": licences, "categories": [_PERSON]}
                whole = {**head, "images": self.images, "annotations": objects}
                (folder / f"{task}_{split}.json").write_text(lenient_json(whole) + "\n", encoding="utf-8")


def _outline(found: Row, height: int, width: int) -> dict[str, Any]:
    """Box, area and mask; of a picture without a mask (or with one that is empty) the whole, and no mask."""
    mask = read_mask(found["mask"], height, width) if found.get("mask") else np.zeros((height, width), bool)
    if not mask.any():
        return {"bbox": [0, 0, width, height], "area": width * height, "segmentation": []}
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    box = [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top]
    return {"bbox": box, "area": int(mask.sum()), "segmentation": run_lengths(mask)}


def run_lengths(mask: NDArray[np.bool_]) -> dict[str, list[int]]:
    """COCO's run-length encoding of a mask ``(H, W)``, not compressed: lengths of runs down the columns, from the left,
    of pixels outside and inside by turns."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(changes, prepend=0, append=flat.size).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def _pose(found: Row) -> dict[str, Any]:
    """Keypoints as ``x, y, v``, v being 2 for a joint that was seen and 0, with x and y, for others."""
    if not found.get("keypoints"):
        return {}
    points = read_keypoints(found["keypoints"])
    seen = points[:, 2] >= LEAST_SCORE
    if not seen.any():
        return {}
    places = np.where(seen[:, None], np.column_stack([points[:, :2].astype(float).round(2), seen * 2]), 0)
    flat: list[float] = [int(value) if value.is_integer() else value for value in places.ravel().tolist()]
    scores = [round(score, 4) for score in points[:, 2].tolist()]
    return {"keypoints": flat, "num_keypoints": int(seen.sum()), "keypoint_scores": scores}


def _notes(splits: Iterable[_Split]) -> Iterator[str]:
    objects = [one for split in splits for one in split.objects]
    bare = sum(not one["segmentation"] for one in objects)
    if bare:
        more = "; --annotations names the data set that has those of source images" if bare == len(objects) else ""
        yield f"{bare} people have no mask: their box is the whole picture{more}"


_HOW_TO_READ = [
    "Pictures are `images/SPLIT/ROW_ID.*`; `annotations/instances_SPLIT.json` has box and mask of the person on each, "
    "`annotations/person_keypoints_SPLIT.json` the COCO-17 joints, too. Identity, camera and scores are `attributes` "
    "of the object, and of its image. pycocotools, CVAT, Datumaro and FiftyOne open them.",
]
