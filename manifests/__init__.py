"""What a ReID data set is on disk, and all that is done with one: opened, written, checked, traced, erased, exported.

What a caller from Python needs is importable from here; each name is loaded when it is first asked for, so that a
program pays for no more than it uses. No torch, no Ray.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from manifests.checking.validate import validate
    from manifests.erasing.erase import erase
    from manifests.erasing.traces import Request
    from manifests.errors import UserError
    from manifests.exports.coco import export_coco
    from manifests.exports.huggingface import export_huggingface
    from manifests.exports.market1501 import export_market1501
    from manifests.exports.webdataset import export_webdataset
    from manifests.format.names import content_id
    from manifests.format.schema import SCHEMAS
    from manifests.format.soft_labels import ClassMap, expand
    from manifests.reading.dataset import Dataset, open_dataset
    from manifests.reading.query import query, rows_where
    from manifests.reading.selection import Selection
    from manifests.showing.diff import diff
    from manifests.showing.trace import trace
    from manifests.signing.certificate import load_certificate
    from manifests.signing.claims import Signer
    from manifests.writing.gc import collect_garbage
    from manifests.writing.merge import merge
    from manifests.writing.run import DatasetRun

__version__ = "0.1.0"
"""Of the whole distribution: the build reads it here."""

__all__ = [
    "SCHEMAS",
    "ClassMap",
    "Dataset",
    "DatasetRun",
    "Request",
    "Selection",
    "Signer",
    "UserError",
    "collect_garbage",
    "content_id",
    "diff",
    "erase",
    "expand",
    "export_coco",
    "export_huggingface",
    "export_market1501",
    "export_webdataset",
    "load_certificate",
    "merge",
    "open_dataset",
    "query",
    "rows_where",
    "trace",
    "validate",
]

_HOME = {
    "SCHEMAS": "format.schema",
    "ClassMap": "format.soft_labels",
    "Dataset": "reading.dataset",
    "DatasetRun": "writing.run",
    "Request": "erasing.traces",
    "Selection": "reading.selection",
    "UserError": "errors",
    "collect_garbage": "writing.gc",
    "content_id": "format.names",
    "diff": "showing.diff",
    "erase": "erasing.erase",
    "load_certificate": "signing.certificate",
    "Signer": "signing.claims",
    "expand": "format.soft_labels",
    "export_coco": "exports.coco",
    "export_huggingface": "exports.huggingface",
    "export_market1501": "exports.market1501",
    "export_webdataset": "exports.webdataset",
    "merge": "writing.merge",
    "open_dataset": "reading.dataset",
    "query": "reading.query",
    "rows_where": "reading.query",
    "trace": "showing.trace",
    "validate": "checking.validate",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
