"""The terms of an image that several others went into: the strictest licence, the weakest basis to show people.

A licence asks for some things (`_LICENCES`). One that asks for all that another asks for, and more, is stricter, and
stands for both; where neither is the stricter, both stand, joined as SPDX joins them: ``CC-BY-NC-4.0 AND ODbL-1.0``.
A text that is not known as a whole, and a licence that nobody stated, cannot be outweighed by any other: they are
always kept. What is read into such a text is on the strict side: a sentence about research counts as research only.

A basis is weaker the less the people on the images have agreed to (`_BASES`).

Classes of licences: attribution, share-alike, non-commercial and no-derivatives are the elements of Creative Commons
(https://creativecommons.org/share-your-work/cclicenses); that academic-only and unspecified ones are classes of their
own follows Longpre et al., "The Data Provenance Initiative" (arXiv 2310.16787). Identifiers and ``AND``: SPDX
(https://spdx.org/licenses; SPDX 2.3, annex D). Bases: GDPR, articles 6(1) and 7(3). None of it is legal advice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

UNSTATED = "unstated"
"""A licence or a basis that nobody stated: no right may be assumed."""
_AND = " AND "
_AS_THE_DATA = ("", "as the training data allow")
"""What a model's card says of its licence where it says nothing of its own."""

Burden = frozenset[str]
"""What a licence asks for, or how little a basis rests on; one that contains another's is stricter, or weaker."""

_ATTRIBUTION = frozenset({"attribution"})
_SHARE_ALIKE = _ATTRIBUTION | {"share-alike"}
_NON_COMMERCIAL = _ATTRIBUTION | {"non-commercial"}
_RESEARCH = _NON_COMMERCIAL | {"research only"}
_WITHHELD = _RESEARCH | _SHARE_ALIKE | {"not to be passed on"}

_LICENCES: tuple[tuple[str, Burden], ...] = (
    (r"withdrawn|retracted|no.redistribution|not.*distributed|rights.reserved|no.?deriv|-ND\b", _WITHHELD),
    (r"research|academic|scientific|educational", _RESEARCH),
    (r"-NC\b|non.?commercial", _NON_COMMERCIAL),
    (r"-SA\b|share.?alike|\bODbL|\b[AL]?GPL|\bEUPL|\bMPL|CDLA-Sharing", _SHARE_ALIKE),
    (r"\bCC-BY\b|\bODC-By|attribution", _ATTRIBUTION),
)
"""A licence asks for everything that a pattern in it stands for; spaces count as hyphens."""
_KNOWN_LICENCES = (
    r"CC-BY(-NC)?(-SA|-ND)?(-[1-4]\.[0-9])?|ODC-By-1\.0|ODbL-1\.0|CDLA-Sharing-1\.0|MPL-[12]\.[01]|EUPL-1\.[0-2]",
    r"[AL]?GPL-[1-3]\.[01](-only|-or-later)?|share-alike|attribution(-required)?|(for-)?non-?commercial(-use)?(-only)?",
    r"(for-)?((academic|scientific|educational|research)-)*(research|use|purposes)(-only)?(,-non-?commercial)?",
    r"withdrawn(-by-its-authors(-in-[0-9]{4})?)?|no-redistribution|may-not-be-redistributed|all-rights-reserved",
)
"""They ask for nothing beyond what `_LICENCES` finds in them; what another text asks for besides nobody can tell."""
_PERMISSIVE = (
    r"CC0(-1\.0)?|PDDL-1\.0|public-domain|Unlicense|MIT|ISC|0BSD|Zlib|Apache-2\.0|BSD-[1-4]-Clause",
    r"CDLA-Permissive-[12]\.0|drawn-by-this-project,-Apache-2\.0",
)
"""They ask for nothing but their notice, some not even for that."""

_REFUSED = r"\b(no|not|none|never|nobody|non|without|withdr\w+|refus\w+|revok\w+|expired|declin\w+|object\w+)\b|n't\b"
_BASES = (
    r"(with(out| no)|no) (explicit |informed )?consent|consent (was )?(withdrawn|refused|revoked)|not asked",
    rf"unknown|{UNSTATED}|(consent )?not (known|stated|recorded)",
    r"(legitimate|public|vital) interests?|public task|legal obligation|contract"
    r"|(GDPR,? )?Art(\.|icle) ?(6|89)\b[\w().]*",
    r"(informed |explicit |written )?consent( of (everybody|all))?|opt(ed)?.in|release forms?( signed)?",
    r"(toy world\b[^:;]*: )?(drawn by a program[,;:]? shows nobody|no real (person|people): drawn by a program"
    r"|drawn by a program|shows nobody|no real (person|people))",
)
"""From the weakest on. A basis has to be one of these as a whole: any other text is kept beside them, and one that
negates anything (`_REFUSED`) counts as a refusal besides."""


class Terms(NamedTuple):
    """Terms of one image, or of many."""

    licence: str
    consent_basis: str

    @classmethod
    def of(cls, licence: str | None, consent_basis: str | None) -> Terms:
        """What is stated; `UNSTATED` for what is not."""
        return cls(licence or UNSTATED, consent_basis or UNSTATED)


def combined(parts: Iterable[Terms]) -> Terms:
    """The terms of what all of ``parts`` went into."""
    parts = tuple(parts)
    return Terms(strictest(part.licence for part in parts), weakest(part.consent_basis for part in parts))


def strictest(licences: Iterable[str | None]) -> str:
    """The licence of what images under all of ``licences`` went into; `UNSTATED` where there are none."""
    return _heaviest(frozenset(licences), _asks)


def weakest(bases: Iterable[str | None]) -> str:
    """The basis of what images on all of ``bases`` went into; `UNSTATED` where there are none."""
    found = _heaviest(frozenset(bases), _rests)
    # Where nobody is shown there is nobody to ask: one way to say so is enough.
    first = apart(found)[0]
    return found if _rests(first) else first


def of_model(licence: str | None, trained_on: Any) -> Terms:
    """The terms that a model hands on to what it makes, by what its run's record says of it.

    ``trained_on`` are its training sets by role: their terms hold, and the model's own licence. Of a sentence instead
    of them a basis is taken if it says one that is recognised. What is not said is `UNSTATED`.
    """
    if not isinstance(trained_on, Mapping):
        says_basis = isinstance(trained_on, str) and _rests(trained_on) != {trained_on}
        return Terms.of(licence, trained_on if says_basis else None)
    sets = [part for part in trained_on.values() if isinstance(part, Mapping)]
    own = [one for one in (licence or "").split("; ") if one not in _AS_THE_DATA]
    licences = [one for part in sets for one in part.get("licences") or [None]]
    return Terms(
        strictest([*licences, *own]), weakest(one for part in sets for one in part.get("consent_bases") or [None])
    )


def apart(stated: str) -> list[str]:
    """The licences, or bases, that stand joined in ``stated``."""
    return stated.split(_AND)


def laxer(licence: str, than: str) -> bool:
    """Whether ``licence`` leaves out something that ``than`` asks for."""
    return _leaves_out(licence, than, _asks)


def firmer(basis: str, than: str) -> bool:
    """Whether ``basis`` claims more than ``than`` gives."""
    return _leaves_out(basis, than, _rests)


def shows_nobody(basis: str) -> bool:
    """Whether ``basis`` says that the image shows no real person, and nothing else."""
    return not any(map(_rests, apart(basis)))


def _leaves_out(stated: str, than: str, burden: Callable[[str], Burden]) -> bool:
    carried = [burden(part) for part in apart(stated)]
    return not all(any(burden(part) <= one for one in carried) for part in apart(than))


@lru_cache(maxsize=4096)
def _heaviest(stated: frozenset[str | None], burden: Callable[[str], Burden]) -> str:
    """All that is stated, but for what something else outweighs."""
    parts = sorted({part for text in stated for part in apart(text or UNSTATED)} or {UNSTATED})
    burdens = {part: burden(part) for part in parts}
    kept = [part for part in parts if not any(burdens[part] < other for other in burdens.values())]
    return _AND.join(kept)


def _asks(licence: str) -> Burden:
    """What one licence asks for; of a text that is not known as a whole, what it says and nobody can tell too."""
    text = re.sub(r"[\s_-]+", "-", licence.strip())
    if _is_one_of(_PERMISSIVE, text):
        return frozenset()
    found = [burden for pattern, burden in _LICENCES if re.search(pattern, text, re.IGNORECASE)]
    beyond = () if _is_one_of(_KNOWN_LICENCES, text) else (licence,)
    return frozenset(beyond).union(*found)


def _rests(basis: str) -> Burden:
    """How little a basis rests on: one step for each that is stronger."""
    for rank, pattern in enumerate(_BASES):
        if _is_one_of((pattern,), basis.strip()):
            return frozenset(_BASES[rank + 1 :])
    refused = _BASES[1:] if re.search(_REFUSED, basis, re.IGNORECASE) else ()
    return frozenset({basis, *refused})


def _is_one_of(patterns: Iterable[str], text: str) -> bool:
    return any(re.fullmatch(pattern, text, re.IGNORECASE) for pattern in patterns)
