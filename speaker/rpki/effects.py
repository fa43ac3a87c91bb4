"""What a client asks its shell to do, and how it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from fsm.family import Afi
from policy.prefix import Nlri
from policy.vrps import VrpTable


class ClientState(StrEnum):
    """How a session stands."""

    STOPPED = "stopped"
    DOWN = "down"
    CONNECTING = "connecting"
    SYNCING = "syncing"
    UP = "up"


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect; answered by `Client.connected` or `Client.lost`."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send octets."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class HangUp:
    """Send what waits and close; the connection's end is not to be told."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """The cache says something else from now on, as a whole."""

    tables: Mapping[Afi, VrpTable]


@dataclass(frozen=True, slots=True)
class Altered:
    """VRPs of these prefixes came or went, in the tables that the cache has."""

    nlris: Mapping[Afi, set[Nlri]]


Effect: TypeAlias = Dial | Send | HangUp | Replaced | Altered
