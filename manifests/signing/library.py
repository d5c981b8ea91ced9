"""The library that writes and reads C2PA: how it is set up, and one line where it is not installed."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from manifests.errors import UserError

_P = ParamSpec("_P")
_T = TypeVar("_T")
SETTINGS: dict[str, Any] = {
    # Its default scales a thumbnail up to 1024 pixels: 33 KB beside a crop of 5 KB.
    "builder": {"thumbnail": {"enabled": False}},
    # A picture may name any address as the place of its manifest: nothing is fetched for a look at a file.
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
}


def needs_extra(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Say in one line what to install where ``function`` finds a package of the extra missing."""

    @functools.wraps(function)
    def checked(*arguments: _P.args, **options: _P.kwargs) -> _T:
        try:
            return function(*arguments, **options)
        except ImportError as error:
            if (error.name or "").partition(".")[0] not in ("c2pa", "cryptography"):
                raise
            raise UserError(f"{error.name} is not installed: pip install 'c2pa-python<0.39' cryptography") from None

    return checked


def context(**more: Any) -> Any:
    """A `c2pa.Context` with `SETTINGS` and, by section, ``more``."""
    import c2pa

    merged = {name: {**SETTINGS.get(name, {}), **more.get(name, {})} for name in {*SETTINGS, *more}}
    return c2pa.Context.from_json(json.dumps(merged))
