"""What every job begins with: the packages of its own checkout, and an end in one line where a signal comes early.

A job run as a script finds this file beside itself. What it imports next takes seconds.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from manifests.common.stopping import stop_quietly

stop_quietly()
