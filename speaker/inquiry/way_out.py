"""Which peers hear a prefix, by whose word, with which attributes; and what keeps it from others.

The questions are those that an export group asks, in its order: where the route came from, what the
protocol forbids, the operator's rules, the built-in policy, what fits into a message, what a quota
leaves room for. Members of one group that have the same rules written in the same places are
answered once.

Standards: RFC 4271 §9.1.3; RFC 7911 §2; RFC 9494 §4.6.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from fsm.family import Family
from policy.attributes import PathAttributes
from policy.calico import ExportReason, export_verdicts
from policy.decision import select_several
from policy.operations import Operation, next_hop_set
from policy.outbound import GroupKey, is_demoted, next_hop_for, withheld
from policy.path import Path, PeerType
from policy.prefix import Nlri
from policy.propagation import Withheld
from policy.rewriter import Rewriter
from policy.rules import ACCEPTED, Action, Verdict
from policy.tracing import Asked, operation_text
from speaker.config.plan import PeerPlan
from speaker.exchange import Share
from speaker.inquiry.answer import Because, Judged, Told
from speaker.inquiry.builtin import by_policy
from speaker.inquiry.judging import as_written, judged, plan_of
from speaker.inquiry.reasons import Telling
from speaker.inquiry.words import attribute_words
from speaker.peer import Peer
from speaker.rib.loc_rib import LocRib
from speaker.rib.member import Member
from speaker.speaker import Speaker
from speaker.wire.update import Packer

Attributes = tuple[tuple[str, str], ...]

DEMOTED = "LLGR_STALE means nothing to the peer: NO_EXPORT, LOCAL_PREF 0 (llgrPartialDeployment)"
"""What is done to a long-lived stale route for a peer that does not speak RFC 9494 (§4.6)."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a group makes of a path.

    Attributes:
        told: whether members hear it, as far as that is the same for all.
        by: who decides.
        attributes: as they are sent, in words.
        avoids: the address of the member that must not get it, or empty.
    """

    told: bool
    by: Judged
    attributes: Attributes = ()
    avoids: bytes = b""


class WayOut:
    """Answers for all peers about one prefix.

    Args:
        router: whose peers they are.
        family: of the prefix.
        nlri: the prefix.
        is_elsewhere: an external network has a path to it.
    """

    def __init__(
        self, router: Speaker, family: Family, nlri: Nlri, *, is_elsewhere: bool = False
    ) -> None:
        self._router = router
        self._family = family
        self._nlri = nlri
        self._loc_rib: LocRib = router.loc_ribs[family]
        self._is_elsewhere = is_elsewhere
        self._known: dict[tuple[int, Path, tuple[str, ...]], _Outcome] = {}

    def to(self, peer: Peer) -> Iterator[Told]:
        """Say what a peer hears: of each path on offer to it, or why there is none."""
        if self._family not in peer.plan.families:
            yield self._not(peer, Because.of(Telling.NO_FAMILY, family=self._family))
            return
        exchange = peer.exchange
        if not peer.is_established or exchange is None:
            yield self._not(peer, Because.of(Telling.SESSION_DOWN, why=peer.explanation))
            return
        share = exchange.shares.get(self._family)
        if share is None and self._router.is_closed(self._family, peer.name):
            peers = ", ".join(self._router.recovery.waiting().get(self._family, ()))
            yield self._not(peer, Because.of(Telling.DEFERRED, peers=peers))
            return
        if share is None:
            yield self._not(peer, Because.of(Telling.NO_FAMILY, family=self._family))
            return
        offered, left = self._offered(share.group.key)
        for path in offered:
            yield self._one(peer, plan_of(self._router, exchange.plan), share, path)
        for path in left:
            paths = share.group.key.add_path
            yield self._not(peer, Because.of(Telling.NOT_CHOSEN, paths=paths), path)
        if not offered:
            nothing = Telling.EXTERNAL if self._is_elsewhere else Telling.NOT_USED
            yield self._not(peer, Because.of(nothing))

    def _offered(self, key: GroupKey) -> tuple[list[Path], list[Path]]:
        """Give the paths that a group looks at, and those that it leaves out."""
        best = self._loc_rib.best.get(self._nlri)
        if not key.add_path:
            return ([] if best is None else [best]), []
        candidates = self._loc_rib.candidates(self._nlri)
        chosen = select_several(candidates, key.add_path, self._loc_rib.keep_unreachable)
        left = [path for path in candidates if path not in chosen and path.next_hop.reachable]
        return chosen, left

    def _not(self, peer: Peer, because: Because, path: Path | None = None) -> Told:
        source = "" if path is None else path.source.name
        return Told(peer.name, False, Judged(because), source)

    def _one(self, peer: Peer, plan: PeerPlan, share: Share, path: Path) -> Told:
        member = share.member
        if path.source is member.source:
            return self._not(peer, Because.of(Telling.OWN), path)
        found = self._outcome(plan, share, path)
        by, told, pending = found.by, found.told, None
        if told and found.avoids == member.address:
            told, by = False, Judged(Because.of(Telling.IS_NEXT_HOP))
        elif told and share.group.waits(self._nlri):
            told = False
            maximum = "" if share.group.key.quota is None else share.group.key.quota.maximum
            by = Judged(Because.of(Telling.NO_ROOM, maximum=maximum))
        elif told:
            pending = self._pending(share, member, path)
        return Told(peer.name, told, by, path.source.name, found.attributes, pending)

    def _pending(self, share: Share, member: Member, path: Path) -> Because | None:
        group = share.group
        if not any(out.path is path for out in group.told(member, self._nlri)):
            return Because.of(Telling.SOON)
        return Because.of(Telling.WAITS) if group.owes(member, self._nlri) else None

    def _outcome(self, plan: PeerPlan, share: Share, path: Path) -> _Outcome:
        rules = next((some for of, some in plan.export_rules if of == self._family), ())
        known = (id(share.group), path, tuple(rule.origin for rule in rules))
        if known not in self._known:
            self._known[known] = self._judge(plan, share.group.key, path)
        return self._known[known]

    def _judge(self, plan: PeerPlan, key: GroupKey, path: Path) -> _Outcome:
        reason = withheld(path, key)
        if reason is not None and reason is not Withheld.NO_NEXT_HOP:
            return _Outcome(False, Judged(Because(reason, reason.value)))
        verdict, otherwise = self._builtin(key, path)
        found, by = judged(
            as_written(key.export_filter, plan.export_rules, self._family),
            Asked(self._family.afi, self._nlri, path, key.scope),
            Telling.RULE_ACCEPTS,
            Telling.RULE_REJECTS,
            otherwise,
        )
        rule = found.decided
        accepted = verdict.accepted if rule is None else rule.action is Action.ACCEPT
        operations = verdict.operations if rule is None else rule.operations
        if reason is not None and not next_hop_for(path, key, next_hop_set(operations))[0]:
            # Nor does a rule name one.
            return _Outcome(False, Judged(Because(reason, reason.value)))
        if not accepted:
            return _Outcome(False, by)
        if rule is None:
            by = replace(by, operations=tuple(map(operation_text, operations)))
        if is_demoted(path, key):
            by = replace(by, operations=(*by.operations, DEMOTED))
        return self._rewritten(key, path, operations, by)

    def _builtin(self, key: GroupKey, path: Path) -> tuple[Verdict, Because]:
        """Say what becomes of the path where no rule of the operator decides."""
        if key.builtin is None:
            return ACCEPTED, Because.of(Telling.NOTHING_AGAINST)
        internal = key.peer_type is PeerType.INTERNAL
        [(verdict, _)] = export_verdicts(key.builtin, [self._nlri], path, internal)
        reason = ExportReason(verdict.reason)
        return verdict, by_policy(reason, key.builtin, self._family.afi, self._nlri)

    def _rewritten(
        self, key: GroupKey, path: Path, operations: tuple[Operation, ...], by: Judged
    ) -> _Outcome:
        raw, own, link_local = Rewriter(key)(path, operations)
        if not Packer(key.family, key.max_message).room(raw, own + link_local):
            return _Outcome(False, Judged(Because.of(Telling.TOO_LARGE, octets=key.max_message)))
        if not key.four_octet_as:
            # For people AS numbers have one form.
            raw = Rewriter(replace(key, four_octet_as=True))(path, operations).raw
        attributes = attribute_words(PathAttributes(raw, own, link_local))
        return _Outcome(True, by, attributes, b"" if own == key.local_address else own)
