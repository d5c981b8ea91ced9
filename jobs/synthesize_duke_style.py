"""The images of a labelled domain A in the style of an unlabelled domain B, with A's labels.

python jobs/synthesize_duke_style.py                      # the embedded default, into runs/demo/dataset
python jobs/synthesize_duke_style.py --source runs/a --target runs/b --generator runs/ptgan --output runs/a-as-b
"""

from __future__ import annotations

if __name__ == "__main__":
    import _start  # noqa: F401

from pipeline.common.settings import run_job
from pipeline.synthesize import DukeStyleSettings as Settings
from pipeline.synthesize import run

if __name__ == "__main__":
    run_job(Settings, run)
