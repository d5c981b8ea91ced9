"""One way for every job to get its settings: command line, YAML file or Python, the same typed model.

A job declares a pydantic model (fields with descriptions, bounds and defaults) and a function that takes it::

    class Settings(JobSettings):
        \"\"\"What the job does, in a sentence; shown by --help.\"\"\"
        group = "scores"
        source: Input[str] = Field(description="URI of the source manifest")
        least: float = Field(0.5, ge=0, description="score that a row needs")

    if __name__ == "__main__":
        run_job(Settings, main)

``--some-field VALUE`` sets ``some_field``; lists repeat the flag or take commas; ``--config FILE.yaml`` gives
values that the command line overrides, ``--print-config`` writes such a file. ``--help`` lists the options in groups
(`model`) and, as examples, what the job's docstring does. Unknown keys, bad values and missing settings end in one line
on stderr and exit status 2 before any work starts.
"""

from pipeline.common.settings.model import (
    Advanced,
    Cluster,
    Found,
    Input,
    JobSettings,
    Measure,
    Needed,
    Output,
    Positional,
    Run,
)
from pipeline.common.settings.options import options_of
from pipeline.common.settings.parser import add_options, argument_parser
from pipeline.common.settings.reading import faults, parse_settings
from pipeline.common.settings.running import run_job

__all__ = [
    "Advanced",
    "Cluster",
    "Found",
    "Input",
    "JobSettings",
    "Measure",
    "Needed",
    "Output",
    "Positional",
    "Run",
    "add_options",
    "argument_parser",
    "faults",
    "options_of",
    "parse_settings",
    "run_job",
]
