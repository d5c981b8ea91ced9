"""Each labelled person in other poses: the canonical ones of the generator, or poses of other images.

python jobs/synthesize_canonical_poses.py --source runs/a --generator runs/pngan --output runs/a-poses
python jobs/synthesize_canonical_poses.py --source runs/a --generator runs/pngan --poses data --output runs/a-poses

Generators: pngan, personflow, part_warp; pix2pix, which reads no image and makes its people up out of each image's own
pose and mask.
"""

from __future__ import annotations

if __name__ == "__main__":
    import _start  # noqa: F401

from pipeline.common.settings import run_job
from pipeline.synthesize import CanonicalPosesSettings as Settings
from pipeline.synthesize import run

if __name__ == "__main__":
    run_job(Settings, run)
