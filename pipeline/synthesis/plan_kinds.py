"""What a synthesis makes, by the gap that it closes: other domains, other cameras, other poses, more people.

Each kind has its settings, a function that lists its samples, and a contact sheet that shows them; the recipe of a
generator says which kind it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from manifests.errors import UserError
from manifests.format.schema import ANY_RECIPES, NOISE_RECIPES
from manifests.reading.dataset import Dataset
from pipeline.annotation.annotated_images import AnnotatedImages
from pipeline.common.digests import content_seed
from pipeline.common.images import RgbImage
from pipeline.generators.trained_set import SINGLE, GeneratorSet, pair_name
from pipeline.synthesis.contact_sheets import people_sheet, translation_sheet, variations_sheet
from pipeline.synthesis.people import NOBODY, People
from pipeline.synthesis.plan import SynthesisSettings
from pipeline.synthesis.samples import Asked, Numbers, Samples, asked
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
    people: People
    generators: GeneratorSet
    annotations: AnnotatedImages | None = None

    def samples(self, shape: Sequence[int], columns: Callable[..., Asked], people: People | None = None) -> Samples:
        """A sample for each cell of a grid of this ``shape``: ``columns`` takes the numbers of its cells along each
        axis."""
        grid = tuple(shape)
        members = tuple(sorted(self.generators.members))
        listed = self.people if people is None else people
        return Samples(listed, members, math.prod(grid), lambda numbers: columns(*np.unravel_index(numbers, grid)))


def pastes(settings: SynthesisSettings, generators: GeneratorSet) -> bool:
    """Whether people are put before other backgrounds, for which their masks have to be known."""
    elsewhere = not isinstance(settings, CameraSettings)
    return isinstance(settings, TranslationSettings) and generators.recipe.asked(settings.generation).pastes(elsewhere)


def moves_people(settings: SynthesisSettings, generators: GeneratorSet) -> bool:
    """Whether people are moved joint by joint, for which the poses of their images have to be known."""
    return isinstance(settings, PoseSettings) and generators.recipe.moves_joints


def translations(inputs: PlanInputs, settings: TranslationSettings) -> Samples:
    """Every image, ``per_image`` times."""
    people = _cut_out(inputs, settings, inputs.people)[: settings.limit]
    return inputs.samples((len(people), settings.per_image), lambda person, draw: asked(draw, content=person), people)


def camera_styles(inputs: PlanInputs, settings: CameraSettings) -> Samples:
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
    people = _by_cameras(_cut_out(inputs, settings, _read_by(generators, inputs.people, settings)), settings)
    without = np.flatnonzero(people.cameras == NOBODY)
    if len(without):
        digest = people[int(without[0])].image_sha256
        raise UserError(f"image {digest[:12]} of {inputs.source} has no camera to change the style of")
    own = np.unique(people.cameras)
    members = _camera_members(generators, own.tolist(), targets)

    def columns(person: Numbers, target: Numbers, draw: Numbers) -> Asked:
        member = members[np.searchsorted(own, people.cameras[person]), target]
        return asked(draw, content=person, target_camera=np.array(targets)[target], generator=member)

    return inputs.samples((len(people), len(targets), settings.per_image), columns, people)


def _cut_out(inputs: PlanInputs, settings: TranslationSettings, people: People) -> People:
    """Those of ``people`` whose mask is known, where they are put before other backgrounds."""
    if inputs.annotations is None or not pastes(settings, inputs.generators):
        return people
    return people.take(np.flatnonzero(inputs.annotations.holding(people.rows.column("image_sha256"), "mask")))


def _read_by(generators: GeneratorSet, people: People, settings: CameraSettings) -> People:
    """Those of ``people`` by cameras whose images some generator reads, unless others were asked for."""
    if settings.source_cameras is not None or not generators.pairs:
        return people
    read = {int(name.partition("->")[0]) for name in generators.members}
    return people.take(np.flatnonzero(np.isin(people.cameras, [*read, NOBODY])))


def _by_cameras(people: People, settings: CameraSettings) -> People:
    wanted = settings.source_cameras
    chosen = people if wanted is None else people.take(np.flatnonzero(np.isin(people.cameras, wanted)))
    return chosen[: settings.limit]


def _camera_members(generators: GeneratorSet, own: Sequence[int], targets: Sequence[int]) -> Numbers:
    """``(len(own), len(targets))``: which generator leads from one camera to another; `NOBODY` from one to itself."""
    places = {name: place for place, name in enumerate(sorted(generators.members))}
    members = np.full((len(own), len(targets)), NOBODY)
    for at in product(range(len(own)), range(len(targets))):
        camera, target = own[at[0]], targets[at[1]]
        name = pair_name(camera, target) if generators.pairs else SINGLE
        if camera != target and name not in places:
            raise UserError(
                f"{generators.name} has no generator for cameras {name}: train that pair, or leave the camera out with "
                "--source-cameras and --cameras"
            )
        members[at] = NOBODY if camera == target else places[name]
    return members


def other_poses(inputs: PlanInputs, settings: PoseSettings) -> Samples:
    """Every image in each of the canonical poses, or in ``poses_per_image`` poses of other images.

    A generator that reads no image (pix2pix makes people up out of a pose and a mask, as it saw them in training)
    gets each image's own pose and mask, once: that is what its image is of. Its row names whose they are only where it
    is labelled as theirs, by ``one_hot`` or ``lsr``.

    One that moves joints gets the images whose own pose is known.

    Raises:
        UserError: the generator has no canonical poses, or the source too few images of known pose.
    """
    generators = inputs.generators
    if generators.recipe.moves_joints and inputs.annotations is not None:
        inputs = replace(inputs, people=inputs.people.take(_donors(inputs, inputs.people)))
    people, poses = inputs.people[: settings.limit], len(generators.canonical_poses)
    if "source" not in generators.recipe.inputs and settings.poses != "canonical":
        donors = people.take(_donors(inputs, people))
        return inputs.samples((len(donors),), lambda donor: asked(np.zeros_like(donor), pose_of=donor), donors)
    if _draws_poses(settings, generators):
        drawn = _drawn_poses(inputs, people, settings)
        return inputs.samples(
            drawn.shape, lambda person, at: asked(np.zeros_like(at), content=person, pose_of=drawn[person, at])
        )
    if not poses:
        raise UserError(f"{generators.name} holds no canonical poses: take --poses data")
    return inputs.samples(
        (len(people), poses), lambda person, pose: asked(np.zeros_like(pose), content=person, pose_class=pose), people
    )


def _posed(people: People, settings: PoseSettings, generators: GeneratorSet) -> People:
    """Those of ``people`` whose poses have to be known."""
    if _draws_poses(settings, generators):
        return people
    return people[: settings.limit] if generators.recipe.moves_joints else people[:0]


def _draws_poses(settings: PoseSettings, generators: GeneratorSet) -> bool:
    """Whether poses come from images of the source."""
    return settings.poses == "data" or (settings.poses is None and not len(generators.canonical_poses))


def _drawn_poses(inputs: PlanInputs, people: People, settings: PoseSettings) -> NDArray[np.int32]:
    """``(len(people), poses_per_image)``: places of images of the source; ``people`` are the first of them.

    Poses of other people come first; those of the person's other images only where there are too few of others. An
    image's draws depend on the seed and itself, and the first N of N + 1 draws are the N draws.
    """
    donors = _donors(inputs, inputs.people)
    ranks, wanted = inputs.people.ranks, settings.poses_per_image
    by_person = np.argsort(ranks[donors], kind="stable")
    ends = np.searchsorted(ranks[donors][by_person], np.arange(len(inputs.people.identities) + 1))
    drawn = np.empty((len(people), wanted), np.int32)
    for place, image_id in enumerate(people.rows.column("image_id").to_pylist()):
        rng = random_generator(content_seed("poses", settings.seed, image_id))
        own = by_person[slice(*ends[ranks[place] : ranks[place] + 2])]
        others = _drawn(rng, len(donors) - len(own), wanted)
        others += np.searchsorted(own - np.arange(len(own)), others, side="right")  # counted past the own ones
        found = donors[others]
        if len(found) < wanted:
            same = donors[own]
            found = np.append(found, rng.permutation(same[same != place]))[:wanted]
        if len(found) < wanted:
            raise UserError(f"{inputs.source} has {len(found)} other poses for an image: lower --poses-per-image")
        drawn[place] = found
    return drawn


def _drawn(rng: np.random.Generator, count: int, wanted: int) -> Numbers:
    """The first ``wanted`` of the numbers below ``count`` in a random order (Fisher and Yates), of which no more is
    made: it is for each image."""
    moved: dict[int, int] = {}
    drawn = np.empty(min(wanted, count), np.int64)
    for place in range(len(drawn)):
        other = int(rng.integers(place, count))
        drawn[place] = moved.get(other, other)
        moved[other] = moved.get(place, place)
    return drawn


def _donors(inputs: PlanInputs, people: People) -> Numbers:
    """Places of those of ``people`` whose pose is known; with their mask, where the generator reads one."""
    if inputs.annotations is None:
        raise UserError(f"poses of {inputs.source} are asked for: name its annotations with --annotations")
    wanted = ("keypoints", "mask") if "mask" in inputs.generators.recipe.inputs else ("keypoints",)
    return np.flatnonzero(inputs.annotations.holding(people.rows.column("image_sha256"), *wanted))


def random_people(inputs: PlanInputs, settings: PeopleSettings) -> Samples:
    """``images`` images of nobody; the conditions that the generator takes are dealt evenly."""
    generators = inputs.generators
    cameras = np.array(generators.cameras if "camera" in generators.recipe.inputs else (NOBODY,))
    classes = len(generators.canonical_poses) if "pose_class" in generators.recipe.inputs else None

    def columns(draw: Numbers) -> Asked:
        turn, place = np.divmod(draw, len(cameras))
        pose_class = NOBODY if classes is None else turn % classes
        return asked(draw, target_camera=cameras[place], pose_class=pose_class)

    return inputs.samples((settings.images,), columns)


@dataclass(frozen=True)
class Kind:
    """One gap: the job that closes it, the recipes for it, its settings, and how its samples are listed."""

    name: str
    job: str
    recipes: tuple[str, ...]
    settings: type[SynthesisSettings]
    samples: Callable[[PlanInputs, Any], Samples]
    annotated: Callable[[People, Any, GeneratorSet], People]
    """Whose masks and poses must be known: what scores compare, and where poses are drawn from."""
    sheet: Callable[[Dataset, Dataset], RgbImage]
    """Draws the contact sheet of a finished data set, given that and its source."""
    label_rule: str | None = None
    """Default rule of its rows, where that is not the recipe's."""


TRANSLATION = Kind(
    "domains",
    "synthesize_duke_style.py",
    ("cyclegan", "ptgan", "spgan", "personflow", "reinhard", "colour_jitter", "pasted"),
    TranslationSettings,
    translations,
    annotated=lambda people, settings, _: people[: settings.limit],
    sheet=translation_sheet,
)
CAMERAS = Kind(
    "cameras",
    "synthesize_camera_styles.py",
    (
        *("camstyle", "camstyle_multidomain", "pix2pix_cameras", "personflow"),
        *("reinhard_cameras", "colour_jitter_cameras", "pasted_cameras"),
    ),
    CameraSettings,
    camera_styles,
    annotated=lambda people, settings, _: _by_cameras(people, settings),
    sheet=variations_sheet,
)
POSES = Kind(
    "poses",
    "synthesize_canonical_poses.py",
    ("pngan", "pix2pix", "personflow", "part_warp"),
    PoseSettings,
    other_poses,
    annotated=_posed,
    sheet=variations_sheet,
)
PEOPLE = Kind(
    "people",
    "synthesize_random_people.py",
    (*NOISE_RECIPES, *ANY_RECIPES),
    PeopleSettings,
    random_people,
    annotated=lambda people, settings, _: people[:0],
    sheet=people_sheet,
    label_rule="lsro",
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
    if kind is TRANSLATION and getattr(generators.recipe.settings, "target_cameras", None) == ():
        raise UserError(f"{generators.name} knows no other place: train it with --target URI too")
    itself_share = getattr(generators.recipe.settings, "itself_share", None)
    if kind is POSES and itself_share == 1:
        raise UserError(f"{generators.name} has learned no poses: train it with an --itself-share below 1")
    # Another place may be asked for: its images are always their own reference.
    if kind is CAMERAS and itself_share == 0:
        raise UserError(f"{generators.name} has learned no other cameras: train it with an --itself-share above 0")
    if recipe == "camstyle" and not generators.pairs:
        raise UserError(f"{generators.name} is one pair of cameras: name the folder that holds camstyle.json")
