"""Each labelled image as the other cameras of its place would show it: the camera gap closed.

python jobs/synthesize_camera_styles.py --source runs/a --generator runs/camstyle --output runs/a-cameras
python jobs/synthesize_camera_styles.py --source runs/a --generator runs/camstyle --cameras 3,6 --output runs/a-3-6

Generators: the folder of a camstyle training (one generator for each pair of cameras), or camstyle_multidomain or
personflow.
"""

from __future__ import annotations

if __name__ == "__main__":
    import _start  # noqa: F401

from pipeline.common.settings import run_job
from pipeline.synthesize import CameraStylesSettings as Settings
from pipeline.synthesize import run

if __name__ == "__main__":
    run_job(Settings, run)
