"""Each labelled image as the other cameras of its place would show it: the camera gap closed.

python jobs/synthesize_camera_styles.py --source runs/a --generator runs/camstyle --output runs/a-cameras
python jobs/synthesize_camera_styles.py --source runs/a --generator runs/camstyle --cameras 3,6 --output runs/a-3-6

Generators: the folder of a camstyle training (one generator for each pair of cameras), or camstyle_multidomain.
"""

from __future__ import annotations

from functools import partial

if __name__ == "__main__":
    import _start  # noqa: F401

from pipeline.cluster.synthesis_job import AnnotatedJobSettings, OutputUri, run_synthesis_job
from pipeline.common.settings import run_job
from pipeline.synthesis.plan_kinds import CAMERAS, CameraSettings


class Settings(AnnotatedJobSettings, CameraSettings):
    """Make each image of a labelled source as its other cameras would show it, labels kept."""

    output: OutputUri = "runs/camera-styles"


if __name__ == "__main__":
    run_job(Settings, partial(run_synthesis_job, CAMERAS))
