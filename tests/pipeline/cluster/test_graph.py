"""Work whose parts need one another, on a real Ray and in this process."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import pytest

from manifests.errors import UserError
from pipeline.cluster.graph import Node, run_graph


def begun_and_ended(folder: Path, name: str) -> str:
    """Leaves when a part began, when it ended, and where."""
    begun = time.monotonic_ns()
    print(f"this is {name}")
    time.sleep(0.2)
    (folder / name).write_text(f"{begun} {time.monotonic_ns()} {os.getpid()}")
    return f"{name} it is"


def dies_once(folder: Path, name: str) -> str:
    if not (folder / "died").exists():
        (folder / "died").touch()
        os._exit(1)
    return begun_and_ended(folder, name)


def mistaken() -> str:
    raise UserError("no such data set")


def diamond(folder: Path) -> list[Node]:
    """d needs b and c, which need a."""
    needs = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
    return [
        Node(name, partial(begun_and_ended, folder, name), folder / "logs" / f"{name}.log", needed)
        for name, needed in needs.items()
    ]


def times(folder: Path, name: str) -> tuple[int, int, int]:
    begun, ended, process = map(int, (folder / name).read_text().split())
    return begun, ended, process


def check(folder: Path, out: str) -> None:
    """Each part began after those that it needs; all are told, with the last of them everything is done."""
    for later, earlier in (("b", "a"), ("c", "a"), ("d", "b"), ("d", "c")):
        assert times(folder, later)[0] > times(folder, earlier)[1]
    assert all(f"{name}: {name} it is (" in out for name in "abcd")
    assert "d: d it is (4/4, 100%, 0:00:00 left)" in out
    assert (folder / "logs" / "b.log").read_text() == "this is b\n"


def test_one_after_another_in_this_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_graph(diamond(tmp_path), "cpu", on_ray=False)
    check(tmp_path, capsys.readouterr().out)
    assert {times(tmp_path, name)[2] for name in "abcd"} == {os.getpid()}


def test_a_mistake_names_its_log(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^no such data set \(more in .*/a\.log\)$"):
        run_graph([Node("a", mistaken, tmp_path / "a.log")], "cpu", on_ray=False)


@pytest.mark.ray
def test_side_by_side_on_ray_and_again_where_a_worker_died(
    local_ray: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    *first, last = diamond(tmp_path)
    nodes = [*first, Node(last.name, partial(dies_once, tmp_path, last.name), last.log, last.needs)]
    run_graph(nodes, "cpu")
    check(tmp_path, capsys.readouterr().out)
    assert os.getpid() not in {times(tmp_path, name)[2] for name in "abcd"}
    with pytest.raises(UserError, match=r"no such data set \(more in .*/e\.log\)"):
        run_graph([Node("e", mistaken, tmp_path / "e.log")], "cpu")
