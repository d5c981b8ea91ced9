"""Synthetic data sets from Python: a function for each job that synthesizes, with the job's settings.

    from pipeline import synthesize

    data = synthesize.duke_style("runs/market", "runs/ours", generator="runs/ptgan", output="runs/market-as-ours")

Each returns the data set, opened: made anew, taken up where it was stopped, or as it lies there complete. ``settings``
are all others of the job (``python jobs/synthesize_duke_style.py --help``), by their names: ``per_image=2``. The same
settings make the same plan and bytes as the command, on Ray or, with ``ray=False``, in this process.

Raises:
    UserError: a setting that is unknown, missing or no such value, an input that does not do, an output that holds
        something else, or nothing was made: one line.
"""

from __future__ import annotations

import gc
import re
from typing import Any, ClassVar, TypeVar

from pydantic import Field, ValidationError, model_validator

from manifests.common.stopping import stop_between_steps
from manifests.errors import UserError
from manifests.reading.dataset import Dataset
from pipeline.cluster.embedded_default import prepare_embedded_sources
from pipeline.cluster.synthesis_settings import (
    DEMO,
    AnnotatedJobSettings,
    OutputUri,
    Sources,
    SynthesisJobSettings,
)
from pipeline.common.known import check_known
from pipeline.common.settings import Input, faults
from pipeline.synthesis.plan_kinds import (
    CAMERAS,
    PEOPLE,
    POSES,
    TRANSLATION,
    CameraSettings,
    PeopleSettings,
    PoseSettings,
    TranslationSettings,
)

__all__ = ["camera_styles", "canonical_poses", "duke_style", "random_people"]

_SettingsT = TypeVar("_SettingsT", bound=SynthesisJobSettings)


class DukeStyleSettings(AnnotatedJobSettings, TranslationSettings):
    """Make the images of a labelled source domain in the style of an unlabelled target domain, labels kept."""

    source: str | None = Field(None, description="URI of the labelled source manifest; without it, the toy world")
    target: Input[str | None] = Field(
        None, description="URI of the target's manifest: its style is what is measured against"
    )
    generator: str = Field(
        "personflow_market_like_to_duke_like", description="shipped name, or what train_generator.py wrote"
    )
    output: OutputUri = str(DEMO / "dataset")

    kind: ClassVar = TRANSLATION

    @model_validator(mode="after")
    def _source_and_target(self) -> DukeStyleSettings:
        if self.target is not None and self.source is None:
            raise ValueError("--target without --source: name both, or neither for the embedded default")
        return self

    def target_uri(self) -> str | None:
        return self.target

    def embedded(self) -> Sources:
        return prepare_embedded_sources


class CameraStylesSettings(AnnotatedJobSettings, CameraSettings):
    """Make each image of a labelled source as its other cameras would show it, labels kept."""

    output: OutputUri = "runs/camera-styles"

    kind: ClassVar = CAMERAS


class CanonicalPosesSettings(AnnotatedJobSettings, PoseSettings):
    """Make each person of a labelled source in other poses, labels kept."""

    output: OutputUri = "runs/canonical-poses"

    kind: ClassVar = POSES


class RandomPeopleSettings(SynthesisJobSettings, PeopleSettings):
    """Make images of people who do not exist, with labels over the people of a labelled source."""

    output: OutputUri = "runs/random-people"

    kind: ClassVar = PEOPLE


def duke_style(
    source: str | None = None, target: str | None = None, *, output: str, ray: bool = True, **settings: Any
) -> Dataset:
    """The images of ``source``, a labelled domain, in the style of ``target``, an unlabelled one, with their labels.

    ``generator`` is by default the shipped one, and without a source the toy world's two domains stand in.
    """
    return _made(DukeStyleSettings, ray, {"source": source, "target": target, "output": output, **settings})


def camera_styles(source: str, *, generator: str, output: str, ray: bool = True, **settings: Any) -> Dataset:
    """Each labelled image of ``source`` as the other cameras of its place would show it."""
    return _made(CameraStylesSettings, ray, {"source": source, "generator": generator, "output": output, **settings})


def canonical_poses(source: str, *, generator: str, output: str, ray: bool = True, **settings: Any) -> Dataset:
    """Each labelled person of ``source`` in other poses: the generator's canonical ones, or those of other images."""
    return _made(CanonicalPosesSettings, ray, {"source": source, "generator": generator, "output": output, **settings})


def random_people(source: str, *, generator: str, output: str, ray: bool = True, **settings: Any) -> Dataset:
    """``images`` people who do not exist, labelled over the people of ``source``."""
    return _made(RandomPeopleSettings, ray, {"source": source, "generator": generator, "output": output, **settings})


def run(settings: SynthesisJobSettings) -> None:
    """The job of these settings, as ``jobs/`` run it: `pipeline.cluster.synthesis_job.run_synthesis_job`."""
    with stop_between_steps() as stop:  # some modules ignore what a signal raises while they are imported
        gc.disable()  # a sixth of the time
        from pipeline.cluster.synthesis_job import run_synthesis_job

        gc.enable()
        stop.check()
    run_synthesis_job(settings)


def _made(model: type[_SettingsT], ray: bool, given: dict[str, Any]) -> Dataset:
    from pipeline.cluster.synthesis_job import make_data_set

    check_known("setting", given, sorted(model.model_fields))
    try:
        settings = model(**given)
    except ValidationError as error:
        raise UserError(_in_python(faults(error))) from None
    if settings.dry_run:
        raise UserError("dry_run makes no data set to return: ask the command, with --dry-run")
    if not ray and (settings.workers or settings.ray_address):
        raise UserError("workers and ray_address are those of Ray: leave them out, or ray=False")
    return make_data_set(settings, ray=ray)


def _in_python(said: str) -> str:
    """``--per-image`` is ``per_image`` here."""
    return re.sub(r"--([a-z][a-z-]*)", lambda flag: flag[1].replace("-", "_"), said)
