"""What an edit changes in the resources."""

from __future__ import annotations

from typing import Any

import pytest

from speaker.config.differences import differences
from tests.support.resources import block, node, peer, resources, settings

TOR = {"node": "r1", "peerIP": "10.0.0.254", "asNumber": 65001}


def said(old: list[Any], new: list[Any]) -> list[str]:
    return [found.describe() for found in differences(resources(*old), resources(*new))]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"asNumber": 65002}, "spec.asNumber 65001 → 65002"),
        ({"peerIP": "10.0.0.253:1179"}, "spec.peerIP 10.0.0.254 → 10.0.0.253:1179"),
        ({"peerIP": "[fd00::1]:1179"}, "spec.peerIP 10.0.0.254 → [fd00::1]:1179"),
        ({"maxRestartTime": "1m30s"}, "spec.maxRestartTime unset → 90 s"),
        ({"node": None, "nodeSelector": "has(rack)"}, "spec.node r1 → unset, spec.nodeSelector"),
        ({"keepOriginalNextHop": True}, "spec.keepOriginalNextHop false → true"),
        ({"filters": ["f"]}, "spec.filters"),
        ({"password": {"secretKeyRef": {"name": "s", "key": "k"}}}, "spec.password.secretKeyRef"),
        ({"extensions": {"wren.bgp/passive": "on"}}, "spec.extensions.wren.bgp/passive unset → on"),
    ],
)
def test_fields_are_named_as_in_documents(changed: dict[str, Any], words: str) -> None:
    spec = {key: value for key, value in {**TOR, **changed}.items() if value is not None}
    [found] = said([peer("tor", **TOR)], [peer("tor", **spec)])
    assert found.startswith(f"BGPPeer/tor: {words}")


def test_what_comes_and_goes_and_labels_that_differ() -> None:
    old = [node("r1", "10.0.0.1/24", rack="a", role="x"), block("10.65.0.0/26", "r1")]
    new = [node("r1", "10.0.0.9/24", rack="b", rr="", zone="z"), settings(asNumber=64513)]
    configuration, of_node, of_block = said(old, new)
    assert (configuration, of_block) == (
        "BGPConfiguration/default: created",
        "BlockAffinity/r1-10-65-0-0-26: deleted",
    )
    assert of_node == (
        "Node/r1: metadata.labels.rack a → b, metadata.labels.role x → unset, "
        'metadata.labels.rr unset → "", '
        "metadata.labels.zone unset → z, spec.bgp.ipv4Address 10.0.0.1/24 → 10.0.0.9/24"
    )
    assert said(old, old) == []
