"""Between whose paths MULTI_EXIT_DISC could decide.

It compares only within one neighbouring AS, and this alone keeps ranks from ordering paths totally
(RFC 4271 §9.1.2.2 c). A Loc-RIB shows each path to its `MedWatch` before it uses it, and asks every
source when something changes that one of the ``contested`` told: its path may have kept another one
back, or may do so now. What all others tell changes nothing between those, and is compared with the
best alone.
"""

from __future__ import annotations

from policy.path import Path, Source


class MedWatch:
    """Knows between whose paths MULTI_EXIT_DISC could decide.

    Attributes:
        contested: sources of paths by way of an AS from which different MEDs were heard.
    """

    __slots__ = ("_seen", "contested")

    def __init__(self) -> None:
        self._seen: dict[int, tuple[set[Source], set[int]]] = {}
        self.contested: set[Source] = set()

    def __len__(self) -> int:
        return len(self._seen)

    def note(self, path: Path) -> None:
        """Take notice of a path; cheap, once per attribute set."""
        if not path.source.is_bgp:
            return
        attributes = path.attributes
        seen = self._seen.get(attributes.neighbor_as)
        if seen is None:
            seen = self._seen[attributes.neighbor_as] = set(), set()
        sources, meds = seen
        # Two that differ say as much as thousands.
        if len(meds) > 1 and path.source in sources:
            return
        sources.add(path.source)
        if len(meds) < 2:
            meds.add(attributes.med or 0)
        if len(meds) > 1 and _can_disagree(sources):
            self.contested |= sources

    def forget(self, source: Source) -> None:
        """A source is gone: what it said may not matter any more."""
        for neighbor_as, (sources, _) in list(self._seen.items()):
            sources.discard(source)
            if not sources:
                del self._seen[neighbor_as]
        self.contested = set()
        for sources, meds in self._seen.values():
            if len(meds) > 1 and _can_disagree(sources):
                self.contested |= sources


def _can_disagree(sources: set[Source]) -> bool:
    """Tell whether these may have two paths to one prefix."""
    return len(sources) > 1 or any(source.tells_several for source in sources)
