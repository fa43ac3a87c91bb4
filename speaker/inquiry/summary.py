"""The first line of an answer: whether the route is used, how, and what it comes to."""

from __future__ import annotations

from collections.abc import Iterator

from speaker.inquiry.answer import Candidate, Installed, Verdict, Why
from speaker.inquiry.reasons import Arrival, InKernel, Telling


def summary(found: Why) -> str:
    """Say in a sentence what became of a route."""
    is_address = "/" not in found.asked and found.prefix.partition("/")[0] != found.asked.strip()
    head = f"{found.asked}: " if is_address else ""
    if found.around.ours:
        head = f"{found.asked} is an address of this node; "
    head += f"{found.prefix} is {found.verdict.value}"
    match found.verdict:
        case Verdict.USED:
            return f"{head}: {', '.join(_used(found))}"
        case Verdict.UNUSED:
            return f"{head}: {_unused(found)}{_instead(found)}"
        case Verdict.ABSENT:
            return f"{head}: {_absent(found)}{_instead(found)}"


def _used(found: Why) -> Iterator[str]:
    best = next(each for each in found.candidates if each.is_best)
    yield where(best)
    main = found.kernel[0]
    if best.table is not None:
        yield f"in table {best.table} alone"
        return
    if main.because.reason is not InKernel.NO_KERNEL:
        yield _kernel(main, best)
    hears = {each.peer for each in found.told if each.told}
    asked = _concerned(found)
    if found.peer:
        yield f"{'announced' if hears else 'not announced'} to {found.peer}"
    elif asked:
        yield f"announced to {len(hears)} of {len(asked)} peers"
    else:
        yield "there are no peers to announce it to"


def _concerned(found: Why) -> set[str]:
    """Give the peers that could hear the route: those whose sessions carry its family."""
    reasons = ((each.peer, each.judged.because.reason) for each in found.told)
    return {peer for peer, reason in reasons if reason is not Telling.NO_FAMILY}


def where(candidate: Candidate) -> str:
    """Say where a path comes from: ``via 10.0.0.2 (eBGP AS 65002)``."""
    if not candidate.address:
        return str(candidate.judged.because)
    if candidate.next_hop == candidate.address or not candidate.next_hop:
        return f"via {candidate.address} ({candidate.origin})"
    return f"via {candidate.next_hop} from {candidate.address} ({candidate.origin})"


def _kernel(main: Installed, best: Candidate) -> str:
    reason = main.because.reason
    if reason in (InKernel.BLACKHOLE, InKernel.UNREACHABLE):
        return f"in the kernel as {reason.name.lower()}"
    if reason in (InKernel.INSTALLED, InKernel.TUNNELLED):
        return "in the kernel"
    if best.judged.because.reason in (Arrival.CONNECTED, Arrival.FOREIGN):
        return "in the kernel already"
    return "not in the kernel"


def _unused(found: Why) -> str:
    first = next(each for each in found.candidates if each.accepted)
    return f"{first.source} tells it, but {first.next_hop or 'its next hop'} cannot be reached"


def _absent(found: Why) -> str:
    turned_away = [each for each in found.candidates if not each.accepted]
    if turned_away:
        first = turned_away[0]
        others = len(turned_away) - 1
        more = f" (and {others} more tell it in vain)" if others else ""
        because = first.judged.because
        verb = "it is " if because.reason is Arrival.REFUSED else ""
        return f"{first.source} tells it, but {verb}{because}{more}"
    if found.kernel[0].because.reason is InKernel.ADOPTED:
        return "the kernel has it from an earlier run, and no peer has told it so far"
    if found.kernel[0].routes:
        return "the kernel has it from somebody else, and no peer has told it"
    if found.peer:
        for each in found.silent:
            return f"{each.source}: {each.because}"
    down = {each.peer for each in found.told if each.judged.because.reason is Telling.SESSION_DOWN}
    silent = "no peer has told it"
    if down:
        silent += f" ({len(down)} of {len(_concerned(found))} peers down)"
    return f"{silent}, and it is none of ours"


def _instead(found: Why) -> str:
    taken = found.around.taken
    if taken == found.prefix or found.around.ours:
        return ""
    if taken:
        return f"; packets take {taken}"
    return "; packets to it have no route"
