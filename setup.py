"""The one thing that pyproject.toml cannot say: a wheel has the jobs as a part of `reid_synth`. All else is there."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["manifests*", "pipeline*", "reid_synth*"]), "reid_synth.jobs"],
    package_dir={"reid_synth.jobs": "jobs"},
)
