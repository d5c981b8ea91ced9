"""The inputs of a main job that was given none: the toy world's two domains, ingested like any real set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from manifests.reading.dataset import Dataset
from pipeline.common.environment import environment
from pipeline.sources.ingest import ingest, make_plan
from pipeline.sources.known_layouts import get_layout
from pipeline.sources.reading import Provenance
from pipeline.sources.toyworld import DomainName, ToyWorldSettings, make_toyworld

WORLD = ToyWorldSettings(identities=60, seed=7)
LICENCE = "Apache-2.0"
CONSENT = "drawn by a program; shows nobody"


def prepare_embedded_sources(folder: Path, meanwhile: Callable[[], object] | None = None) -> tuple[str, str]:
    """Draw the world below ``folder`` and ingest both domains; what is there already is kept.

    ``meanwhile`` is called while other processes draw, if they do.

    Returns:
        The URIs of the source manifests: market-like, duke-like.
    """
    print(f"no --source given: drawing the toy world ({WORLD.identities} people in each domain)", flush=True)
    make_toyworld(WORLD, folder / "world", meanwhile=meanwhile)
    return _ingest(folder, "market-like").uri, _ingest(folder, "duke-like").uri


def _ingest(folder: Path, domain: DomainName) -> Dataset:
    root = folder / "world" / domain
    provenance = Provenance(f"toyworld-{WORLD.seed}-{domain}", domain, LICENCE, CONSENT)
    plan = make_plan(root, get_layout("toyworld"), provenance)
    record = {
        "job": "prepare_source",
        "settings": {"layout": "toyworld", "domain": domain},
        "inputs": [{"id": provenance.dataset_id, "licence": LICENCE, "consent": CONSENT}],
        "environment": environment(),
    }
    return ingest(root, plan, provenance, str(folder / "sources" / domain), record)
