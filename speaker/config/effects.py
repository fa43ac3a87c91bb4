"""Fields that are accepted and checked, and whose effect is not built.

One list, as data: whoever sets such a field gets a warning that names it, so that nobody believes
in a password that no socket carries. A field whose effect gets wired leaves the list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from speaker.config.annotations import PREFIX, TEXT_MAPS
from speaker.config.kinds import Kind
from speaker.config.problems import Violation
from speaker.config.trees import spec_of, text_map

NOT_YET_EFFECTIVE: dict[Kind, tuple[str, ...]] = {
    Kind.BGP_PEER: (
        "password",
        "ttlSecurity",
        "maxRestartTime",
        "restartMode",
        "failureDetectionMode",
        "birdGatewayMode",
        "externalNetwork",
        "localWorkloadSelector",
        PREFIX + "addPath",
        PREFIX + "gracefulRestart",
    ),
    Kind.BGP_CONFIGURATION: (
        "nodeMeshPassword",
        "nodeMeshMaxRestartTime",
        "serviceClusterIPs",
        "serviceExternalIPs",
        "serviceLoadBalancerIPs",
        "serviceLoadBalancerAggregation",
        "localWorkloadPeeringIPV4",
        "localWorkloadPeeringIPV6",
    ),
}
"""Fields of spec, and keys of Wren's own, by kind."""

_NEUTRAL: tuple[object, ...] = (None, "", 0, [], "None", "GracefulRestart", "Recursive")
"""Values that ask for nothing: the defaults."""


def without_effect(kind: Kind, tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Name the fields of a document that are set and do nothing."""
    for name in NOT_YET_EFFECTIVE.get(kind, ()):
        message = f"{name} is accepted and has no effect yet"
        if name.startswith(PREFIX):
            for path in TEXT_MAPS:
                if name in text_map(tree, path):
                    yield Violation((*path, name), "no-effect", message)
        elif spec_of(tree).get(name) not in _NEUTRAL:
            yield Violation(("spec", name), "no-effect", message)
