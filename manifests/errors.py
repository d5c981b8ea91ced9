"""The exception types whose message is meant for the person who runs a command."""

from __future__ import annotations


class UserError(Exception):
    """A mistake that the user can mend: one line that says what is wrong, where, and what to do.

    Command-line entry points print it as ``error: ...`` on stderr and exit with status 2.
    """


class PassingError(UserError):
    """A fault of the world outside that may be over by now (a store that did not answer): worth another try."""


def one_line(said: object) -> str:
    """The text of ``said`` on one line, without what a terminal would act on: names come from whoever made the data."""
    words = " ".join(str(said).split())
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in words)
