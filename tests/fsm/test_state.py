from __future__ import annotations

from fsm.state import State


def test_states_are_ordered_by_progress_and_named_as_in_the_standard() -> None:
    """RFC 4271 §8.2.2."""
    names = ["Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established"]
    assert [str(state) for state in sorted(State)] == names
