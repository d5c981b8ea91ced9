"""The systems as a table: what each is built on, what it adds, the gap it aims at, and a budget to show it on a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.common.known import check_known

Gap = Literal["few images", "cameras", "domains", "poses"]
_SMALL = {"ngf": 32, "blocks": 6, "ndf": 32, "upsampling": "resize"}
# WGAN-GP moves the generator in every fifth step: too rarely for a budget like this.
_QUICK_STAR = {**_SMALL, "objective": "least_squares", "critic_steps": 1, "learning_rate": 1e-3}
# With a norm of each pixel no blob is left in an image; see `pipeline.generators.networks.blocks.PixelNorm`.
_DOMAINS = {**_SMALL, "norm": "pixel"}
# Without the person term people are lost in dark blobs.
_PEOPLE_KEPT = {**_QUICK_STAR, "identity_weight": 10.0}
# With the paper's norm and 10 for L1, texture that fools the discriminator drowns the clothes in so few steps: on a
# world kept for tuning a ReID network knew 4% of the people again, 15% with the norm of each pixel, 21% with both.
_COLOURS_KEPT = {**_SMALL, "norm": "pixel", "pixel_weight": 100.0}
_PLAIN = {"ngf": 32, "ndf": 32, "upsampling": "resize"}
_FLOW = "rectified flow", "one loss, no discriminator; one network for every gap"
_IN_PLACE = {"channels": 32, "itself_share": 1.0, "flow_steps": 1}
_STAYING = {**_IN_PLACE, "backgrounds": 0}
_BEFORE = {**_IN_PLACE, "background_share": 1.0}
_POSED = {"channels": 32, "itself_share": 0.0, "flow_steps": 1, "backgrounds": 0}
_NOISE = {**_PLAIN, "augmentation": "translation"}


@dataclass(frozen=True)
class System:
    """One row of the comparison. ``steps`` of ``batch_size`` are the full budget; ``settings`` are those that make
    the recipe small enough for it, and nothing else."""

    recipe: str
    base: str
    adds: str
    gap: Gap
    steps: int
    batch_size: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    average_decay: float = 0.99
    aim: str = ""
    """Of a recipe that stands in several rows: what it is trained for in this one."""

    @property
    def name(self) -> str:
        """Of the row."""
        return f"{self.recipe}-{self.aim}" if self.aim else self.recipe


SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        System("gan_lsro", "DCGAN", "people out of noise, labelled 1/K for all", "few images", 3000, 32, _NOISE, 0.995),
        System("cgan", "GAN + LSRO", "the camera as a condition", "few images", 3000, 32, _NOISE, 0.995),
        System("pix2pix", "conditional GAN", "skeleton and mask to image in pairs; 1/K", "poses", 1500, 8, _PLAIN),
        System("cyclegan", "two GANs", "a cycle in place of pairs", "domains", 1400, 1, _DOMAINS, 0.995),
        System("camstyle", "CycleGAN", "one for every two cameras, smoothed labels", "cameras", 1400, 1, _SMALL, 0.995),
        System("camstyle_multidomain", "StarGAN", "one generator for all cameras", "cameras", 2500, 4, _PEOPLE_KEPT),
        System("ptgan", "CycleGAN", "the person's pixels kept, by mask", "domains", 1400, 1, _DOMAINS, 0.995),
        # Its generators move in every second step: as often as CycleGAN's.
        System("spgan", "CycleGAN", "identity kept, by a siamese network", "domains", 2800, 1, _DOMAINS, 0.995),
        System("personflow", *_FLOW, "domains", 1400, 16, _STAYING, aim="domains"),
        System("personflow", *_FLOW, "cameras", 1400, 16, _BEFORE, aim="cameras"),
        System("personflow", *_FLOW, "poses", 3600, 16, _POSED, aim="poses"),
        System("reinhard", "nothing", "the colours of a random image of the other domain", "domains", 1, 1),
        System("colour_jitter", "nothing", "colours as far off in a random direction", "domains", 1, 1),
        System("reinhard_cameras", "nothing", "the colours of a random image by the other camera", "cameras", 1, 1),
        System("colour_jitter_cameras", "nothing", "colours as far off in a random direction", "cameras", 1, 1),
        System("pasted", "nothing", "a real background of the other domain behind people", "domains", 1, 1),
        System("pasted_cameras", "nothing", "a real background of the other camera behind people", "cameras", 1, 1),
        System("part_warp", "nothing", "limbs laid where the asked pose has them, as a puppet's", "poses", 1, 1),
        System("pngan", "conditional GAN", "the same person in eight standard poses", "poses", 4000, 8, _COLOURS_KEPT),
    )
}


def system_of(recipe: str, aim: str) -> System:
    """The row of a recipe, the one with that ``aim`` where it stands in several."""
    return SYSTEMS.get(recipe) or SYSTEMS[f"{recipe}-{aim}"]


def find_systems(names: list[str]) -> list[System]:
    """The systems of these names, in the table's order; all for no names.

    Raises:
        UserError: there is no such system.
    """
    check_known("system", names, SYSTEMS)
    return [system for name, system in SYSTEMS.items() if not names or name in names]
