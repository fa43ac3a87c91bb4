"""NLRI of relayed families in words, for people and for JSON.

ExaBGP decodes them, behind the one door `speaker.wire.codec.exabgp`; what it cannot decode stands
in hexadecimal. Like `speaker.wire.describe`, this is slow and must never be called while routes are
being learned.
"""

from __future__ import annotations

import json
from typing import Any

from fsm.family import Family, Safi
from policy.prefix import show_address
from speaker.wire.codec import exabgp

_RD = 8


def _decode(family: Family, nlri: bytes) -> Any:
    """Let ExaBGP decode one NLRI; None where it cannot."""
    exa = exabgp()
    try:
        found, rest = exa.NLRI.unpack_nlri(family.afi, family.safi, nlri, exa.Action.ANNOUNCE, None)
    except Exception:
        # Its decoders fail in any way they like; what cannot be read is shown as it is.
        return None
    return None if rest else found


def nlri_text(family: Family, nlri: bytes) -> str:
    """Put an NLRI into words: ``10.0.0.0/24 label [ 100 ] rd 65000:1``."""
    decoded = _decode(family, nlri)
    try:
        return nlri.hex() if decoded is None else str(decoded)
    except Exception:
        return nlri.hex()


def nlri_facts(family: Family, nlri: bytes) -> dict[str, Any]:
    """Give the fields of an NLRI as ExaBGP names them; none where it cannot decode it."""
    try:
        facts = json.loads(_decode(family, nlri).json())
    except Exception:
        # ExaBGP writes JSON by hand.
        return {}
    return facts if isinstance(facts, dict) else {"nlri": facts}


def next_hop_text(family: Family, next_hop: bytes) -> str:
    """Print the next hop of a relayed route: addresses, without zero Route Distinguishers."""
    behind_rd = family.safi in (Safi.MPLS_VPN, Safi.BGP_LS_VPN, Safi.FLOW_VPN)
    step = _RD if behind_rd and len(next_hop) in (12, 24, 48) else 0
    size = 4 if len(next_hop) - step == 4 else 16
    parts = [next_hop[at + step : at + step + size] for at in range(0, len(next_hop), step + size)]
    if any(len(part) != size for part in parts):
        return next_hop.hex()
    return " ".join(map(show_address, parts))
