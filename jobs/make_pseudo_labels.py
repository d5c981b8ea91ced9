"""Pseudo-labels (masks and keypoints) on the crops of source manifests, by three published teachers that agree.

python jobs/make_pseudo_labels.py --source runs/room_a --source runs/room_b --teachers WEIGHTS --output runs/pseudo.npz
"""

from __future__ import annotations

from pathlib import Path

if __name__ == "__main__":
    import _start  # noqa: F401

import numpy as np
from pydantic import Field

from manifests.common.replacing import replacing
from manifests.errors import UserError
from manifests.reading.inputs import open_input
from pipeline.annotation.shipped.teachers import Teachers
from pipeline.common.images import resize, resize_mask
from pipeline.common.progress import Progress
from pipeline.common.row_images import PICTURE, image_of
from pipeline.common.settings import JobSettings, Output, run_job

HEIGHT, WIDTH = 128, 64


class Settings(JobSettings):
    """Label real crops with the masks and keypoints that BodyPix, MediaPipe and MoveNet agree on."""

    group = "input"
    source: list[str] = Field(min_length=1, description="URIs of source manifests")
    teachers: Path = Field(description="folder with bodypix/, mediapipe/ and movenet/")
    output: Output[Path] = Field(description="file of masks and agreed keypoints, for train_sam_tiny.py (.npz)")
    opinions: Output[Path | None] = Field(
        None, description="file of every teacher's keypoints by DOMAIN/path of the crop, for train_pose_tiny.py (.npz)"
    )
    hold_out: list[str] = Field([], description="identities that training must leave out")
    least_agreement: float = Field(0.65, ge=0, le=1, description="IoU of the two masks below which a crop is dropped")


def main(settings: Settings) -> None:
    teachers = Teachers(settings.teachers)
    columns: dict[str, list[np.ndarray | bool | str]] = {
        name: [] for name in ("images", "masks", "keypoints", "held_out", "names")
    }
    dropped = 0
    opinions: dict[str, np.ndarray] = {}
    for uri in settings.source:
        dataset = open_input(uri, "source", flag="--source")
        with Progress("pseudo-labels", dataset.snapshot.rows) as progress:
            for shard in dataset.shards([*PICTURE, "identity", "domain", "relative_path"]):
                for row in shard.to_pylist():
                    image = image_of(row, uri)
                    label = teachers.label(image)
                    opinions[f"{row['domain']}/{row['relative_path']}"] = label.opinions
                    progress.advance()
                    if label.agreement < settings.least_agreement:
                        dropped += 1
                        continue
                    scale = np.array([WIDTH / image.shape[1], HEIGHT / image.shape[0], 1.0], np.float32)
                    columns["images"].append(resize(image, HEIGHT, WIDTH))
                    columns["masks"].append(resize_mask(label.mask, HEIGHT, WIDTH))
                    columns["keypoints"].append(label.keypoints * scale)
                    columns["held_out"].append(row["identity"] in settings.hold_out)
                    columns["names"].append(row["relative_path"])
    if not columns["images"]:
        raise UserError(f"the teachers agree on none of the {dropped} crops")
    _write(settings.output, {name: np.stack(values) for name, values in columns.items()})
    if settings.opinions is not None:
        _write(settings.opinions, {"files": np.array(list(opinions)), "keypoints": np.stack(list(opinions.values()))})
    held = sum(map(bool, columns["held_out"]))
    print(f"{len(columns['images'])} crops labelled ({held} held out), {dropped} dropped: {settings.output}")


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """An ``.npz``, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy's stub takes them for `allow_pickle` too


if __name__ == "__main__":
    run_job(Settings, main)
