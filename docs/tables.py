"""The manual's tables, made from the code that they describe.

`python docs/tables.py` writes them; a test sees to it that they are current.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from fsm.ends import ENDS, Agreement, consequence
from speaker.config.changes import ON_CHANGE, SIGNATURES
from speaker.config.keys import KEYS
from speaker.config.peerplan import OnChange
from speaker.privileges.needs import NEEDS
from speaker.wire.verdicts import ROWS, Row

HERE = Path(__file__).parent
ROOT = HERE.parent

_COST = {
    OnChange.RESET: "the session is reset (Cease/Other Configuration Change)",
    OnChange.REGROUP: "the peer hears what differs; no reset",
    OnChange.REFILTER_IN: "what the peer told us is judged anew; no reset",
    OnChange.REFILTER_OUT: "what the peer is told is judged anew; no reset",
    OnChange.REBALANCE: "kernel routes share the traffic anew; no reset",
    OnChange.NEXT_SESSION: "nothing now; the next session has it",
}
_ROLL = "keys roll over on the session that stands"
_FIRST = "the first one resets a session that has none"


def keys() -> Iterator[str]:
    """Make the table of Wren's own keys."""
    yield "# Wren's own keys"
    yield ""
    yield "What Calico's fields cannot say stands in `spec.extensions` of a BGPPeer, or in the"
    yield "`metadata.annotations` of the resource. Values are text. An unknown `wren.bgp/…` key is"
    yield "refused; other keys are left alone. This file is made by `python docs/tables.py`."
    yield ""
    yield "| key | on | values | what it does |"
    yield "|---|---|---|---|"
    for key in KEYS:
        values = key.values.replace("|", "\\|")
        yield f"| `{key.full_name}` | {key.kind.value} | {values} | {key.sentence} |"


def changes() -> Iterator[str]:
    """Make the table of what each change of a peer costs."""
    yield "# What a change costs"
    yield ""
    yield "Every setting of a peer declares what a change of it does to the running session;"
    yield "`wren plan` tells it for an edit before it is made. This file is made by"
    yield "`python docs/tables.py`."
    yield ""
    yield "| setting | what happens |"
    yield "|---|---|"
    for name, cost in ON_CHANGE.items():
        words = [text for flag, text in _COST.items() if cost & flag]
        words += [_ROLL] if name == "tcp_ao" else []
        words += [_FIRST] if name in SIGNATURES else []
        yield f"| {name.replace('_', ' ')} | {'; '.join(words) or 'nothing'} |"


# The reading order of the handbook: what comes in, what is decided, what goes out.
_CHAPTERS = (
    "fsm",
    "fsm/family.py fsm/messages.py fsm/notifications.py fsm/events.py fsm/effects.py fsm/timers.py",
    "fsm/capabilities.py fsm/negotiation.py fsm/machine.py fsm/bgp.py fsm/session.py",
    "fsm/explanation.py",
    "fsm/bfd fsm/bfd/packet.py fsm/bfd/authentication.py fsm/bfd/session.py",
    "speaker/net/admission.py speaker/net/tcp_ao.py",
    "speaker/net/transport.py speaker/wire speaker/wire/framing.py speaker/wire/codec.py",
    "speaker/wire/update.py speaker/wire/attributes.py speaker/wire/verdicts.py",
    "speaker/wire/usual.py",
    "policy policy/prefix.py policy/attributes.py policy/usual.py policy/path.py",
    "policy/ranking.py policy/decision.py",
    "speaker/rib speaker/rib/inbound.py speaker/rib/attribute_table.py speaker/rib/adj_rib_in.py",
    "speaker/rib/loc_rib.py speaker/rib/next_hops.py speaker/rib/export_group.py",
    "speaker/rib/out_routes.py speaker/rib/member.py",
    "policy/rules.py policy/steps.py policy/residues.py policy/filters.py",
    "policy/calico.py policy/propagation.py policy/outbound.py",
    "policy/vrps.py speaker/rpki/pdus.py speaker/rpki/client.py speaker/rpki/answer.py",
    "speaker/cache.py speaker/origins.py",
    "policy/prefix_sets.py policy/reach.py",
    "speaker/wire/relay.py speaker/wire/flow.py speaker/rib/relayed_out_routes.py",
    "speaker/relays.py",
    "speaker/kernel speaker/kernel/fib.py speaker/kernel/holdings.py speaker/kernel/ways.py",
    "speaker/kernel/objects.py",
    "speaker/kernel/netlink.py speaker/kernel/monitor.py",
    "speaker/config speaker/config/selectors.py speaker/config/peers.py",
    "speaker/config/honoured.py speaker/config/plan.py",
    "speaker/config/changes.py speaker/datastore/directory.py",
    "speaker/bfd speaker/bfd/loop.py speaker/bfd/watching.py speaker/bfd/watched.py",
    "speaker/bfd/client.py speaker/bfd/finding.py speaker/bfd/door.py speaker/bfd/fate.py",
    "speaker/bfd/echo.py speaker/watches.py",
    "speaker/config/stored.py speaker/config/updates.py speaker/config/splices.py",
    "speaker/config/amendments.py speaker/datastore/edition.py",
    "speaker/reception.py speaker/peer.py speaker/connection.py speaker/reading.py",
    "speaker/exchange.py",
    "speaker/turn.py speaker/ground.py speaker/external_networks.py speaker/speaker.py",
    "speaker/config/ranges.py speaker/dynamic_peers.py speaker/newcomers.py speaker/net/places.py",
    "speaker/edits.py speaker/plan_source.py speaker/reconciliation.py speaker/daemon.py",
    "speaker/commands.py speaker/control",
    "speaker/succession.py speaker/service_manager.py speaker/supervision.py speaker/doctor",
    "speaker/privileges speaker/privileges/dropping.py speaker/privileges/nursery.py",
    "speaker/control/access.py",
    "policy/tracing.py speaker/rib/refusals.py speaker/rib/resolving.py",
    "speaker/inquiry speaker/inquiry/reasons.py",
    "speaker/rib/session_rules.py speaker/trials speaker/trials/node.py",
    "speaker/trials/comparing.py speaker/trials/inventing.py speaker/wire/mrt.py",
    "lab lab/topology.py lab/state.py lab/lab.py",
)


def _docstring(place: str) -> tuple[str, str]:
    """Find the chapter of a module or package: its path and its text."""
    path = ROOT / place if place.endswith(".py") else ROOT / place / "__init__.py"
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return str(path.relative_to(ROOT)), text


def handbook() -> Iterator[str]:
    """Put the chapters of the modules into reading order."""
    yield "# Handbook"
    yield ""
    yield "How Wren works, in the words of its modules, in the order in which data travels. This"
    yield "file is made by `python docs/tables.py` from the chapter at the head of each module."
    for line in _CHAPTERS:
        for place in line.split():
            path, text = _docstring(place)
            title, _, rest = text.partition("\n\n")
            yield ""
            yield f"## {' '.join(title.split())}"
            yield ""
            yield f"[`{path}`](../{path})"
            yield ""
            yield rest.strip()


_TAG = re.compile(r"RFC (\d{4}) ((?:§[\d.]+(?:\.?[a-z])?(?:[-–]§?[\d.]+)?(?:, (?=§))?)+)")


def _sections(text: str) -> set[tuple[int, str]]:
    found = set()
    for number, sections in _TAG.findall(text):
        for section in re.findall(r"§([\d.]+)", sections):
            found.add((int(number), section.strip(".")))
    return found


def rfc_index() -> Iterator[str]:
    """List which modules obey which section of which RFC."""
    yield "# Which code obeys which section"
    yield ""
    yield "Made by `python docs/tables.py` from the tags `RFC nnnn §x` in the source."
    yield ""
    yield "| RFC | section | where |"
    yield "|---|---|---|"
    where: dict[tuple[int, str], list[str]] = {}
    for package in ("fsm", "policy", "speaker"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for tag in _sections(path.read_text(encoding="utf-8")):
                where.setdefault(tag, []).append(str(path.relative_to(ROOT)))
    for (number, section), paths in sorted(where.items(), key=_in_order):
        links = ", ".join(f"[{path}](../{path})" for path in paths)
        yield f"| {number} | {section} | {links} |"


def _in_order(item: tuple[tuple[int, str], list[str]]) -> tuple[int, list[int]]:
    (number, section), _ = item
    return number, [int(part) for part in section.split(".") if part]


_ABOUT_ERRORS = """\
What Wren does with a message that breaks the rules, row by row, as RFC 7606 and the standards after
it say. *Prefix ignored*: the prefix is left out, the rest of the UPDATE stands. *Attribute
discard*: the attribute is dropped, the rest of the UPDATE stands. *Route excluded*: the route is
well-formed but cannot be used; it takes the place of the one that was there, and nothing is told.
*Treat as withdraw*: all routes of the UPDATE are withdrawn, the session stays. *Session reset*: a
NOTIFICATION is sent. Where the standard allows to disable one address family just as well (marked
¹), Wren resets: a family that is dead on a session that lives looks healthy, and nothing would
bring it back.

Every row has a test in `tests/conformance`, seen from outside by a second peer. This file is made
by `python docs/tables.py` from `speaker/wire/verdicts.py`.
""".splitlines()


def rfc7606() -> Iterator[str]:
    """Make the table of what each error of an UPDATE costs."""
    yield "# What an error costs"
    yield ""
    yield from _ABOUT_ERRORS
    yield ""
    yield "| part | error | what follows | NOTIFICATION | standard |"
    yield "|---|---|---|---|---|"
    for row in ROWS:
        yield _row7606(row)


def _row7606(row: Row) -> str:
    told = "" if row.notification is None else "/".join(map(str, row.notification))
    mark = " ¹" if row.or_disable else ""
    return f"| {row.subject} | {row.error} | {row.verdict.value}{mark} | {told} | {row.standard} |"


def session_ends() -> Iterator[str]:
    """Make the table of what each end of a session does to the peer's routes."""
    yield "# What the end of a session does to routes"
    yield ""
    yield "What becomes of the routes that the peer has told us, by how its session ends and by"
    yield "what both ends agreed on in their OPENs. Where they *stay*, it is until the peer has"
    yield "told them again, or until the restart time from its OPEN is over; where both ends"
    yield "speak RFC 9494, they are a last resort then, until the Long-Lived Stale Time is over"
    yield "too. A peer does the same with ours, if it follows the standards. This file is made by"
    yield "`python docs/tables.py`, which lets each end happen to a session."
    yield ""
    yield "A fault of ours that hits a peer takes its routes away in any case: they are not to be"
    yield "trusted. An edit that makes the peer another one (its AS, say) does so too."
    yield ""
    yield "While routes stay, BFD may say that the path to the peer is gone. They go then at once"
    yield "if BFD ends with the control plane at neither end, by the C bits (RFC 5882 §4.3.1); else"
    yield "BFD may have fallen with what restarts, and changes nothing (RFC 5882 §4.3.2)."
    yield ""
    yield f"| how it ends | {' | '.join(Agreement)} |"
    yield "|---|---|---|---|"
    for end in ENDS:
        words = [consequence(end, agreement).name.lower() for agreement in Agreement]
        yield f"| {end.cause} | {' | '.join(words)} |"


def capabilities() -> Iterator[str]:
    """Make the table of which capability is needed for what."""
    yield "# Which capability is needed for what"
    yield ""
    yield "Measured on a kernel, row by row, by `tests/netns/test_needs.py`; [what Wren does about"
    yield "them](operating.md#privileges). *At the start* means that it is given up afterwards."
    yield "This file is made by `python docs/tables.py`."
    yield ""
    yield "| what | capability | not needed where | without it |"
    yield "|---|---|---|---|"
    for row in NEEDS:
        needed = "none" if row.capability is None else f"{row.capability}"
        needed += "" if row.lasting else ", at the start"
        yield f"| {row.what} | {needed} | {row.unless} | {row.without} |"


PAGES = {
    "capabilities.md": capabilities,
    "session-ends.md": session_ends,
    "changes.md": changes,
    "handbook.md": handbook,
    "keys.md": keys,
    "rfc.md": rfc_index,
    "rfc7606.md": rfc7606,
}


def render(name: str) -> str:
    """Make one page."""
    return "\n".join(PAGES[name]()) + "\n"


if __name__ == "__main__":
    for page in PAGES:
        (HERE / page).write_text(render(page), encoding="utf-8")
