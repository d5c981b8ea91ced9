"""Draws follow from their key alone, and no two streams of one kind are the same."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import pytest

from pipeline.training.randomness import GeneratorStream, JudgeStream, SetStream, epoch_rows, random_generator


@pytest.mark.parametrize("kind", [GeneratorStream, JudgeStream, SetStream])
def test_all_streams_of_a_kind_differ(kind: type[IntEnum]) -> None:
    assert not set(kind.__members__) - {stream.name for stream in kind}, "a number stands twice"
    drawn = {random_generator(3, stream, 5).bytes(8) for stream in kind}
    assert len(drawn) == len(kind)


def test_an_epoch_has_every_row_once_whatever_the_batch() -> None:
    order = JudgeStream.REID_ORDER
    one_by_one = np.concatenate([epoch_rows(3, order, 7, step, 1) for step in range(28)])
    by_fours = np.concatenate([epoch_rows(3, order, 7, step, 4) for step in range(7)])
    np.testing.assert_array_equal(one_by_one, by_fours)
    epochs = one_by_one.reshape(4, 7)
    np.testing.assert_array_equal(np.sort(epochs), np.tile(np.arange(7), (4, 1)))
    assert len(np.unique(epochs, axis=0)) > 1
    assert (epoch_rows(3, JudgeStream.GENERATED_ORDER, 7, 0, 7) != epochs[0]).any()
