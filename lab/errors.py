"""What can go wrong in a laboratory, as exceptions whose text is one line that says what to do.

`LabError` is the root; `TopologyError` adds where in the topology the mistake stands, so that the
reader of the file can name the line. Nothing here knows processes, namespaces or terminals.
"""

from __future__ import annotations

Place = tuple[str | int, ...]


class LabError(Exception):
    """A laboratory cannot do what was asked; the text says what to do about it."""


class TopologyError(LabError):
    """The topology contradicts itself.

    Args:
        message: the rule that is broken, without the place.
        place: keys and indexes that lead to the mistake, such as ``("nodes", "r1", "asn")``.
    """

    def __init__(self, message: str, place: Place = ()) -> None:
        self.message = message
        self.place = place
        super().__init__(f"{dotted(place)}: {message}" if place else message)


def dotted(place: Place) -> str:
    """Write a place as a reader of YAML would say it: ``links[0].r1``."""
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
