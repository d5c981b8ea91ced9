"""People who do not exist, made from noise: more training images, labelled over a labelled source's people.

python jobs/synthesize_random_people.py --source runs/a --generator runs/gan_lsro --images 24000 --output runs/more

Generators: gan_lsro (anyone), cgan and personflow (anyone, as each camera sees them in turn). Labels are uniform (LSRO)
unless --label-rule teacher or mprl asks a ReID classifier (--teacher) whom the images resemble.
"""

from __future__ import annotations

if __name__ == "__main__":
    import _start  # noqa: F401

from pipeline.common.settings import run_job
from pipeline.synthesize import RandomPeopleSettings as Settings
from pipeline.synthesize import run

if __name__ == "__main__":
    run_job(Settings, run)
