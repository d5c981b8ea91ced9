"""Faults that end a process: what the tests of the fuzzer see found."""

from __future__ import annotations

import os

from hypothesis import strategies as st

from tests.fuzz.target import Reader


def crash() -> Reader:
    """A reader that dies of every case."""
    return Reader(st.just(7), lambda case: os.abort())


def flood() -> Reader:
    """A reader that asks for more memory than the limit."""
    return Reader(st.just(7), lambda case: len(bytes(6 << 30)))
