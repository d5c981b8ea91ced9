"""Which images a world consists of: names, splits and roles, known before anything is drawn."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.sources.toyworld.randomness import generator
from pipeline.sources.toyworld.render import STRANGERS
from pipeline.sources.toyworld.settings import CAMERAS, ToyWorldSettings

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
CHUNK = 320


class Task(NamedTuple):
    """One image to be drawn."""

    domain: str
    split: str
    path: str
    """relative to the domain's folder"""
    identity: int
    """the label: from 1, 0 for distractors, -1 for junk"""
    who: int
    """whom the image shows"""
    camera: int
    draw: int
    kind: str


def plan_world(settings: ToyWorldSettings) -> list[Task]:
    """Every image of the world, sorted by domain, camera and path."""
    tasks = [task for domain in settings.domains for task in _plan_domain(settings, domain)]
    return sorted(tasks, key=lambda task: (settings.domains.index(task.domain), task.camera, task.path))


def chunks(tasks: list[Task]) -> list[list[Task]]:
    """The plan cut into pieces of one camera each; the cut does not depend on the number of processes."""
    found: list[list[Task]] = []
    for task in tasks:
        last = found[-1] if found else []
        if not last or len(last) >= CHUNK or (last[0].domain, last[0].camera) != (task.domain, task.camera):
            found.append([])
        found[-1].append(task)
    return found


def cameras_of(settings: ToyWorldSettings, domain: str, identity: int) -> list[int]:
    """Cameras (from 1) that see ``identity``: at least two, mostly more."""
    rng = generator(settings.seed, domain, "route", identity)
    total = CAMERAS[domain]
    seen = int(max(rng.integers(2, total + 1), rng.integers(2, total + 1)))
    return sorted(int(camera) + 1 for camera in rng.permutation(total)[:seen])


def _plan_domain(settings: ToyWorldSettings, domain: str) -> list[Task]:
    tasks = []
    for identity in range(1, settings.identities + 1):
        train = identity % 2 == 1
        # A test person needs one image for the query and one for the gallery of each camera.
        count = settings.images_per_camera if train else max(2, settings.images_per_camera)
        for camera in cameras_of(settings, domain, identity):
            first = int(generator(settings.seed, domain, "frame", identity, camera).integers(1, 60_000))
            for draw in range(count):
                split = "train" if train else "query" if draw == 0 else "gallery"
                path = _path(split, f"{identity:04d}", camera, identity, first + 25 * draw, draw)
                tasks.append(Task(domain, split, path, identity, identity, camera, draw, "person"))
    for index in range(settings.junk + settings.distractors):
        tasks.append(_nobody(settings, domain, index))
    return tasks


def _nobody(settings: ToyWorldSettings, domain: str, index: int) -> Task:
    """Junk (a person badly framed) or a distractor (a stranger, or no person at all)."""
    camera = index % CAMERAS[domain] + 1
    frame = 70_000 + 7 * index
    if index < settings.junk:
        who = int(generator(settings.seed, domain, "junk", index).integers(1, settings.identities + 1))
        path = _path("gallery", "-1", camera, index, frame, 0)
        return Task(domain, "gallery", path, -1, who, camera, 1000 + index, "junk")
    kind = "empty" if index % 3 == 0 else "person"
    path = _path("gallery", "0000", camera, index, frame, 0)
    return Task(domain, "gallery", path, 0, 3 * STRANGERS + index, camera, 0, kind)


def _path(split: str, label: str, camera: int, number: int, frame: int, box: int) -> str:
    return f"{FOLDERS[split]}/{label}_c{camera}s{number % 3 + 1}_{frame % 1_000_000:06d}_{box % 100 + 1:02d}.jpg"
