"""RPKICache as a model: where a cache of the RPKI-to-Router protocol is, and for which nodes.

It is a kind of our own; Calico has none of the sort. What its fields demand of each other is asked
by `speaker.config.cache_rules`.
"""

from __future__ import annotations

from pydantic import Field

from speaker.config.models import Duration, Host, Model, Port, Resource, SelectorText
from speaker.rpki.intervals import MAX_VRPS

RTR_PORT = 323
"""IANA's for the protocol over plain TCP (RFC 8210 §14)."""


class RPKICacheSpec(Model):
    """A cache, and how it is asked."""

    address: Host
    port: Port = RTR_PORT
    node_selector: SelectorText | None = None
    refresh_interval: Duration | None = None
    retry_interval: Duration | None = None
    expire_interval: Duration | None = None
    max_vrps: int = Field(default=MAX_VRPS, ge=1, le=100_000_000)


class RPKICache(Resource):
    """A cache that tells routers which AS may originate which prefix (RFC 8210)."""

    spec: RPKICacheSpec
