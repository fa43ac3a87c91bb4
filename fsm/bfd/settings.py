"""What an operator sets of a BFD session.

Standards: RFC 5880 §6.8.1, §6.8.3.
"""

from __future__ import annotations

from dataclasses import dataclass

from fsm.bfd.authentication import Authentication
from fsm.errors import LocalError

SLOW_US = 1_000_000
"""The least interval between packets of a session that is not Up. RFC 5880 §6.8.3."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is configured of a session.

    Args:
        desired_min_tx_us: bfd.DesiredMinTxInterval while the session is Up.
        required_min_rx_us: bfd.RequiredMinRxInterval.
        detect_mult: bfd.DetectMult, 1 to 255.
        idle_tx_us: the least interval while nobody is heard; never less than a second.
        required_min_echo_rx_us: how often echo packets are looped back; 0 for not at all.
        authentication: how packets are authenticated.
        independent: the C bit: this end lives on when its control plane restarts.

    Raises:
        LocalError: an interval of 0, which would ask for silence, or no such multiplier.
    """

    desired_min_tx_us: int = 300_000
    required_min_rx_us: int = 300_000
    detect_mult: int = 3
    idle_tx_us: int = SLOW_US
    required_min_echo_rx_us: int = 0
    authentication: Authentication | None = None
    independent: bool = False

    def __post_init__(self) -> None:
        for interval in (self.desired_min_tx_us, self.required_min_rx_us):
            if not 0 < interval < 1 << 32:
                raise LocalError(f"{interval} µs is no interval for BFD")
        if not 0 < self.detect_mult < 256:
            raise LocalError(f"{self.detect_mult} is no detect multiplier for BFD: 1 to 255 are")
