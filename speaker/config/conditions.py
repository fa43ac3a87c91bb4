"""What is wrong in a set of resources without stopping anybody.

A set of resources that are each valid can still ask for what cannot be: a filter nobody defined,
two peers with one address. The plan leaves out the smallest thing it can and says so in a
`Condition`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ConditionType(StrEnum):
    """What a condition is about, in the words of Kubernetes' resources.

    The first three are good when they hold, the others when they do not.
    """

    ACCEPTED = "Accepted"
    """The document is valid and counts."""
    RESOLVED = "Resolved"
    """What it refers to is there."""
    ESTABLISHED = "Established"
    """The sessions that it leads to are up."""
    DEGRADED = "Degraded"
    """It works with less than it asks for."""
    CONFLICTING = "Conflicting"
    """Another resource contradicts it."""


TYPES: dict[ConditionType, frozenset[str]] = {
    ConditionType.ACCEPTED: frozenset({"Ignored", "Invalid"}),
    ConditionType.RESOLVED: frozenset(
        {"UnknownFilter", "NoTarget", "NoAS", "NoAddress", "OwnAddress", "GatewayFamily", "NoPlan"}
        | {"PeerASDiffers", "PeerPortDiffers", "NothingSelected", "NoSuchNode"}
    ),
    ConditionType.CONFLICTING: frozenset(
        {"DuplicatePeer", "SameAddress", "MeshOverridden", "PeersDisagree", "DuplicateName"}
        | {"PoolsOverlap"}
        | {"LocalASUnknown", "MeshASDiffers"}
    ),
}
"""The reasons that are about each; all others say that a resource is degraded."""


class Gravity(StrEnum):
    """How bad a condition is."""

    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that is wrong, and which resource is to blame.

    Attributes:
        resource: ``BGPPeer/name``.
        reason: one word for programs, ``UnknownFilter``.
        message: a sentence for people.
    """

    resource: str
    severity: Gravity
    reason: str
    message: str

    @property
    def type(self) -> ConditionType:
        """Tell what it is about."""
        return next(
            (kind for kind, reasons in TYPES.items() if self.reason in reasons),
            ConditionType.DEGRADED,
        )

    def as_json(self) -> dict[str, str]:
        """Give it as plain data."""
        return {
            "resource": self.resource,
            "severity": self.severity.value,
            "reason": self.reason,
            "message": self.message,
        }


class Conditions:
    """Collects conditions while a plan is made; each is told once."""

    def __init__(self) -> None:
        self._found: dict[Condition, None] = {}

    def warn(self, resource: str, reason: str, message: str) -> None:
        """Note what works otherwise than somebody may think."""
        self._found[Condition(resource, Gravity.WARNING, reason, message)] = None

    def error(self, resource: str, reason: str, message: str) -> None:
        """Note what does not work."""
        self._found[Condition(resource, Gravity.ERROR, reason, message)] = None

    def all(self) -> tuple[Condition, ...]:
        """Give what was found, in the order of finding."""
        return tuple(self._found)
