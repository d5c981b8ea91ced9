"""What a synthesis is told: the settings of all its kinds. They import no torch, so that help comes at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from pipeline.cluster.session import ClusterSettings
from pipeline.common.settings import Advanced, Input, Needed, Output, Run
from pipeline.synthesis.lineage_sending import LineageSettings
from pipeline.synthesis.plan import SynthesisSettings
from pipeline.synthesis.plan_kinds import Kind

DEMO = Path("runs/demo")
OutputUri = Output[Annotated[str, Field(description="URI of the data set to write")]]
Meanwhile = Callable[[], object] | None
Sources = Callable[[Path, Meanwhile], tuple[str, str | None]]


class SynthesisJobSettings(SynthesisSettings, ClusterSettings, LineageSettings):
    """What all synthesis jobs are told beside what they make; each adds its own."""

    kind: ClassVar[Kind]
    """What they make; its settings are among theirs."""

    source: Needed[Input[str | None]] = Field(None, description="URI of the labelled source manifest")
    generator: Needed[Input[str | None]] = Field(None, description="what train_generator.py wrote, or a shipped name")
    output: OutputUri
    shard_size: int = Field(256, ge=1, description="rows in a shard: the unit of commit and of resume; 1000 at scale")
    device: Run[str] = Field("cpu", pattern="^(cpu|cuda)$", description="where the models run")
    dry_run: Run[bool] = Field(False, description="print the plan (samples, shards, estimated size) and make nothing")

    def target_uri(self) -> str | None:
        """The domain whose style is measured against, where one is named."""
        return None

    def embedded(self) -> Sources | None:
        """What makes the source and target that stand in, below a folder, where no source is named; it calls what is
        to be done meanwhile if other processes make them."""
        return None

    def of_kind(self) -> SynthesisSettings:
        """Those of the kind."""
        return self.part(self.kind.settings)


class AnnotatedJobSettings(SynthesisJobSettings):
    """The same for jobs that look at masks and poses of the source."""

    annotations: Input[str | None] = Field(
        None, description="URI of the source's annotations; what they lack is added; by default made beside output"
    )
    segmenter: Advanced[Input[str]] = Field(
        "sam_tiny", description="Segment Anything checkpoint for images without annotation"
    )
    pose: Advanced[Input[str]] = Field(
        "pose_tiny", description="mmpose checkpoint for images without annotation, and for scores"
    )
