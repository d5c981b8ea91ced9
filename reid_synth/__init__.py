"""The command `reid-synth`: every job and every command of `manifests` as a verb. In a wheel the jobs lie in here."""

from manifests import __version__ as __version__
