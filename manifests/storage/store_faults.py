"""What an object store's failure is: one that passes, or one that stays; and what of it a person wants to read.

obstore raises one type for nearly everything and puts the rest into its text: a first line for people, and below it
a dump of the error's sources, from which the cause is taken.
"""

from __future__ import annotations

import re

from obstore.exceptions import AlreadyExistsError, GenericError

from manifests.errors import first_line, one_line

_STATUS = re.compile(r"status code: (\d{3})([^:<\n]*)")
_CODE = re.compile(r"<Code>(.*?)</Code>", re.DOTALL)
_MESSAGE = re.compile(r"<Message>(.*?)</Message>", re.DOTALL)
_PASSING_STATUS = {408, 425, 429, 500, 502, 503, 504}
_CAUSES = (
    # (what the text holds, what to say, whether it passes)
    ("BadScheme", "an http:// endpoint is refused unless AWS_ALLOW_HTTP=true", False),
    ("/latest/api/token", "no credentials in the environment, nor an instance that gives them", False),
    ("/latest/meta-data", "no credentials in the environment, nor an instance that gives them", False),
    ("metadata.google.internal", "no credentials in the environment, nor an instance that gives them", False),
    ("169.254.169.254", "no credentials in the environment, nor an instance that gives them", False),
    ("Name or service not known", "no such host: check the endpoint and the region", False),
    ("invalid peer certificate", "the server's certificate is not trusted", False),
    ("builder error", "the endpoint is no URL that can be asked", False),
    ("failed to lookup address", "the host's name cannot be looked up", True),
    ("Connection refused", "connection refused", True),
    ("Connection reset", "connection reset", True),
    ("TimedOut", "timed out", True),
    ("kind: Timeout", "timed out", True),
    ("IncompleteMessage", "the connection broke off", True),
    ("request or response body error", "the answer broke off", True),
    ("HTTP error", "the connection failed", True),
    ("Content-Range", "the answer broke off and its rest was not to be had", True),
)


def passes(error: Exception) -> bool:
    """Whether ``error`` may be over by the next try: no answer, half an answer, or a server that is busy."""
    if isinstance(error, AlreadyExistsError | ConnectionError | TimeoutError):
        return True  # the first is HTTP 409: somebody else was writing the same object
    if not isinstance(error, GenericError):
        return False
    text = str(error)
    if status := _STATUS.search(text):
        return int(status[1]) in _PASSING_STATUS or "<Code>RequestTimeout</Code>" in text
    return next((passing for sign, _, passing in _CAUSES if sign in text), False)


def reason(error: Exception) -> str:
    """Why, in part of a line."""
    text = str(error).strip()
    if status := _STATUS.search(text):
        told = [match[1].strip() for match in (_CODE.search(text), _MESSAGE.search(text)) if match]
        return one_line(f"HTTP {status[1]}{status[2]}{': ' if told else ''}{', '.join(told)}")
    if isinstance(error, FileNotFoundError):
        return "no such file"
    said = next((says for sign, says, _ in _CAUSES if sign in text), None)
    return said or first_line(error)
