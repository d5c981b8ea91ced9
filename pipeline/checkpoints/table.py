"""The checkpoints that are known by name: where each comes from, its digest, its terms.

Official ones are listed here. Shipped ones are two files in ``weights/``, ``NAME.safetensors`` and
its card ``NAME.json``; adding the two adds the checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from manifests.errors import UserError

WEIGHTS_FOLDER = Path(str(resources.files("pipeline.checkpoints") / "weights"))
"""A folder of its own in every installation: an installer unpacks a wheel, and a checkpoint is opened by its path."""

Format = Literal["segment-anything", "mmpose", "generator"]


@dataclass(frozen=True)
class Checkpoint:
    """One named checkpoint: exactly one of ``url`` and ``path`` is set.

    ``sha256`` is the whole digest, or the first 8 hex digits where the publisher's file name is all there is.
    ``config`` is the model's configuration: for an official mmpose model a path inside the installed
    package's ``.mim`` folder, for a shipped one a path inside ``pipeline/annotation``. ``size_bytes`` is None if
    unknown.
    """

    name: str
    format: Format
    sha256: str
    licence: str
    trained_on: str
    source: str
    url: str | None = None
    path: Path | None = None
    size_bytes: int | None = None
    config: str | None = None

    @property
    def file_name(self) -> str:
        """The file's own name, as its publisher gives it."""
        return self.path.name if self.path else str(self.url).rpartition("/")[2]


class Card(BaseModel):
    """What a shipped checkpoint says of itself, as JSON beside it; no dates, so that making it again changes
    nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    format: Format
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    licence: str
    trained_on: str = Field(description="the data, and on whose consent or terms it was used")
    command: str = Field(description="what makes the file again")
    metrics: dict[str, float] = Field(description="measured quality, by name")
    config: str | None = None
    source: str = "this repository"


def shipped(folder: Path = WEIGHTS_FOLDER) -> dict[str, Checkpoint]:
    """The checkpoints of the cards in ``folder``, by name.

    Raises:
        UserError: a card that is unreadable, incomplete, or named otherwise than its file.
    """
    found = {}
    for file in sorted(folder.glob("*.json")):
        card = read_card(file)
        weights = file.with_suffix(".safetensors")
        found[card.name] = Checkpoint(
            name=card.name,
            format=card.format,
            sha256=card.sha256,
            licence=card.licence,
            trained_on=card.trained_on,
            source=card.source,
            path=weights,
            size_bytes=weights.stat().st_size if weights.exists() else None,
            config=card.config,
        )
    return found


def read_card(file: Path) -> Card:
    """The card in ``file``. Raises UserError if it is no valid card, or named otherwise than its file."""
    try:
        card = Card.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "JSON"
        raise UserError(f"the checkpoint card {file} is not valid: {where}: {first['msg']}") from None
    if card.name != file.stem:
        raise UserError(f"the checkpoint card {file} names {card.name!r}; it must name its own file")
    return card


# The digits in these file names are the beginning of the MD5, not of the SHA-256.
_SAM = {
    "vit_h": (
        "sam_vit_h_4b8939.pth",
        2_564_550_879,
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
    "vit_l": (
        "sam_vit_l_0b3195.pth",
        1_249_524_607,
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    "vit_b": (
        "sam_vit_b_01ec64.pth",
        375_042_383,
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
}

_RTMPOSE = "rtmposev1/rtmpose-{0}_simcc-body7_pt-body7_420e-256x192-{1}_20230504.pth"
_RTMPOSE_CONFIG = "rtmpose/body8/rtmpose-{0}_8xb256-420e_body8-256x192"
_BODY8 = (
    "AI Challenger, COCO, CrowdPose, MPII, sub-JHMDB, Halpe, PoseTrack18 "
    "(AI Challenger, MPII and PoseTrack18 are for non-commercial use)"
)
_COCO = "COCO keypoints 2017"

# name: (config below configs/body_2d_keypoint, file below the zoo's folder, digest, trained on). mmpose's tool
# for publishing puts the SHA-256's first 8 digits into the name. Of these files only rtmpose-m's whole digest was
# found in public; it agrees. (RTMPose-m's `coco` and `aic-coco` files reportedly do not: they are not listed.)
_MMPOSE = {
    "rtmpose-t": (_RTMPOSE_CONFIG.format("t"), _RTMPOSE.format("t", "026a1439"), "026a1439", _BODY8),
    "rtmpose-s": (_RTMPOSE_CONFIG.format("s"), _RTMPOSE.format("s", "acd4a1ef"), "acd4a1ef", _BODY8),
    "rtmpose-m": (
        _RTMPOSE_CONFIG.format("m"),
        _RTMPOSE.format("m", "e48f03d0"),
        "e48f03d0cfe1285ee8b6d3457ac3ce33a4594a92b080053ab1ec4a7e300975f2",
        _BODY8,
    ),
    "rtmpose-l": (_RTMPOSE_CONFIG.format("l"), _RTMPOSE.format("l", "4dba18fc"), "4dba18fc", _BODY8),
    "hrnet-w32": (
        "topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192",
        "td-hm_hrnet-w32_8xb64-210e_coco-256x192-81c58e40_20220909.pth",
        "81c58e40",
        _COCO,
    ),
    "simplebaseline-res50": (
        "topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192",
        "td-hm_res50_8xb64-210e_coco-256x192-04af38ce_20220923.pth",
        "04af38ce",
        _COCO,
    ),
    "vitpose-s": (
        "topdown_heatmap/coco/td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192",
        "td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192-4c101a76_20230314.pth",
        "4c101a76",
        _COCO,
    ),
    "vitpose-b": (
        "topdown_heatmap/coco/td-hm_ViTPose-base-simple_8xb64-210e_coco-256x192",
        "td-hm_ViTPose-base-simple_8xb64-210e_coco-256x192-0b8234ea_20230407.pth",
        "0b8234ea",
        _COCO,
    ),
}


def _official() -> dict[str, Checkpoint]:
    sam = [
        Checkpoint(
            name=f"sam_{variant}",
            format="segment-anything",
            sha256=digest,
            licence="Apache-2.0",
            trained_on="SA-1B",
            source="https://github.com/facebookresearch/segment-anything",
            url=f"https://dl.fbaipublicfiles.com/segment_anything/{file}",
            size_bytes=size,
        )
        for variant, (file, size, digest) in _SAM.items()
    ]
    pose = [
        Checkpoint(
            name=name,
            format="mmpose",
            sha256=digest,
            licence="Apache-2.0",  # the repository's; its authors state none for the weights
            trained_on=data,
            source="https://github.com/open-mmlab/mmpose",
            url=_mmpose_url(file),
            config=f"configs/body_2d_keypoint/{config}.py",
        )
        for name, (config, file, digest, data) in _MMPOSE.items()
    ]
    return {checkpoint.name: checkpoint for checkpoint in sam + pose}


def _mmpose_url(file: str) -> str:
    folder = "projects" if "/" in file else "body_2d_keypoint/topdown_heatmap/coco"
    return f"https://download.openmmlab.com/mmpose/v1/{folder}/{file}"


CHECKPOINTS: dict[str, Checkpoint] = _official() | shipped()
