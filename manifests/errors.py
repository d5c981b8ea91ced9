"""The exception types whose message is meant for the person who runs a command."""

from __future__ import annotations


class UserError(Exception):
    """A mistake that the user can mend: one line that says what is wrong, where, and what to do.

    Command-line entry points print it as ``error: ...`` on stderr and exit with status 2.
    """

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in the place of a traceback, which would bury the line."""
        return [f"error: {self}"]


class PassingError(UserError):
    """A fault of the world outside that may be over by now (a store that did not answer): worth another try."""


def one_line(said: object, most: int | None = None) -> str:
    """The text of ``said`` on one line of at most ``most`` characters; the type of an exception that has no text.

    Without what a terminal would act on: names come from whoever made the data.
    """
    words = " ".join(str(said).split()) or (type(said).__name__ if isinstance(said, BaseException) else "")
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in words)[:most]


def first_line(said: object) -> str:
    """The first line of the text of ``said``, as `one_line` gives it: libraries go on with details and advice."""
    lines = str(said).strip().splitlines()
    return one_line(lines[0] if lines else said)
