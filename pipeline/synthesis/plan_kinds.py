"""What a synthesis makes, by the gap that it closes: other domains, other cameras, other poses, more people.

Each kind has its settings, a function that lists its samples, and a contact sheet that shows them; the recipe of a
generator says which kind it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from manifests.errors import UserError
from manifests.format.schema import NOISE_RECIPES
from manifests.reading.dataset import Dataset
from pipeline.annotation.annotations import Annotations
from pipeline.common.digests import content_seed
from pipeline.common.images import RgbImage
from pipeline.generators.trained_set import SINGLE, GeneratorSet, pair_name
from pipeline.synthesis.contact_sheets import people_sheet, translation_sheet, variations_sheet
from pipeline.synthesis.plan import Person, Sample, SynthesisSettings
from pipeline.training.randomness import random_generator


class TranslationSettings(SynthesisSettings):
    """Images of labelled people, restyled as a whole."""

    per_image: int = Field(1, ge=1, description="images for each source image; draws after the first crop and flip it")
    limit: int | None = Field(None, ge=1, description="use only the first N source images")

    selecting: ClassVar[frozenset[str]] = SynthesisSettings.selecting | {"per_image", "limit"}


class CameraSettings(TranslationSettings):
    """Images of labelled people as other cameras of the same place would show them."""

    cameras: list[int] | None = Field(None, description="target cameras; by default all that the generator knows")
    source_cameras: list[int] | None = Field(
        None, description="use only images by these cameras; by default all that the generator reads"
    )

    selecting: ClassVar[frozenset[str]] = TranslationSettings.selecting | {"cameras", "source_cameras"}


class PoseSettings(SynthesisSettings):
    """Images of labelled people in other poses."""

    poses: Literal["canonical", "data"] | None = Field(
        None, description="the generator's canonical poses (by default, if it has any), or poses of the source's images"
    )
    poses_per_image: int = Field(8, ge=1, description="with --poses data: poses drawn for each image")
    score_pose: bool = Field(True, description="look for the pose in what was made (quality.pose_error)")
    limit: int | None = Field(None, ge=1, description="use only the first N source images")

    selecting: ClassVar[frozenset[str]] = SynthesisSettings.selecting | {"poses", "poses_per_image", "limit"}


class PeopleSettings(SynthesisSettings):
    """Images of people who do not exist."""

    images: int = Field(1000, ge=1, description="images to make")

    selecting: ClassVar[frozenset[str]] = SynthesisSettings.selecting | {"images"}


@dataclass(frozen=True)
class PlanInputs:
    """What a kind may list samples from: the labelled people of the source, the generators, masks and poses."""

    source: str
    people: Sequence[Person]
    generators: GeneratorSet
    annotations: Annotations | None = None


def translations(inputs: PlanInputs, settings: TranslationSettings) -> Iterator[Sample]:
    """Every image, ``per_image`` times."""
    for person in inputs.people[: settings.limit]:
        yield from (Sample(draw, person) for draw in range(settings.per_image))


def camera_styles(inputs: PlanInputs, settings: CameraSettings) -> Iterator[Sample]:
    """Every image into every asked camera but its own, ``per_image`` times; by default of cameras that some generator
    reads.

    Raises:
        UserError: a camera that the generators do not know, or an image without one.
    """
    generators = inputs.generators
    targets = sorted(set(generators.cameras if settings.cameras is None else settings.cameras))
    unknown = sorted(set(targets) - set(generators.cameras))
    if unknown:
        known = ", ".join(map(str, generators.cameras))
        raise UserError(f"{generators.name} was not trained for camera {unknown[0]}; it knows {known}: see --cameras")
    for person in _by_cameras(_read_by(generators, inputs.people, settings), settings):
        if person.camera is None:
            raise UserError(f"image {person.image_sha256[:12]} of {inputs.source} has no camera to change the style of")
        for target in targets:
            if target != person.camera:
                member = _camera_member(generators, person.camera, target)
                for draw in range(settings.per_image):
                    yield Sample(draw, person, target_camera=target, generator=member)


def _read_by(generators: GeneratorSet, people: Sequence[Person], settings: CameraSettings) -> Sequence[Person]:
    """Those of ``people`` by cameras whose images some generator reads, unless others were asked for."""
    if settings.source_cameras is not None or not generators.pairs:
        return people
    read = {int(name.partition("->")[0]) for name in generators.members}
    return [person for person in people if person.camera is None or person.camera in read]


def _by_cameras(people: Sequence[Person], settings: CameraSettings) -> Sequence[Person]:
    wanted = settings.source_cameras
    return [person for person in people if wanted is None or person.camera in wanted][: settings.limit]


def _camera_member(generators: GeneratorSet, camera: int, target: int) -> str:
    if not generators.pairs:
        return SINGLE
    name = pair_name(camera, target)
    if name not in generators.members:
        raise UserError(
            f"{generators.name} has no generator for cameras {name}: train that pair, or leave the camera out with "
            "--source-cameras and --cameras"
        )
    return name


def other_poses(inputs: PlanInputs, settings: PoseSettings) -> Iterator[Sample]:
    """Every image in each of the canonical poses, or in ``poses_per_image`` poses of other images.

    A generator that reads no image (pix2pix makes people up out of a pose and a mask, as it saw them in training)
    gets each image's own pose and mask, once: that is what its image is of. Its row names whose they are only where it
    is labelled as theirs, by ``one_hot`` or ``lsr``.

    Raises:
        UserError: the generator has no canonical poses, or the source too few images of known pose.
    """
    generators, people = inputs.generators, inputs.people[: settings.limit]
    if "source" not in generators.recipe.inputs and settings.poses != "canonical":
        yield from (Sample(0, pose_of=donor) for donor in _donors(inputs, people))
    elif _draws_poses(settings, generators):
        yield from _drawn_poses(inputs, people, settings)
    elif not len(generators.canonical_poses):
        raise UserError(f"{generators.name} holds no canonical poses: take --poses data")
    else:
        for person in people:
            yield from (Sample(0, person, pose_class=number) for number in range(len(generators.canonical_poses)))


def _draws_poses(settings: PoseSettings, generators: GeneratorSet) -> bool:
    """Whether poses come from images of the source."""
    return settings.poses == "data" or (settings.poses is None and not len(generators.canonical_poses))


def _drawn_poses(inputs: PlanInputs, people: Sequence[Person], settings: PoseSettings) -> Iterator[Sample]:
    """Poses of other people first; those of the person's other images only where there are too few of others.

    An image's draws depend on the seed and itself, and the first N of N + 1 draws are the N draws.
    """
    donors = _donors(inputs, inputs.people)
    identities = np.array([donor.identity for donor in donors])
    images = np.array([donor.image_id for donor in donors])
    for person in people:
        rng = random_generator(content_seed("poses", settings.seed, person.image_id))
        own = identities == person.identity
        others = rng.permutation(np.flatnonzero(~own))
        same = rng.permutation(np.flatnonzero(own & (images != person.image_id)))
        drawn = np.concatenate([others, same])[: settings.poses_per_image]
        if len(drawn) < settings.poses_per_image:
            raise UserError(f"{inputs.source} has {len(drawn)} other poses for an image: lower --poses-per-image")
        yield from (Sample(0, person, pose_of=donors[index]) for index in drawn)


def _donors(inputs: PlanInputs, people: Sequence[Person]) -> list[Person]:
    """Those of ``people`` whose pose is known; with their mask, where the generator reads one."""
    if inputs.annotations is None:
        raise UserError(f"poses of {inputs.source} are asked for: name its annotations with --annotations")
    wanted = ("keypoints", "mask") if "mask" in inputs.generators.recipe.inputs else ("keypoints",)
    return [person for person in people if inputs.annotations.holds(person.image_sha256, *wanted)]


def random_people(inputs: PlanInputs, settings: PeopleSettings) -> Iterator[Sample]:
    """``images`` images of nobody; the conditions that the generator takes are dealt evenly."""
    generators = inputs.generators
    cameras = generators.cameras if "camera" in generators.recipe.inputs else (None,)
    classes = range(len(generators.canonical_poses)) if "pose_class" in generators.recipe.inputs else (None,)
    for draw in range(settings.images):
        turn, place = divmod(draw, len(cameras))
        yield Sample(draw, target_camera=cameras[place], pose_class=classes[turn % len(classes)])


@dataclass(frozen=True)
class Kind:
    """One gap: the job that closes it, the recipes for it, its settings, and how its samples are listed."""

    job: str
    recipes: tuple[str, ...]
    settings: type[SynthesisSettings]
    samples: Callable[[PlanInputs, Any], Iterator[Sample]]
    annotated: Callable[[Sequence[Person], Any, GeneratorSet], Sequence[Person]]
    """Whose masks and poses must be known: what scores compare, and where poses are drawn from."""
    sheet: Callable[[Dataset, Dataset], RgbImage]
    """Draws the contact sheet of a finished data set, given that and its source."""


TRANSLATION = Kind(
    "synthesize_duke_style.py",
    ("cyclegan", "ptgan", "spgan", "reinhard", "colour_jitter"),
    TranslationSettings,
    translations,
    annotated=lambda people, settings, _: people[: settings.limit],
    sheet=translation_sheet,
)
CAMERAS = Kind(
    "synthesize_camera_styles.py",
    ("camstyle", "camstyle_multidomain", "pix2pix_cameras", "reinhard_cameras", "colour_jitter_cameras"),
    CameraSettings,
    camera_styles,
    annotated=lambda people, settings, _: _by_cameras(people, settings),
    sheet=variations_sheet,
)
POSES = Kind(
    "synthesize_canonical_poses.py",
    ("pngan", "pix2pix"),
    PoseSettings,
    other_poses,
    annotated=lambda people, settings, generators: people if _draws_poses(settings, generators) else (),
    sheet=variations_sheet,
)
PEOPLE = Kind(
    "synthesize_random_people.py",
    NOISE_RECIPES,
    PeopleSettings,
    random_people,
    annotated=lambda people, settings, _: (),
    sheet=people_sheet,
)
KINDS = (TRANSLATION, CAMERAS, POSES, PEOPLE)


def kind_of(settings: SynthesisSettings) -> Kind:
    """The kind that these settings are for."""
    return next(kind for kind in KINDS if type(settings) is kind.settings)


def check_kind(generators: GeneratorSet, kind: Kind) -> None:
    """Refuse generators of another kind, naming the job that they are for.

    Raises:
        UserError: they are of another kind, or one pair of cameras out of its folder.
    """
    recipe = generators.recipe.name
    if recipe not in kind.recipes:
        fitting = next((f"run jobs/{one.job}" for one in KINDS if recipe in one.recipes), "no job takes it")
        taken = " or ".join(kind.recipes)
        raise UserError(f"{generators.name} is a {recipe} generator, jobs/{kind.job} takes {taken}: {fitting}")
    if recipe == "camstyle" and not generators.pairs:
        raise UserError(f"{generators.name} is one pair of cameras: name the folder that holds camstyle.json")
