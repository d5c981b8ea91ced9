"""A job from its command line to its exit status."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel

from manifests.common.stopping import report_stop, stop_raises
from manifests.errors import UserError
from pipeline.common.settings.model import SettingsT
from pipeline.common.settings.reading import parse_settings


def run_job(model: type[SettingsT], main: Callable[[SettingsT], int | None]) -> None:
    """Parse ``sys.argv``, print the settings that are no defaults, run ``main`` and exit with its status.

    The program is named as ``sys.argv[0]`` names it, a script as one types it (``python jobs/X.py``); the examples of
    its help are those of the main module's docstring. A `UserError`
    becomes ``error: <one line>`` on stderr and exit status 2; a signal that asks to stop becomes a line that says what
    is kept, and 130 (Ctrl-C), 143 (SIGTERM) or 129 (SIGHUP).
    """
    try:
        with stop_raises():
            settings = parse_settings(model, sys.argv[1:], _program(), sys.modules["__main__"].__doc__ or "")
            print(f"{Path(sys.argv[0]).name}: {_chosen(settings)}", flush=True)
            status = main(settings)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        status = 2
    except BrokenPipeError:
        # The reader of our output (`| head`) went away: nothing left to say, and nothing to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except KeyboardInterrupt as stop:
        status = report_stop(stop)
    atexit.register(_end_at_once)
    sys.exit(status or 0)


def _end_at_once() -> None:
    """Python, at its end, need not look through all that torch has made: 0.6 s. Triton's bindings would tell of it."""
    if "triton" not in sys.modules:
        gc.freeze()


def _program() -> str:
    """What the user typed to start this."""
    called = Path(sys.argv[0])
    return f"python {called.absolute().parent.name}/{called.name}" if called.suffix == ".py" else called.name


def _chosen(settings: BaseModel) -> str:
    """What differs from the defaults; all settings stand in the run's record."""
    chosen = settings.model_dump(mode="json", exclude_defaults=True)
    return " ".join(f"{key}={value}" for key, value in chosen.items()) or "all settings as by default"
