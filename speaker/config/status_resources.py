"""Calico's CalicoNodeStatus as a model: what a node is asked to report, and what it reported.

Somebody writes the spec; the node that it names writes the status and nobody else does. What the
status says is worked out by `speaker.node_status` from the running router.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from speaker.config.models import Model, Name, Resource, word_of

MAX_PERIOD = 86_400
"""Seconds between two reports, at most a day."""


class StatusClass(StrEnum):
    """What is reported."""

    AGENT = "Agent"
    BGP = "BGP"
    ROUTES = "Routes"


class CalicoNodeStatusSpec(Model):
    """Which node reports what, and how often; a period of 0 seconds is once."""

    node: Name
    classes: list[Annotated[StatusClass, word_of(StatusClass)]]
    update_period_seconds: int = Field(ge=0, le=MAX_PERIOD)


class CalicoNodeStatus(Resource):
    """A report that a node is asked for.

    Equal by what is asked for: what was reported is no wish of anybody, and no edit.
    """

    spec: CalicoNodeStatusSpec
    status: dict[str, Any] | None = None

    def __eq__(self, other: object) -> bool:
        """Compare what is asked for."""
        if not isinstance(other, CalicoNodeStatus):
            return NotImplemented
        return (self.metadata, self.spec) == (other.metadata, other.spec)

    __hash__ = None  # type: ignore[assignment]  # as pydantic's own where equality is by fields
