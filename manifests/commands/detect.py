"""`python -m manifests detect PICTURE... --in URI...`: whether pictures are generated ones, and whence.

Asked are the marks in the file's metadata, signatures (the extra c2pa) in the file or of a list SHA256SUMS in a folder
above, and the data sets of --in: the same file, the same pixels, or a copy that was encoded anew, resized or cut by up
to a tenth of its height and width. The digests of a data set's pictures are kept in the user's cache
(XDG_CACHE_HOME/reid-synth). A picture of which nothing is found is not known: that is no proof of a camera.

Exit status: 0 all are generated, 1 some are not known, 2 a file or data set that cannot be read.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from manifests.commands.arguments import add_json
from manifests.common.json_text import lenient_json
from manifests.detecting.detect import Answer, detect
from manifests.detecting.known import Known
from manifests.errors import UserError
from manifests.reading.dataset import open_dataset

HELP = "whether pictures are generated: by their marks, signatures, and data sets at hand"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pictures", metavar="PICTURE", nargs="+", help="an image file")
    parser.add_argument(
        "--in", dest="datasets", metavar="URI", nargs="+", action="extend", default=[], help="data sets to look into"
    )
    parser.add_argument("--trust", metavar="FILE", help="certificates of authorities (PEM) whose signatures you trust")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    trust = _read(options.trust) if options.trust is not None else None
    known = [Known(open_dataset(uri)) for uri in options.datasets]
    answers: list[Answer] = []
    failed = False
    for picture in options.pictures:
        try:
            answers.append(detect(picture, known, trust))
        except UserError as error:
            failed = True
            print(f"error: {error}", file=sys.stderr)
            continue
        if not options.json:
            print(answers[-1].to_text())
    if options.json:
        print(lenient_json([answer.to_json() for answer in answers], indent=1))
    return 2 if failed else 0 if all(answer.generated for answer in answers) else 1


def _read(path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"--trust {path} cannot be read: {getattr(error, 'strerror', error)}") from None
    if "BEGIN CERTIFICATE" not in text:
        raise UserError(f"--trust {path} holds no certificate in PEM form")
    return text
