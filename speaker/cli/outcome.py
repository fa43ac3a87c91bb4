"""What a verb did to how many resources, in calicoctl's words.

Scripts read these sentences; they go to stdout where something was done, else to stderr.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import typer

from speaker.cli.making import Made
from speaker.cli.options import Output
from speaker.config.stored import Stored


@dataclass(slots=True)
class Outcome:
    """What became of the resources that a verb was given.

    Attributes:
        verb: ``create``, ``apply`` …
        done: the same as a participle.
    """

    verb: str
    done: str
    given: Sequence[Stored]
    handled: list[Stored] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def said(self) -> list[str]:
        """Give the lines about what was done."""
        if not self.given:
            return ["No resources specified"]
        if not self.handled:
            return []
        kind = self._kind()
        if not self.errors or self.verb == "delete":
            return [f"Successfully {self.done} {len(self.handled)}{kind} resource(s)"]
        counted = f"the first {len(self.handled)} out of {len(self.given)}"
        return [f"Partial success: {self.done} {counted}{kind} resources:"]

    def refused(self) -> list[str]:
        """Give the lines about what was not done."""
        if not self.errors:
            return []
        kind = self._kind()
        if self.verb == "delete":
            return [f"Failed to delete{kind} resource: {error}" for error in self.errors]
        listed = f"[{'; '.join(self.errors)}]"
        if self.handled:
            return [f"Hit error(s): {listed}"]
        if len(self.given) == 1:
            return [f"Failed to {self.verb}{kind} resource: {listed}"]
        return [f"Failed to {self.verb} any{kind} resources: {listed}"]

    def _kind(self) -> str:
        kinds = {resource.kind for resource in self.given}
        return f" '{kinds.pop()}'" if len(kinds) == 1 else ""

    def as_json(self) -> dict[str, Any]:
        """Give the object of ``-o json``."""
        return {
            self.done: [{"kind": each.kind.value, "name": each.name} for each in self.handled],
            "errors": self.errors,
        }


def tell(outcome: Outcome, made: Made, output: Output) -> None:
    """Print what was done; what was not makes the command fail."""
    made.tell(outcome.said(), outcome.refused(), outcome.as_json(), output)
    if outcome.errors:
        raise typer.Exit(1)
