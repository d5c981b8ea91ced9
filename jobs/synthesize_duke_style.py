"""The images of a labelled domain A in the style of an unlabelled domain B, with A's labels.

python jobs/synthesize_duke_style.py                      # the embedded default, into runs/demo/dataset
python jobs/synthesize_duke_style.py --source runs/a --target runs/b --generator runs/ptgan --output runs/a-as-b
"""

from __future__ import annotations

if __name__ == "__main__":
    import _start  # noqa: F401

from pydantic import Field, model_validator

from pipeline.cluster.embedded_default import prepare_embedded_sources
from pipeline.cluster.synthesis_job import DEMO, AnnotatedJobSettings, OutputUri, run_synthesis_job
from pipeline.common.settings import Input, run_job
from pipeline.synthesis.plan_kinds import TRANSLATION, TranslationSettings


class Settings(AnnotatedJobSettings, TranslationSettings):
    """Make the images of a labelled source domain in the style of an unlabelled target domain, labels kept."""

    source: str | None = Field(None, description="URI of the labelled source manifest; without it, the toy world")
    target: Input[str | None] = Field(
        None, description="URI of the target's manifest: its style is what is measured against"
    )
    generator: str = Field(
        "ptgan_market_like_to_duke_like", description="shipped name, or what train_generator.py wrote"
    )
    output: OutputUri = str(DEMO / "dataset")

    @model_validator(mode="after")
    def _source_and_target(self) -> Settings:
        if self.target is not None and self.source is None:
            raise ValueError("--target without --source: name both, or neither for the embedded default")
        return self


def main(settings: Settings) -> None:
    run_synthesis_job(TRANSLATION, settings, target=settings.target, embedded=prepare_embedded_sources)


if __name__ == "__main__":
    run_job(Settings, main)
