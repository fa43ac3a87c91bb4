"""Capabilities that a peer must have for a session to be worth while (RFC 5492 §5).

The value of the key ``wren.bgp/require`` is a list of words, each the name of the key, or of the
thing, that the capability is about. Only what we offer can be required of the peer.
"""

from __future__ import annotations

import re
from enum import StrEnum

from fsm.capabilities import (
    AddPath,
    EnhancedRouteRefresh,
    ExtendedMessage,
    ExtendedNextHop,
    FourOctetAs,
    Multiprotocol,
    RouteRefreshCapability,
)
from speaker.config.scalars import ScalarError


class Requirement(StrEnum):
    """What a peer must have."""

    FAMILIES = "families"
    """All of the session's."""
    ROUTE_REFRESH = "routeRefresh"
    ENHANCED_REFRESH = "enhancedRefresh"
    FOUR_OCTET_AS = "fourOctetAS"
    EXTENDED_MESSAGES = "extendedMessages"
    EXTENDED_NEXT_HOP = "extendedNextHop"
    ADD_PATH = "addPath"

    @property
    def code(self) -> int:
        """The code of the capability."""
        return _CODES[self]


_CODES = {
    Requirement.FAMILIES: Multiprotocol.code,
    Requirement.ROUTE_REFRESH: RouteRefreshCapability.code,
    Requirement.ENHANCED_REFRESH: EnhancedRouteRefresh.code,
    Requirement.FOUR_OCTET_AS: FourOctetAs.code,
    Requirement.EXTENDED_MESSAGES: ExtendedMessage.code,
    Requirement.EXTENDED_NEXT_HOP: ExtendedNextHop.code,
    Requirement.ADD_PATH: AddPath.code,
}
_BY_WORD = {str(each).lower(): each for each in Requirement}


def parse_requirements(text: str) -> tuple[Requirement, ...]:
    """Read the value of the key.

    Raises:
        ScalarError: it makes no sense.
    """
    words = [word for word in re.split(r"[,\s]+", text.strip()) if word]
    unknown = [word for word in words if word.lower() not in _BY_WORD]
    if unknown or not words:
        known = ", ".join(Requirement)
        raise ScalarError("value", f"{' '.join(unknown) or text!r} is none of {known}")
    return tuple(each for each in Requirement if str(each).lower() in map(str.lower, words))
