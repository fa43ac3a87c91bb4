"""The limit of prefixes, with those who come back when it is lifted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import ip_network

import pytest

from lab import Family
from tests.support.labs import lab_of, two_nodes
from tests.support.pairs import THEIRS, Pair, becomes

pytestmark = [pytest.mark.interop, pytest.mark.netns]


def with_keys(pair: Pair, keys: Mapping[str, str]) -> None:
    """Give all peers of the Wren node further keys."""
    path = pair.wren.speaks.home / "datastore" / "resources.json"
    resources = json.loads(path.read_text(encoding="utf-8"))
    for item in resources["items"]:
        if item["kind"] == "BGPPeer":
            item["spec"]["extensions"].update({f"wren.bgp/{k}": v for k, v in keys.items()})
    fresh = path.with_name(".edited.json")
    fresh.write_text(json.dumps(resources), encoding="utf-8")
    fresh.rename(path)


@pytest.mark.parametrize("kind", ["bird", "frr"])
def test_too_many_prefixes_close_the_session_until_the_limit_is_higher(kind: str) -> None:
    with lab_of(two_nodes(kind, 65002)) as lab:
        pair = Pair(lab)
        pair.agree()
        with_keys(pair, {"maxPrefixes": "1"})
        pair.agree()
        for prefix in ("10.77.0.0/16", "fd00:77::/48"):
            pair.other.announce(ip_network(prefix))
        becomes("the sessions fall", lambda: any(pair.wren.speaks.sessions().values()), False)
        for family in Family:
            pair.wren_forgets(THEIRS[family][0], family)
        with_keys(pair, {"maxPrefixes": "9"})
        pair.agree()
