"""What a flow learns from: what must be known of its images, what follows from them, and its batches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from manifests.errors import UserError
from pipeline.annotation.canonical_poses import canonical_shares
from pipeline.generators.backgrounds import Known
from pipeline.generators.batches.pairs import Partners, pose_partners
from pipeline.generators.batches.references import Referenced
from pipeline.generators.recipes.base import Need, Size
from pipeline.generators.recipes.flow.settings import PersonFlowSettings
from pipeline.training.camera_numbers import camera_numbers, camera_places
from pipeline.training.data import BatchSource, DomainData


def needs_of(settings: PersonFlowSettings, role: str, annotated: bool) -> frozenset[Need]:
    """As `pipeline.generators.recipes.base.Recipe.needs_of`: of another place nothing is needed, masks are used."""
    masks = settings.mask_weight > 0 or settings.backgrounds > 0
    if role != "source":
        return frozenset({"masks"} if masks and annotated else ())
    needs: set[Need] = {"cameras"}
    if masks:
        needs.add("masks")
    if _poses_people(settings):
        needs |= {"identities", "keypoints"}
    return frozenset(needs)


def settings_of(
    settings: PersonFlowSettings, data: Mapping[str, DomainData], name: str
) -> tuple[PersonFlowSettings, Known]:
    """``settings`` of the recipe ``name`` with what follows from its training sets, and the backgrounds in them."""
    source, target = data["source"], data.get("target")
    known: dict[str, object] = {"cameras": camera_numbers(source)}
    known["target_cameras"] = () if target is None else camera_numbers(target)
    if not settings.canonical_poses and (_poses_people(settings) or source.keypoints is not None):
        known["canonical_poses"] = canonical_shares(source, settings.poses, name)
    backgrounds = Known.joined([Known.of_cameras(part, settings.backgrounds) for part in data.values()])
    known["background_counts"] = backgrounds.counts if any(backgrounds.counts) else ()
    if settings.background == "asked":
        check_backgrounds(backgrounds.counts)
    return settings.model_copy(update=known), backgrounds


def check_backgrounds(counts: tuple[int, ...]) -> None:
    """Refuse to put people before backgrounds where none are kept.

    Raises:
        UserError: there are none of any camera.
    """
    if not any(counts):
        raise UserError("--background asked: this flow keeps no backgrounds; train it with masks and --backgrounds 32")


def batches_of(settings: PersonFlowSettings, data: Mapping[str, DomainData], size: Size, seed: int) -> BatchSource:
    """Batches of images with a reference each; of another place all images are their own.

    Raises:
        UserError: poses are to be learned, and of nobody are there two images to learn them from.
    """
    source = data["source"]
    partners: Partners = pose_partners(source) if _poses_people(settings) else _nobody(source)
    if _poses_people(settings) and not any(map(len, partners)):
        raise UserError(
            "no two images of --source show shoulders and hips of one person, from which poses are learned: give more "
            "images of each, or take --itself-share 1, which learns no poses"
        )
    cameras = [camera_places(source, settings.cameras)]
    if "target" in data:
        cameras.append(len(settings.cameras) + camera_places(data["target"], settings.target_cameras))
        partners = partners + _nobody(data["target"])
    shares = settings.itself_share, settings.background_share * any(settings.background_counts)
    return Referenced(data, np.concatenate(cameras), partners, size, seed, *shares)


def _poses_people(settings: PersonFlowSettings) -> bool:
    """Whether another image of the person is ever the reference."""
    return settings.itself_share < 1


def _nobody(data: DomainData) -> Partners:
    """No partner for any image."""
    return [np.empty(0, np.int64)] * len(data)
