"""Each labelled image as the other cameras of its place would show it: the camera gap closed.

python jobs/synthesize_camera_styles.py --source runs/a --generator runs/camstyle --output runs/a-cameras
python jobs/synthesize_camera_styles.py --source runs/a --generator runs/camstyle --cameras 3,6 --output runs/a-3-6

Generators: the folder of a camstyle training (one generator for each pair of cameras), or camstyle_multidomain.
"""

from __future__ import annotations

if __name__ == "__main__":
    import _start  # noqa: F401

from pydantic import Field

from pipeline.cluster.synthesis_job import AnnotatedJobSettings, run_synthesis_job
from pipeline.common.settings import run_job
from pipeline.synthesis.kinds import CAMERAS, CameraSettings
from pipeline.synthesis.sheets import variations_sheet


class Settings(AnnotatedJobSettings, CameraSettings):
    """Make each image of a labelled source as its other cameras would show it, labels kept."""

    output: str = Field("runs/camera-styles", description="URI of the data set to write")


def main(settings: Settings) -> None:
    run_synthesis_job(settings, CAMERAS, variations_sheet)


if __name__ == "__main__":
    run_job(Settings, main)
