"""People of a world drawn once more, where no image of them is: by another camera, in another place, turned otherwise.

No generator can do better than the world itself, which knows how everybody looks from behind. The images of the world
stay what they are: these have draws of their own.
"""

from __future__ import annotations

from pipeline.sources.toyworld.people.wardrobe import make_person
from pipeline.sources.toyworld.randomness import generator
from pipeline.sources.toyworld.render import STRANGERS, ToySample, render_crop
from pipeline.sources.toyworld.scenery.places import make_scene
from pipeline.sources.toyworld.settings import DomainName, ToyWorldSettings

NEWCOMERS = 5 * STRANGERS
"""Identities from here on are in no image of a world."""


def draw_again(
    settings: ToyWorldSettings,
    home: DomainName,
    identity: int,
    place: DomainName,
    camera: int,
    draw: int,
    heading_deg: float | None = None,
) -> ToySample:
    """Person ``identity`` of the domain ``home`` by ``camera`` (from 1) of the domain ``place``, the ``draw``-th time;
    ``heading_deg`` as in `ToySample`, by default any. A function of the arguments alone."""
    turned = "any" if heading_deg is None else f"{heading_deg:g}"
    rng = generator(settings.seed, place, "again", home, identity, camera, draw, turned)
    scene, person = make_scene(settings.seed, place, camera), make_person(settings.seed, home, identity)
    return render_crop(scene, person, rng, settings.height, settings.width, "person", heading_deg=heading_deg)
