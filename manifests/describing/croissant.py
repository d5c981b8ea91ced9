"""``croissant.json``: the data set in the metadata format that machine-learning tools share, Croissant 1.1.

https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html, with its Responsible AI terms and with PROV for where
the rows come from. ``mlcroissant.Dataset("DATASET/croissant.json").records("rows")`` streams the rows with pictures,
shard by shard; mlcroissant yields text as bytes and nested columns as dicts. Only paths inside the data set are named.

The file holds no name of an identity and nothing that differs from one writing to the next: after rows were erased it
is written again from what is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from manifests.describing.statements import INTENDED_USE, STATEMENTS, TermsOnRows
from manifests.format.columns import MEANINGS
from manifests.format.schema import IMAGE, ROW_ID, SCHEMAS, Kind
from manifests.format.terms import UNSTATED, apart
from manifests.reading.dataset import Dataset
from manifests.reading.files import Product
from manifests.reading.runs import SOFTWARE, Run, runs

CROISSANT = "croissant.json"
ROWS = "rows"
"""Id of the record set."""
SHARDS = "shards"
_PARQUET = "application/x-parquet"
_FLAT_TYPES = {
    pa.string(): "sc:Text",
    pa.int32(): "cr:Int32",
    pa.int64(): "cr:Int64",
    pa.float32(): "cr:Float32",
    pa.float64(): "cr:Float64",
}
_ALSO: dict[str, list[str]] = {"hard_label": ["cr:Label"], "soft_label": ["cr:Label"]}
_SAME_AS = {
    "sources": "prov:wasDerivedFrom",
    "digital_source_type": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/DigitalSourceType",
}
_SPDX_ID = re.compile(
    r"MIT|ISC|Unlicense|(Apache|BSD|CC0|CC-BY(-[A-Z]+)*|CDLA-[A-Za-z]+|ODbL|ODC-By|PDDL|[AL]?GPL|MPL)-\d[A-Za-z0-9.-]*"
)
"""Identifiers of https://spdx.org/licenses that data come under; any other text is quoted as it is."""

Json = dict[str, Any]

_CROISSANT_TERMS = (
    *("annotation", "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "excludes", "extract"),
    *("field", "fileObject", "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath"),
    *("key", "md5", "parentField", "path", "readLines", "recordSet", "references", "regex", "repeated", "replace"),
    *("samplingRate", "sdVersion", "separator", "source", "subField", "transform", "unArchive"),
)
_CONTEXT: Json = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "reidsynth": "urn:reid-synth:term:",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    "description": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _CROISSANT_TERMS},
}


def croissant(dataset: Dataset, files: Sequence[Product], on_rows: TermsOnRows | None = None) -> Json:
    """The metadata of ``dataset``, which consists of ``files``; ``on_rows`` are its terms, if they are counted."""
    snapshot, history = dataset.snapshot, runs(dataset)
    title = f"Person re-identification, {dataset.kind} rows"
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "@id": dataset_urn(dataset.digest()),
        "name": title,
        "description": f"{STATEMENTS[dataset.kind].replace('**', '')} {snapshot.rows} rows.",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "url": dataset_urn(dataset.digest()),
        "version": f"{snapshot.number}.0.0",
        "dateCreated": history[0].started if history and history[0].started else snapshot.created,
        "dateModified": snapshot.created,
        "datePublished": snapshot.created,
        "creator": {"@type": "sc:Organization", "name": "not recorded"},
        "license": _licences(dataset.kind, on_rows or TermsOnRows.of(dataset), history),
        "citeAs": f"{title}, {SOFTWARE}, {snapshot.created[:10]}, {dataset_urn(dataset.digest())}",
        "keywords": ["person re-identification", dataset.kind],
        "isLiveDataset": False,
        **_responsibility(dataset.kind),
        **_provenance(history),
        "distribution": [*map(_file_object, files), _shards(dataset)],
        "recordSet": [_record_set(dataset.kind)],
    }


def dataset_urn(digest: str) -> str:
    """The name of a data set by its content (`Dataset.digest`): the same wherever a copy of it lies."""
    return f"urn:{SOFTWARE}:dataset:{digest}"


def _file_object(file: Product) -> Json:
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path,
        "contentUrl": file.path,
        "contentSize": f"{file.bytes} B",
        "encodingFormat": _PARQUET,
        "sha256": file.sha256,
    }


def _shards(dataset: Dataset) -> Json:
    """The shards as one set: each by its whole path, so that no file beside them is taken for one."""
    paths = [entry.path for entry in dataset.snapshot.files]
    return {
        "@type": "cr:FileSet",
        "@id": SHARDS,
        "name": SHARDS,
        "description": "The files that hold the rows.",
        "encodingFormat": _PARQUET,
        "includes": paths or ["data/*.parquet"],
    }


def _record_set(kind: Kind) -> Json:
    schema = SCHEMAS[kind]
    # An image may be annotated by several models: its id alone names no row then.
    key = {} if kind == "annotation" else {"key": {"@id": f"{ROWS}/{ROW_ID[kind]}"}}
    return {
        "@type": "cr:RecordSet",
        "@id": ROWS,
        "name": ROWS,
        "description": f"One record for each {kind} row.",
        **key,
        "field": [_column(schema.field(name)) for name in schema.names],
    }


def _column(column: pa.Field[Any]) -> Json:
    same = {"equivalentProperty": _SAME_AS[column.name]} if column.name in _SAME_AS else {}
    described = {"description": MEANINGS[column.name], **same}
    return {**_field(column.name, column.name, column.type, ()), **described}


def _field(path: str, column: str, type_: pa.DataType, inside: tuple[str, ...]) -> Json:
    """The field ``path`` of the record set: a column, or what lies ``inside`` one of its structs."""
    described: Json = {"@type": "cr:Field", "@id": f"{ROWS}/{path}", "name": path}
    types = _ALSO.get(path, [])
    if pa.types.is_list(type_):
        described |= {"isArray": True, "arrayShape": "-1"}
        type_ = type_.value_type
    if pa.types.is_struct(type_) and type_ != IMAGE:
        parts = [_field(f"{path}/{part.name}", column, part.type, (*inside, part.name)) for part in type_]
        return {**described, **({"dataType": types} if types else {}), "subField": parts}
    source: Json = {"fileSet": {"@id": SHARDS}, "extract": {"column": column}}
    if type_ == IMAGE:
        types, inside = ["sc:ImageObject"], (*inside, "bytes")
    elif pa.types.is_binary(type_):
        types = ["cr:SegmentationMask", "sc:ImageObject"]
    else:
        types = [_FLAT_TYPES[type_], *types]
    if inside:
        source["transform"] = {"jsonPath": ".".join(inside)}
    return {**described, "dataType": types[0] if len(types) == 1 else types, "source": source}


def _licences(kind: Kind, on_rows: TermsOnRows, history: Iterable[Run]) -> list[Any]:
    """The terms of everything that went in, each as the SPDX URL where it is an SPDX identifier."""
    stated: set[str | None] = {one.licence for run in history for one in run.inputs if one.role != "annotations"}
    # Nobody stated the null of a source row; that of a synthetic one is of an older version.
    known = on_rows.licences if kind == "source" else on_rows.licences - {None}
    stated |= {one for licence in known for one in apart(licence or UNSTATED)}
    stated = {None if one == UNSTATED else one for one in stated}
    if not stated:
        stated.add(None)
    return [_licence(one) for one in sorted(stated, key=lambda one: one or "")]


def _licence(stated: str | None) -> Any:
    if stated is not None and _SPDX_ID.fullmatch(stated):
        return f"https://spdx.org/licenses/{stated}"
    return {"@type": "sc:CreativeWork", "name": stated or "Terms not recorded: ask whoever holds the source images."}


def _provenance(history: Sequence[Run]) -> Json:
    """PROV: the data sets that it derives from, the runs that generated it, the software that it is attributed to."""
    inputs = {one.digest: one for run in history for one in run.inputs if one.digest}
    agent = {"@type": "prov:SoftwareAgent", "@id": f"pkg:generic/{SOFTWARE}", "prov:label": SOFTWARE}
    stated: Json = {"prov:wasAttributedTo": agent}
    if inputs:
        stated["prov:wasDerivedFrom"] = [
            {"@type": "prov:Entity", "@id": dataset_urn(digest), "prov:label": one.name, "reidsynth:role": one.role}
            for digest, one in inputs.items()
        ]
    if history:
        stated["prov:wasGeneratedBy"] = [_activity(run) for run in history]
    return stated


def _activity(run: Run) -> Json:
    """One run: when, by which recipes, settings and commit, using which data sets and checkpoints."""
    models = [
        {
            "@type": "prov:Entity",
            "@id": f"urn:{SOFTWARE}:checkpoint:{model.sha256}",
            "prov:label": model.name,
            "reidsynth:role": model.role,
            "sha256": model.sha256,
        }
        for model in {model.sha256: model for model in run.checkpoints}.values()
    ]
    digests = dict.fromkeys(one.digest for one in run.inputs if one.digest)
    values = {
        "prov:startedAtTime": run.started,
        "prov:endedAtTime": run.closed,
        "reidsynth:recipe": sorted({model.recipe for model in run.checkpoints if model.recipe}),
        "reidsynth:settingsSha256": run.settings_sha256,
        "reidsynth:softwareVersion": run.environment.version,
        "reidsynth:gitCommit": run.environment.git_commit,
        "reidsynth:environmentFingerprint": run.environment.fingerprint,
        "prov:used": [*models, *({"@id": dataset_urn(digest)} for digest in digests)],
    }
    return {
        "@type": "prov:Activity",
        "@id": f"urn:{SOFTWARE}:plan:{run.plan_id}",
        "prov:label": run.job,
        **{name: value for name, value in values.items() if value},
        "prov:wasAssociatedWith": {"@id": f"pkg:generic/{SOFTWARE}"},
    }


def _responsibility(kind: Kind) -> Json:
    """Croissant's Responsible AI terms, and the mark that synthetic pictures are."""
    stated: Json = {"rai:dataUseCases": INTENDED_USE}
    if kind != "synthetic":
        return {**stated, "rai:personalSensitiveInformation": "The images that it holds or describes show people."}
    return {
        **stated,
        "digitalSourceType": {"@id": "sc:TrainedAlgorithmicMediaDigitalSource"},
        "rai:dataCollection": "No image was recorded: generative models made them. Column `sources` names the images "
        "that each was made from.",
        "rai:personalSensitiveInformation": "People on source images, real or drawn, lent their appearance, pose or "
        "style. Column `subject_keys` names them by pseudonymous keys; `identity` is the name that the source gave.",
        "rai:dataLimitations": "An image may not show the person that its label names: see its soft label and scores.",
    }
