"""`python -m manifests export URI --to FORMAT --output FOLDER`: a data set in the form that another tool reads.

  market1501    Market-1501 folders, soft labels beside them as Parquet; torchreid reads them too
  coco          images with masks, joints, identity and camera, for CVAT, FiftyOne, Datumaro, pycocotools
  webdataset    tar shards of images and JSON
  huggingface   a copy of the newest state with its card, ready for the Hub

Synthetic images carry the mark of their origin (IPTC digital source type) in every file. With --sign-cert and
--sign-key (the extra c2pa; the password of an encrypted key in REID_SYNTH_SIGN_PASSWORD) the export has a list of its
files, SHA256SUMS, and beside it SHA256SUMS.c2pa, a claim signed by your certificate. The folder appears whole or not
at all. What is exported is out of reach of a later `erase`: export again.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from manifests.commands.arguments import add_json, add_uri, positive
from manifests.common.json_text import lenient_json
from manifests.errors import UserError
from manifests.exports.coco import export_coco
from manifests.exports.folder import Exported
from manifests.exports.huggingface import export_huggingface
from manifests.exports.market1501 import export_market1501
from manifests.exports.webdataset import SHARD_BYTES, export_webdataset
from manifests.reading.dataset import Dataset, open_dataset
from manifests.signing.certificate import PASSWORD, load_certificate
from manifests.signing.claims import SIDECAR, SUMS, Signer

HELP = "write Market-1501 folders, COCO, tar shards, or a folder for the Hugging Face Hub"
_FORMATS = ("market1501", "coco", "webdataset", "huggingface")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_uri(parser)
    parser.add_argument(
        "--to", required=True, choices=_FORMATS, dest="form", metavar="FORMAT", help=f"{', '.join(_FORMATS)} [required]"
    )
    parser.add_argument(
        "--output", required=True, metavar="FOLDER", help="a new or empty folder on a local disk [required]"
    )
    parser.add_argument("--where", metavar="EXPRESSION", help="only rows for which this SQL expression holds")
    parser.add_argument(
        "--shard-mb", type=positive, metavar="N", help=f"largest tar shard in MiB (default {SHARD_BYTES >> 20})"
    )
    parser.add_argument(
        "--renumber-cameras",
        action="store_true",
        help="call the cameras 1 to N in file names of market1501, with a table of which is which",
    )
    parser.add_argument("--annotations", metavar="URI", help="masks and poses of source images, for coco")
    parser.add_argument(
        "--sign-cert", metavar="FILE", help="sign as C2PA has it, with this chain of certificates (PEM)"
    )
    parser.add_argument("--sign-key", metavar="FILE", help="the private key of its first certificate (PEM)")
    parser.add_argument("--sign-time-authority", metavar="URL", help="one that stamps the time of signing (RFC 3161)")
    parser.add_argument("--sign-each", action="store_true", help="sign every image, too: some 4 kB more a file")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    exported = _export(open_dataset(options.uri), options)
    if options.json:
        print(lenient_json(exported._asdict(), indent=1))
        return 0
    print(f"{exported.images} images written to {exported.path}")
    if options.sign_cert is not None:
        print(f"signed: {SUMS}{SIDECAR} is about {SUMS}, the digests of all files")
    for note in exported.notes:
        print(f"note: {note}")
    return 0


def _check_outside(dataset: Dataset, output: str) -> None:
    folder = Path(output).expanduser().resolve()
    if "://" in dataset.uri:
        return
    place = Path(dataset.uri).resolve()
    if folder != place and folder.is_relative_to(place):
        raise UserError(f"{output} is inside the data set: choose a folder beside it")


def _check_options(options: argparse.Namespace) -> None:
    """Refuse what the form would not look at."""
    form = options.form
    if options.shard_mb is not None and form != "webdataset":
        raise UserError(f"--shard-mb is about tar shards: --to {form} has none")
    if options.renumber_cameras and form != "market1501":
        raise UserError(f"--renumber-cameras is about file names: --to {form} keeps the cameras in columns")
    if options.annotations is not None and form != "coco":
        raise UserError(f"--annotations goes with --to coco: --to {form} writes what the rows hold")
    if (options.sign_cert is None) != (options.sign_key is None):
        raise UserError("--sign-cert FILE and --sign-key FILE go together")
    if options.sign_time_authority is not None and options.sign_cert is None:
        raise UserError("--sign-time-authority goes with --sign-cert FILE and --sign-key FILE")
    if options.sign_each and (options.sign_cert is None or form == "huggingface"):
        raise UserError("--sign-each goes with --sign-cert and a form that has image files: huggingface has shards")
    if options.where is not None and form == "huggingface":
        raise UserError("--to huggingface copies whole shards: --where goes with market1501, coco and webdataset")


def _export(dataset: Dataset, options: argparse.Namespace) -> Exported:
    _check_options(options)
    _check_outside(dataset, options.output)
    signer = _signer(options)
    if options.form == "huggingface":
        return export_huggingface(dataset, options.output, signer)
    if options.form == "market1501":
        return export_market1501(dataset, options.output, options.where, options.renumber_cameras, signer)
    if options.form == "coco":
        return export_coco(dataset, options.output, options.where, options.annotations, signer)
    shard_bytes = SHARD_BYTES if options.shard_mb is None else options.shard_mb << 20
    return export_webdataset(dataset, options.output, options.where, shard_bytes, signer)


def _signer(options: argparse.Namespace) -> Signer | None:
    if options.sign_cert is None:
        return None
    password = os.environ.get(PASSWORD)
    certificate = load_certificate(options.sign_cert, options.sign_key, password)
    return Signer(certificate, options.sign_each, options.sign_time_authority)
