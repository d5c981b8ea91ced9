"""What is to be said of a set's scores, beside their numbers."""

from __future__ import annotations

from pipeline.scoring.set_scores import doubts_of_scores


def test_reliability_that_knows_nobody_of_the_generated_is_doubted() -> None:
    (doubt,) = doubts_of_scores({"reliability_auroc": 1.0, "reliability_auroc_generated": 0.18})
    assert "no better than chance (AUROC 0.18)" in doubt
    assert list(doubts_of_scores({"reliability_auroc_generated": 0.93})) == []
    assert list(doubts_of_scores({"recognised": 0.4})) == []
