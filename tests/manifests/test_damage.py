"""Every command over every kind of damage: it says one line, or what it says of a sound data set; never a traceback.

All commands meet the kinds in `CORE`, an eighth of them each other kind, by turns; all of them with
``REID_SYNTH_ALL_DAMAGE=1``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.manifests.damage_commands import CHANGING, READING, Outcome, World, make_world, run_all
from tests.manifests.damages import CORE, DAMAGES, OF_STRANGERS

COMMANDS = (*READING, *CHANGING)
_TURNS = 8
NOT_TOLD = ("README.md cut to 10 bytes", *(name for name in DAMAGES if name.startswith("a stranger's run")))
"""`validate` takes it for a card that somebody wrote by hand; and what a job says of its run is the job's affair."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("damage"))


@pytest.fixture(scope="module")
def sound(world: World) -> dict[str, Outcome]:
    return dict(run_all(world))


def test_every_command_knows_the_sound_data_set(sound: dict[str, Outcome]) -> None:
    assert {name: (one.status, one.error, one.trace) for name, one in sound.items()} == dict.fromkeys(
        COMMANDS, (0, "", "")
    )
    assert sound["validate"].out.endswith("8 synthetic rows in 3 files: ok\n")


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_one_line(damage: str, world: World, sound: dict[str, Outcome]) -> None:
    for name, found in run_all(world, DAMAGES[damage], _commands(damage)):
        where = f"{name} after {damage}"
        assert not found.trace, f"{where}:\n{found.trace}"
        if found.status == 2:
            assert found.error.startswith("error: "), f"{where}: {found.error}"
            assert found.error.count("\n") == 1, f"{where}: {found.error}"
        elif name == "validate":
            assert found.status == 1 or damage in NOT_TOLD, f"{where}: {found.out}"
        elif damage not in OF_STRANGERS and (damage, name) != ("a file beside the shards", "gc"):
            assert (found.status, found.out) == (sound[name].status, sound[name].out), where
        _check_nothing_half_written(world.root / "out", name, found)


def _commands(damage: str) -> list[str]:
    if damage in CORE or os.environ.get("REID_SYNTH_ALL_DAMAGE"):
        return list(COMMANDS)
    turn = list(DAMAGES).index(damage)
    return [name for number, name in enumerate(COMMANDS) if (turn + number) % _TURNS == 0]


def _check_nothing_half_written(out: Path, name: str, found: Outcome) -> None:
    folder = {"export market1501": "market", "export webdataset": "tar", "export huggingface": "hub"}.get(name)
    if folder is not None:
        assert (out / folder).exists() == (found.status == 0)
        assert not list(out.glob(".*"))
