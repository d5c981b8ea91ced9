"""A small drawn world of walking people: images of known persons, masks, keypoints and attributes.

`make_toyworld` writes it to disk in the layout of Market-1501 with its ground truth; `render_sample` and
`render_variety` draw single crops in memory, for tests and for trainers.
"""

from __future__ import annotations

from pipeline.sources.toyworld.render import ToySample, render_sample, render_variety
from pipeline.sources.toyworld.settings import CAMERAS, VERSION, DomainName, ToyWorldSettings
from pipeline.sources.toyworld.world import TRUTH_SCHEMA, make_toyworld

__all__ = [
    "CAMERAS",
    "TRUTH_SCHEMA",
    "VERSION",
    "DomainName",
    "ToySample",
    "ToyWorldSettings",
    "make_toyworld",
    "render_sample",
    "render_variety",
]
