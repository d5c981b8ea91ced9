"""What a training step asks of a flow."""

from __future__ import annotations

import torch

from pipeline.generators.networks.flow import MOVED, NOTHING
from pipeline.generators.recipes.flow.asked import asked_of
from tests.pipeline.tiny_flows import moved_batch, recipe


def test_who_cannot_be_moved_has_no_reference() -> None:
    one = recipe(itself_share=0.0)
    images = moved_batch(one, 4)
    images["joints"] = images["joints"] * torch.tensor([1, 0, 1, 1])[:, None]
    told, asked = asked_of(images, torch.tensor([4 * [False], 4 * [False], [True, *3 * [False]]]), 3)
    assert told.reference.tolist() == [MOVED, NOTHING, MOVED, MOVED]
    assert asked.moved.tolist() == [True, False, True, True]
    assert told.camera[0] == 3
    assert told.start[1].abs().max() == told.source[1].abs().max() == 0
    torch.testing.assert_close(asked.image[1], images["target"][1])
    assert asked.known[1].max() == 0
