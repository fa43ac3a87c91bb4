"""Policies looked at without a route: what in them never decides, does nothing, or stays open.

`lint` takes resources and the plans of nodes that they lead to; what the plans add is which
sessions use which filters. Without any, filters are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Iterable

from speaker.config.chains import Chains, uses_of
from speaker.config.findings import Finding
from speaker.config.peer_lint import lint_peers
from speaker.config.plan import Plan
from speaker.config.rule_lint import lint_rules
from speaker.config.store import Resources


def lint(resources: Resources, plans: Iterable[Plan]) -> list[Finding]:
    """Find what is not as somebody may believe.

    Args:
        resources: that are in force.
        plans: of nodes, made of them.
    """
    uses = uses_of(plans)
    chains = Chains(resources)
    return [*lint_rules(uses, chains), *lint_peers(resources, uses, chains)]
