"""Measures a ReID model on queries and galleries: rank-1, 5 and 10, mAP, mINP.

python jobs/evaluate_reid.py --model runs/reid --eval runs/market --eval runs/ours
python jobs/evaluate_reid.py --model runs/reid --eval runs/market --lmp --rerank --json found.json
python jobs/evaluate_reid.py --model runs/reid --pose-model runs/reid-poses --eval runs/market --poses runs/market-poses
python jobs/evaluate_reid.py --model runs/reid --eval runs/ours --adapt-norm runs/ours

A model is the output of jobs/train_reid.py, or a shipped one by name.
"""

from __future__ import annotations

from pathlib import Path

if __name__ == "__main__":
    import _start  # noqa: F401

from pydantic import ConfigDict, Field

from manifests.common.json_text import write_json
from manifests.errors import UserError
from manifests.reading.inputs import open_input
from pipeline.common.devices import Device, Threads, check_device, use_threads
from pipeline.common.settings import Advanced, Output, run_job
from pipeline.reid.data import with_queries
from pipeline.reid.evaluation import Retrieval, said_of
from pipeline.reid.model import ReidModel, load_reid
from pipeline.reid.norm import Adapted, Split, adapt_to
from pipeline.reid.retrieval import Measured, RetrievalSettings, measure_on


class Settings(RetrievalSettings):
    """Measure a ReID model on the query and gallery splits of source manifests."""

    group = "input"
    model_config = ConfigDict(populate_by_name=True)  # a field may not be called json, a flag may

    model: str = Field(description="folder of a training, weights file, or a shipped model's name")
    eval: list[str] = Field(min_length=1, description="URI of a source manifest with queries and gallery; repeatable")
    pose_model: Advanced[str | None] = Field(
        default=None, description="with --poses: model for those; by default --model"
    )
    adapt_norm: str | None = Field(
        default=None,
        description="URI of a source manifest on whose images the batch norms of --model take their statistics anew, "
        "without labels (AdaBN); --pose-model keeps its own",
    )
    adapt_splits: Advanced[list[Split]] = Field(
        default=["train"], min_length=1, description="with --adapt-norm: of which splits"
    )
    json_file: Output[Path | None] = Field(default=None, alias="json", description="file for the result, for programs")
    device: Device = Field(default="cpu", description="cpu, cuda or cuda:N")
    threads: Threads = None


def main(settings: Settings) -> int:
    """Measure on each data set, print a line for each, write JSON if asked."""
    use_threads(settings.threads)
    check_settings(settings)
    model, adapted = load_reid(settings.model, settings.device), None
    if settings.adapt_norm is not None:
        adapted = adapt_to(model, settings.adapt_norm, tuple(settings.adapt_splits))
        model = adapted.model
        print(f"batch norms: statistics of {adapted.images} images of {adapted.uri}", flush=True)
    pose_model = load_reid(settings.pose_model, settings.device) if settings.pose_model else None
    if settings.count_same_camera:
        print("images by the query's own camera are answers too: compare with figures counted so", flush=True)
    found = []
    for uri in settings.eval:
        found.append(measure_on(uri, model, settings, pose_model))
        print(line(found[-1]), flush=True)
    if settings.json_file is not None:
        write_results(settings.json_file, settings, (model, pose_model), found, adapted)
    return 0


def check_settings(settings: Settings) -> None:
    """What would else be found out after hours of work.

    Raises:
        UserError: a data set or a GPU that is not there, a file that cannot be written, a flag that would be ignored.
    """
    check_device(settings.device)
    file = settings.json_file
    if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
        raise UserError(f"--json {file}: name a file in a folder that exists")
    if settings.pose_model and not settings.poses:
        raise UserError("--pose-model reads generated poses: name them with --poses")
    for uri in settings.eval:
        with_queries(uri, "--eval", settings.count_same_camera)
    if settings.poses:
        open_input(settings.poses, "synthetic", flag="--poses")
    if settings.adapt_norm:
        open_input(settings.adapt_norm, "source", flag="--adapt-norm")
    elif settings.adapt_splits != ["train"]:
        raise UserError("--adapt-splits are those of --adapt-norm: name it")


def line(found: Measured) -> str:
    """The result for people."""
    text = f"{found.uri}: {shares(found.retrieval)}; {found.retrieval.queries} queries in {found.gallery} images"
    if found.left_out:
        text += f"; without an answer and left out: {said_of(found.left_out)}"
    if found.without_poses:
        text += f"; {found.without_poses} images lacked poses, their own feature stood in"
    if found.distractors_without_poses:
        text += f"; {found.distractors_without_poses} distractors have no poses, which tells them from people"
    for name, control in found.controls.items():
        text += f"\n  without a generated image, {_words(name)}: {shares(control)}"
    for name, retrieval in found.people_alone.items():
        text += f"\n  without distractors, {_words(name)}: {shares(retrieval)}"
    return text


def _words(name: str) -> str:
    return name.replace("_", " ")


def shares(retrieval: Retrieval) -> str:
    """All of them, in percent."""
    names = {"rank-1": "rank1", "rank-5": "rank5", "rank-10": "rank10", "mAP": "mean_ap", "mINP": "mean_inp"}
    return ", ".join(f"{name} {getattr(retrieval, field):.2%}" for name, field in names.items())


def write_results(
    path: Path,
    settings: Settings,
    models: tuple[ReidModel, ReidModel | None],
    found: list[Measured],
    adapted: Adapted | None,
) -> None:
    """All results with what they were measured with; the file appears whole or not at all.

    ``models`` are that of the images and that of their poses.
    """
    model, pose_model = models
    chosen = settings.model_dump(mode="json", exclude={"json_file", "eval", "threads"})
    content = {"model_sha256": model.sha256, "settings": chosen, "results": [one.as_dict() for one in found]}
    if pose_model is not None:
        content["pose_model_sha256"] = pose_model.sha256
    if settings.poses is not None:
        content["poses_sha256"] = open_input(settings.poses, "synthetic").digest()
    if adapted is not None:
        content["adapted"] = {"manifest_sha256": adapted.manifest_sha256, "images": adapted.images}
    write_json(path, content)


if __name__ == "__main__":
    run_job(Settings, main)
