"""What the daemon answers at its control socket, command by command.

Most commands are functions of the rooms that they ask about: this one only knows which, and answers
by itself what takes several of them together. Answers have the shapes of `speaker.control.views`;
what cannot be done is a `ControlError` for the person who asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from speaker.config.documents import Document
from speaker.config.kinds import Kind
from speaker.config.plan import Plan
from speaker.config.reading import read_document
from speaker.confirmation import Confirmation
from speaker.control.protocol import ControlError
from speaker.control.server import Handler
from speaker.control.views import DatastoreView, ForecastView, ResourcesView, WhyView
from speaker.drainage import Drainage
from speaker.errors import ConfigError
from speaker.foresight import Foresight
from speaker.inquiry.inquiry import why
from speaker.orders import disable, drain, enable, refresh, undrain
from speaker.origin_views import rpki, validity
from speaker.plan_source import PlanSource
from speaker.reconciliation import Reconciliation
from speaker.resource_status import ResourceStatus
from speaker.route_views import RouteViews
from speaker.speaker import Speaker
from speaker.status import Status
from speaker.succession import Handover

LOOKS = frozenset(
    {
        *("status", "peer", "routes", "why", "rpki", "bfd", "validity", "heard", "resources"),
        *("forecast", "datastore", "version"),
    }
)
"""The commands that change nothing."""


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands of one daemon.

    Attributes:
        router: that most are about.
        status: of the router and its node.
        source: where the router's plans come from.
        reconciliation: of the two.
        confirmation: of edits that are put back unless somebody keeps them.
        drainage: of the router.
        handover: to another daemon.
    """

    router: Speaker
    status: Status
    source: PlanSource
    reconciliation: Reconciliation
    confirmation: Confirmation
    drainage: Drainage
    handover: Handover

    def handlers(self) -> dict[str, Handler]:
        """Give what answers each command, by its name."""
        router, status, views = self.router, self.status, RouteViews(self.router)
        return {
            "status": lambda request: status.status(),
            "peer": lambda request: status.peer_detail(str(request.get("name", ""))),
            "routes": views.routes,
            "why": self._why,
            "rpki": lambda request: rpki(router),
            "bfd": lambda request: router.watches.view(),
            "validity": lambda request: validity(router, request),
            "heard": lambda request: views.heard(),
            "resources": self._resources,
            "forecast": self._forecast,
            "refresh": lambda request: refresh(router, request),
            "disable": lambda request: disable(router, request),
            "enable": lambda request: enable(router, request),
            "drain": lambda request: drain(self.drainage, request),
            "undrain": lambda request: undrain(self.drainage),
            "reload": self.reconciliation.reload,
            "hold": self.confirmation.hold,
            "confirm": self.confirmation.confirm,
            "rollback": self.confirmation.roll_back,
            "datastore": self._datastore,
            "takeover": self.handover.offer,
            "version": lambda request: {"version": status.status()["version"]},
        }

    def _why(self, request: dict[str, Any]) -> WhyView:
        """Say why a route is there or not."""
        found = why(self.router, str(request.get("prefix", "")), request.get("peer"))
        if request.get("json"):
            return {"used": found.is_used, "answer": found.as_json()}
        return {"used": found.is_used, "text": str(found)}

    def _datastore(self, request: dict[str, Any]) -> DatastoreView:
        """Tell where the resources are, for commands that edit them."""
        source = self.source
        return {
            "path": str(source.datastore.resolve()),
            "node": source.node,
            "strictSecrets": source.strict_secrets,
        }

    def _resources(self, request: dict[str, Any]) -> ResourcesView:
        """Say what resources have come to."""
        found = ResourceStatus(
            self.source.loaded,
            (*self.reconciliation.conditions, *self.status.conditions()),
            [self.status.peer(peer) for peer in self.router.peers.values()],
            self.router.plan.held,
            rpki(self.router)["caches"],
        )
        kind, name = str(request.get("kind") or ""), str(request.get("name") or "")
        return found.view(kind, name, self.confirmation.view())

    async def _forecast(self, request: dict[str, Any]) -> Iterator[ForecastView]:
        """Say what an edit would do to routes: ``put`` has documents, ``delete`` kinds and names.

        Raises:
            ControlError: a document is not valid, or no plan can be made.
        """
        try:
            # In a thread: thousands of documents take longer than a session's turn may.
            plan = await asyncio.to_thread(self._would_be_plan, request)
        except ConfigError as error:
            raise ControlError(error.message, error.hint) from None
        except (TypeError, ValueError) as error:
            raise ControlError(f"not a list of kinds and names: {error}") from None
        return Foresight(self.router, plan).chunks()

    def _would_be_plan(self, request: dict[str, Any]) -> Plan:
        put = []
        for number, tree in enumerate(request.get("put") or ()):
            report = read_document(Document("the request", number, tree, {}))
            if report.resource is None:
                raise ConfigError("; ".join(problem.sentence for problem in report.problems))
            put.append(report.resource)
        gone = [(Kind(kind), str(name)) for kind, name in request.get("delete") or ()]
        return self.source.plan_with(put, gone)
