"""The usual attribute set of an UPDATE, judged at one look.

`policy.usual` takes a set of the usual shape apart; here it is held against what the session allows
(RFC 7606: what must be there, what may come from whom). Such octets are their own normal form, so
nothing has to be put together again. Everything else is left to `speaker.wire.attributes.scan`,
which is the referee: what is usual here, `scan` gives back unchanged and without a fault (a
property test).

Standards: RFC 4271 §4.3, §5; RFC 7606 §7; RFC 7607 §2.
"""

from __future__ import annotations

from policy.usual import UsualParts, match_usual
from speaker.wire.attributes import ScanContext

_NOBODY = b"\0\0\0\0"


# hot: per attribute set
def usual_parts(raw: bytes, context: ScanContext) -> UsualParts | None:
    """Take a usual set apart, if a peer may send it; None for a set that has to be scanned.

    NEXT_HOP may be missing: it has to be there where the prefixes stand in the NLRI field.
    """
    match = match_usual(raw)
    if match is None or not context.four_octet_as:
        return None
    parts = match.groups()
    as_path, _, _, local_pref, _, reflection, _, _ = parts
    # Four zero octets in the path might be AS 0, or fall between two numbers.
    if _NOBODY in as_path:
        return None
    if context.internal:
        return None if local_pref is None else parts
    return parts if local_pref is None and not reflection else None
