"""The example of an edge router: its policies let in, mark, drop and tell what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import Family
from lab.probes import kernel_routes
from speaker.config.reading import validate
from speaker.control.client import ask
from tests.support.birds import told
from tests.support.labs import lab_of
from tests.support.pairs import becomes

EDGE = Path(__file__).parent.parent.parent / "examples" / "edge"


def test_the_resources_of_the_example_are_valid() -> None:
    files = [(str(file), file.read_text()) for file in sorted((EDGE / "resources").iterdir())]
    reports = validate(files)
    assert len(reports) == 7
    assert [problem for report in reports for problem in report.problems] == []
    assert [warning for report in reports for warning in report.warnings] == []


@pytest.mark.netns
@pytest.mark.interop
def test_the_example_does_what_it_says() -> None:
    with lab_of((EDGE / "topology.yaml").read_text(), EDGE) as lab:
        lab.wait_established()
        edge, transit, customer = (lab.node(name) for name in ("edge", "transit", "customer"))

        def kernel() -> dict[str, str]:
            found = kernel_routes(edge, Family.IPV4)
            return {p: r.kind for p, r in found.items() if not p.startswith("172.31.")}

        becomes(
            "what is let in stands in the kernel",
            kernel,
            {"203.0.113.0/24": "unicast", "192.0.2.0/24": "unicast", "192.0.2.66/32": "blackhole"},
        )

        def why(prefix: str) -> str:
            return str(ask(edge.home, "why", prefix=prefix, peer=None, json=False)["text"])

        assert "importV4[0]" in why("198.51.100.0/24")
        assert "rejects it: not the customer's own;" in why("198.51.100.0/24")
        assert "drops packets; adds community 65535:65281" in why("192.0.2.66/32")

        def heard(prefix: str) -> dict[str, str] | None:
            found = told(transit, prefix)
            wanted = ("as_path", "med", "community")
            return found and {name: found[name] for name in wanted if name in found}

        becomes("ours is told", lambda: heard("198.18.0.0/24"), {"as_path": "64511", "med": "20"})
        path = {"as_path": "64511 64500", "med": "20"}
        becomes("the customer's is told", lambda: heard("192.0.2.0/24"), path)
        assert heard("192.0.2.66/32") is None
        becomes(
            "the customer hears all",
            lambda: sorted(
                customer.routes(Family.IPV4).keys() & {"198.18.0.0/24", "203.0.113.0/24"}
            ),
            ["198.18.0.0/24", "203.0.113.0/24"],
        )
