"""How real and generated images share a training: which of them, when, with what weight, norm and label."""

from pipeline.reid.mixing.batches import mixed_batches, spread_choice
from pipeline.reid.mixing.settings import MixSettings

__all__ = ["MixSettings", "mixed_batches", "spread_choice"]
