"""Resources for tests, from text or from a few words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from textwrap import dedent
from typing import Any

from speaker.config.kinds import CALICO, find_kind, versions_of
from speaker.config.plan import Plan, resolve
from speaker.config.reading import read_file
from speaker.config.report import Report
from speaker.config.store import Resources, build


def document(kind: str, name: str, spec: Mapping[str, Any], **metadata: Any) -> dict[str, Any]:
    """Make a document as plain data, of Calico's v3 or of what its kind is written in."""
    known = find_kind(kind)
    return {
        "apiVersion": versions_of(known)[0] if known else CALICO,
        "kind": kind,
        "metadata": {"name": name, **metadata},
        "spec": dict(spec),
    }


def node(
    name: str,
    ipv4: str | None = None,
    ipv6: str | None = None,
    *,
    asn: int | None = None,
    cluster_id: str | None = None,
    **labels: str,
) -> dict[str, Any]:
    """Make a Node."""
    bgp = {
        "ipv4Address": ipv4,
        "ipv6Address": ipv6,
        "asNumber": asn,
        "routeReflectorClusterID": cluster_id,
    }
    found = {key: value for key, value in bgp.items() if value is not None}
    return document("Node", name, {"bgp": found} if found else {}, labels=labels)


def peer(name: str, **spec: Any) -> dict[str, Any]:
    """Make a BGPPeer; ``extensions`` keys of Wren may be given as a mapping."""
    return document("BGPPeer", name, spec)


def settings(name: str = "default", **spec: Any) -> dict[str, Any]:
    """Make a BGPConfiguration; ``annotations`` goes to its metadata."""
    annotations = spec.pop("annotations", {})
    return document("BGPConfiguration", name, spec, annotations=annotations)


def block(cidr: str, of: str, state: str = "confirmed") -> dict[str, Any]:
    """Make a BlockAffinity."""
    name = f"{of}-{cidr.replace('.', '-').replace(':', '-').replace('/', '-').strip('-')}"
    name = "-".join(filter(None, name.split("-")))
    return document("BlockAffinity", name, {"node": of, "cidr": cidr, "state": state})


def resources(*documents: Mapping[str, Any]) -> Resources:
    """Make a set of resources; every document must be valid."""
    reports = [report for item in documents for report in read_file(json.dumps(item), "test.json")]
    problems = [str(problem) for report in reports for problem in report.problems]
    assert problems == []
    built, duplicates = build(reports)
    assert duplicates == []
    return built


def plan(
    me: str, *documents: Mapping[str, Any], router_id_env: str | None = None, **more: Any
) -> Plan:
    """Resolve documents for a node; more goes to `resolve`."""
    return resolve(resources(*documents), me, router_id_env, **more)


def read(text: str, file: str = "test.yaml") -> list[Report]:
    """Read the documents of an indented text."""
    return read_file(dedent(text), file)
