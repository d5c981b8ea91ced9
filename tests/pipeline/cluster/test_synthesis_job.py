"""What the synthesis jobs share: where the world is drawn that stands in for a source."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifests.errors import UserError
from pipeline.cluster.synthesis_job import run_synthesis_job
from pipeline.cluster.synthesis_settings import DEMO
from pipeline.synthesize import DukeStyleSettings


@pytest.mark.parametrize("place", ["here", "store"])
def test_the_world_that_stands_in_is_drawn_beside_the_output(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = str(tmp_path / "set") if place == "here" else "memory://drawn/set"
    folders: list[Path] = []

    def draw(folder: Path, meanwhile: object) -> tuple[str, str | None]:
        folders.append(folder)
        raise UserError("drawn")

    monkeypatch.setattr(DukeStyleSettings, "embedded", lambda _: draw)
    with pytest.raises(UserError, match=r"^drawn$"):
        run_synthesis_job(DukeStyleSettings(output=output))
    assert folders == [tmp_path if place == "here" else DEMO]
