"""A hundred thousand kernel routes are adopted, wanted again, and none of them is ever missing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial

import pytest

from lab import RunningNode
from tests.netns.test_graceful_start import said
from tests.support.labs import lab_of
from tests.support.netns import needs_namespaces
from tests.support.pairs import becomes
from tests.support.restarters import BIRD_RESTARTS, restarting
from tests.support.watching import watched

pytestmark = [
    pytest.mark.netns,
    pytest.mark.interop,
    pytest.mark.soak,
    pytest.mark.timeout(600),
    needs_namespaces,
]

ROUTES = 100_000


def topology() -> str:
    prefixes = [f"{20 + n // 65536}.{n // 256 % 256}.{n % 256}.0/24" for n in range(ROUTES)]
    return json.dumps(
        {
            "nodes": {
                "w": {"kind": "wren", "asn": 65001},
                "b": {"kind": "bird", "asn": 65002, "networks": prefixes},
            },
            "links": [{"w": ["172.31.0.1/24"], "b": ["172.31.0.2/24"]}],
            "bgp": [{"between": ["w", "b"], "hold_time": 90, "extra": {"b": BIRD_RESTARTS}}],
        }
    )


def count(node: RunningNode) -> int:
    """Count the kernel routes that are Wren's."""
    return node.execute(["ip", "route", "show", "proto", "bird"]).count("\n")


def test_adoption_and_sweep_of_a_large_table_remove_nothing(
    record_property: Callable[[str, object], None],
) -> None:
    with lab_of(topology()) as lab:
        w = lab.node("w")
        lab.wait_established(seconds=120)
        becomes("all is there", partial(count, w), ROUTES, seconds=180)
        with watched(w) as watches:
            w.kill()
            began = time.time()
            w.start()
            lab.wait_established(seconds=120)
            becomes("nobody is waited for", partial(restarting, w), [], seconds=120)
            becomes("it is over", lambda: len(said(w, "start of ipv4 .*is over")), 1, seconds=120)
        assert count(w) == ROUTES
        assert watches["w"].removed == []
        [(adopted, _)] = said(w, f"{ROUTES} ipv4 kernel routes of an earlier run are adopted")
        up = said(w, "Established")[-1][0]
        [(over, _)] = said(w, "start of ipv4 .*is over")
        figures = f"adopted after {adopted - began:.2f} s, first session after {up - began:.2f} s, "
        figures += f"all over after {over - began:.2f} s"
        record_property("figures", figures)
        # The dump is what takes time; from it to the session there is nothing else to do.
        assert up - adopted < 2.0, figures
