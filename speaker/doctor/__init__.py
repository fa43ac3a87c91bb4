"""Looking at the ground before a start, or before taking the place of another speaker.

`examine` asks one question after the other and gives `Finding`s; nothing is changed, bound or sent.
What the machine says comes through one narrow door, a `Machine`, so that every answer can be put
there in a test. What cannot be found out without more rights is a warning, never a guess.
"""

from speaker.doctor.examination import examine
from speaker.doctor.findings import Finding, Verdict
from speaker.doctor.machine import Machine, ThisMachine
from speaker.doctor.order import Order

__all__ = ["Finding", "Machine", "Order", "ThisMachine", "Verdict", "examine"]
