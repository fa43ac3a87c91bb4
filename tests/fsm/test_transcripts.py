"""Whole conversations: what two ends say to each other, line by line."""
# ruff: noqa: E501 - a line of a transcript is not broken

from __future__ import annotations

import pytest

from fsm.capabilities import GracefulRestart, Role
from fsm.errors import BgpError, MessageHeaderError, OpenMessageError, UpdateMessageError
from fsm.events import (
    AutomaticStop,
    ManualStart,
    ManualStartWithPassiveTcpEstablishment,
    ManualStop,
    MessageSent,
    SendBlocked,
    SendProgress,
    Side,
)
from fsm.messages import Keepalive, Open
from fsm.notifications import Notification
from fsm.session import SessionConfig
from fsm.state import State
from tests.support.duet import Duet, Said, Script, Update, config, lines, mirrored


def started(left: SessionConfig, right: SessionConfig | Script, delay: float = 0.001) -> Duet:
    duet = Duet(left, right, delay)
    if not isinstance(right, Script):
        duet.tell("right", ManualStart())
    duet.tell("left", ManualStart())
    return duet


def answering(of: SessionConfig) -> Script:
    """Return an end that agrees and then falls silent."""
    return Script(on_connect=(mirrored(of).open_message(),), on_open=(Keepalive(),))


def test_a_dialling_and_a_waiting_end_come_up_and_keep_each_other_alive() -> None:
    of = config(hold_time=9)
    duet = started(of, mirrored(of, passive=True), delay=0.010)
    duet.run(until=7)
    assert duet.transcript == lines("""
         0.000 left       dial
         0.010 right→left OPEN as=64513 hold=90
         0.020 left→right OPEN as=64512 hold=9
         0.020 left→right KEEPALIVE
         0.030 right→left KEEPALIVE
         0.030 right      up hold=9
         0.040 left       up hold=9
         3.020 left→right KEEPALIVE
         3.030 right→left KEEPALIVE
         6.020 left→right KEEPALIVE
         6.030 right→left KEEPALIVE
    """)


def test_two_ends_that_dial_each_other_keep_the_connection_of_the_greater_identifier() -> None:
    """RFC 4271 §6.8; right is 10.0.0.2 and dialled the first."""
    of = config()
    duet = started(of, mirrored(of), delay=0.010)
    duet.run(until=1)
    assert duet.transcript == lines("""
         0.000 right      dial
         0.000 left       dial #2
         0.010 left→right OPEN as=64512 hold=90
         0.010 right→left OPEN as=64513 hold=90 #2
         0.020 right→left OPEN as=64513 hold=90
         0.020 right→left KEEPALIVE
         0.020 left→right OPEN as=64512 hold=90 #2
         0.020 left→right KEEPALIVE #2
         0.030 left→right KEEPALIVE
         0.030 left→right NOTIFICATION Cease/Connection Collision Resolution #2
         0.030 left       close #2
         0.030 left       failed: we sent NOTIFICATION Cease/Connection Collision Resolution
         0.030 left       up hold=90
         0.030 right→left NOTIFICATION Cease/Connection Collision Resolution #2
         0.030 right      close #2
         0.030 right      failed: we sent NOTIFICATION Cease/Connection Collision Resolution
         0.040 right      up hold=90
    """)
    assert len(duet.wires("left")) == len(duet.wires("right")) == 1


def test_hold_timer_expiry_says_so_and_comes_back() -> None:
    """RFC 4271 §6.5, §8.2.2 event 10."""
    of = config(hold_time=9)
    duet = started(of, answering(of))
    duet.run(until=14.1)
    assert duet.transcript == lines("""
         0.000 left       dial
         0.001 right→left OPEN as=64513 hold=90
         0.002 left→right OPEN as=64512 hold=9
         0.002 left→right KEEPALIVE
         0.003 right→left KEEPALIVE
         0.004 left       up hold=9
         3.002 left→right KEEPALIVE
         6.002 left→right KEEPALIVE
         9.002 left→right KEEPALIVE
         9.004 left→right NOTIFICATION Hold Timer Expired
         9.004 left       close
         9.004 left       down: we sent NOTIFICATION Hold Timer Expired: no message came for 9 s
        14.004 left       dial #2
        14.005 right→left OPEN as=64513 hold=90 #2
        14.006 left→right OPEN as=64512 hold=9 #2
        14.006 left→right KEEPALIVE #2
        14.007 right→left KEEPALIVE #2
        14.008 left       up hold=9 #2
    """)


def test_open_with_zero_hold_time_stops_both_timers() -> None:
    """RFC 4271 §4.4: neither end times the other, for a day."""
    of = config(hold_time=0)
    duet = started(of, mirrored(of, passive=True))
    duet.run(until=86400)
    assert duet.transcript == lines("""
         0.000 left       dial
         0.001 right→left OPEN as=64513 hold=90
         0.002 left→right OPEN as=64512 hold=0
         0.002 left→right KEEPALIVE
         0.003 right→left KEEPALIVE
         0.003 right      up hold=0
         0.004 left       up hold=0
    """)
    assert duet.left.deadline is None


def test_a_wrong_as_is_refused_in_the_first_breath() -> None:
    """RFC 4271 §6.2."""
    of = config()
    duet = started(of, mirrored(of, local_asn=65000, passive=True))
    duet.run(until=1)
    assert duet.transcript == lines("""
         0.000 left       dial
         0.001 right→left OPEN as=65000 hold=90
         0.002 left→right OPEN as=64512 hold=90
         0.002 left→right NOTIFICATION OPEN Message Error/Bad Peer AS
         0.002 left       close
         0.002 left       failed: we sent NOTIFICATION OPEN Message Error/Bad Peer AS: the peer says it is AS 65000, expected AS 64513
         0.003 right→left KEEPALIVE
         0.003 right      close
         0.003 right      failed: the peer sent NOTIFICATION OPEN Message Error/Bad Peer AS
    """)


def test_the_back_off_grows_while_the_peer_refuses() -> None:
    of = config(idle_hold=(5, 30))
    refusing = Script(on_open=(OpenMessageError(2).notification,))
    duet = started(of, refusing)
    duet.run(until=100)
    assert [line for line in duet.lines if "dial" in line] == lines("""
         0.000 left       dial
         5.004 left       dial #2
        15.008 left       dial #3
        35.012 left       dial #4
        65.016 left       dial #5
        95.020 left       dial #6
    """).splitlines()


def test_a_peer_that_is_not_there_is_dialled_at_the_pace_of_connect_retry() -> None:
    duet = started(config(connect_retry_time=5), Script(listens=False))
    duet.run(until=12)
    assert duet.transcript == lines("""
         0.000 left       dial
         0.002 left       failed: the connection failed: Connection refused
         5.002 left       dial #2
         5.004 left       failed: the connection failed: Connection refused
        10.004 left       dial #3
        10.006 left       failed: the connection failed: Connection refused
    """)


def test_a_manual_stop_says_goodbye_and_stays_down() -> None:
    """RFC 9003 §2."""
    of = config()
    duet = started(of, mirrored(of, passive=True))
    duet.run(until=1)
    duet.lines.clear()
    duet.tell("left", ManualStop(message="moving to rack 7"))
    duet.run(until=600)
    assert duet.transcript == lines("""
         1.000 left→right NOTIFICATION Cease/Administrative Shutdown "moving to rack 7"
         1.000 left       close
         1.000 left       down: we sent NOTIFICATION Cease/Administrative Shutdown "moving to rack 7"
         1.001 right      close
         1.001 right      down: the peer sent NOTIFICATION Cease/Administrative Shutdown "moving to rack 7"
    """)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (MessageHeaderError(1), "Message Header Error/Connection Not Synchronized"),
        (MessageHeaderError(2, b"\x00\x12"), "Message Header Error/Bad Message Length [00 12]"),
        (MessageHeaderError(3, b"\x09"), "Message Header Error/Bad Message Type [09]"),
        (UpdateMessageError(1), "UPDATE Message Error/Malformed Attribute List"),
        (
            Open(64513, 90, 1),
            "Finite State Machine Error/Unexpected Message In Established [01]",
        ),
    ],
)
def test_garbage_on_an_established_session_is_answered_by_its_error(
    said: Said, answer: str
) -> None:
    """RFC 4271 §6.1, §6.3, §6.6."""
    of = config()
    duet = started(of, answering(of))
    duet.run(until=1)
    duet.lines.clear()
    duet.say("right", said)
    duet.run(until=2)
    assert duet.lines[1] == lines(f"1.001 left→right NOTIFICATION {answer}")


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (OpenMessageError(1, b"\x00\x04"), "OPEN Message Error/Unsupported Version Number [00 04]"),
        (Open(64513, 2, 1), "OPEN Message Error/Unacceptable Hold Time"),
        (Open(64513, 90, 0), "OPEN Message Error/Bad BGP Identifier"),
        (Keepalive(), "Finite State Machine Error/Unexpected Message In OPEN Sent [04]"),
        (Update(), "Finite State Machine Error/Unexpected Message In OPEN Sent [02]"),
    ],
)
def test_garbage_instead_of_an_open_is_answered_by_its_error(said: Said, answer: str) -> None:
    """RFC 4271 §6.2, RFC 6608 §4."""
    duet = started(config(), Script())
    duet.run(until=1)
    duet.lines.clear()
    duet.say("right", said)
    duet.run(until=2)
    assert duet.lines[1] == lines(f"1.001 left→right NOTIFICATION {answer}")


def test_an_update_before_the_first_keepalive_is_refused() -> None:
    """RFC 6608 §4."""
    of = config()
    duet = started(of, Script(on_connect=(mirrored(of).open_message(), Update())))
    duet.run(until=1)
    assert (
        lines(
            "0.002 left→right NOTIFICATION Finite State Machine Error/"
            "Unexpected Message In OPEN Confirm [02]"
        )
        in duet.lines
    )


def test_a_peer_that_dies_is_dialled_again_when_it_is_back() -> None:
    of = config()
    duet = started(of, mirrored(of, passive=True))
    duet.run(until=10)
    duet.sever()
    duet.tell("right", ManualStop())
    duet.run(until=12)
    assert duet.left.state is State.IDLE
    assert str(duet.left.last_down) == "the connection failed: closed by the peer"
    duet.tell("right", ManualStart())
    duet.run(until=16)
    assert duet.left.state is duet.right.state is State.ESTABLISHED


def test_a_cut_cable_is_noticed_by_both_ends_and_healed() -> None:
    of = config(hold_time=9, connect_retry_time=10)
    duet = started(of, mirrored(of))
    duet.run(until=1)
    duet.is_cut = True
    duet.run(until=30)
    assert State.ESTABLISHED not in (duet.left.state, duet.right.state)
    duet.is_cut = False
    duet.run(until=60)
    assert duet.left.state is duet.right.state is State.ESTABLISHED


def test_two_ends_in_their_back_off_find_each_other() -> None:
    """A refusal because of a back-off must not start one: the ends would miss each other."""
    of = config(idle_hold=(5, 30), connect_retry_time=1000)
    duet = started(of, mirrored(of, idle_hold=(7, 30), connect_retry_time=1000))
    duet.run(until=1)
    duet.tell("left", AutomaticStop())
    duet.run(until=10)
    assert lines("6.001 right→left NOTIFICATION Cease/Connection Rejected #3") in duet.lines
    assert duet.left.state is duet.right.state is State.ESTABLISHED


def test_an_end_that_delays_its_open_hears_the_other_first() -> None:
    """RFC 4271 §8.1.1 (DelayOpen)."""
    of = config(delay_open_time=5)
    duet = started(of, mirrored(of, passive=True))
    duet.run(until=1)
    assert duet.transcript == lines("""
         0.000 left       dial
         0.001 right→left OPEN as=64513 hold=90
         0.002 left→right OPEN as=64512 hold=90
         0.002 left→right KEEPALIVE
         0.003 right→left KEEPALIVE
         0.003 right      up hold=90
         0.004 left       up hold=90
    """)


@pytest.mark.parametrize("error", [MessageHeaderError(1), UpdateMessageError(3)])
def test_after_any_error_the_session_comes_back(error: BgpError) -> None:
    of = config()
    duet = started(of, answering(of))
    duet.run(until=1)
    duet.say("right", error)
    duet.run(until=10)
    assert duet.left.state is State.ESTABLISHED


def test_a_peer_that_cannot_bear_capabilities_gets_a_session_without() -> None:
    """RFC 5492 §3."""
    of = config()
    script = Script(on_open=(Notification(2, 4),))
    duet = started(of, script)
    duet.run(until=1)
    script.on_open = (mirrored(of).open_message(with_capabilities=False), Keepalive())
    duet.run(until=6)
    assert duet.transcript == lines("""
         0.000 left       dial
         0.002 left→right OPEN as=64512 hold=90
         0.003 right→left NOTIFICATION OPEN Message Error/Unsupported Optional Parameter
         0.004 left       close
         0.004 left       failed: the peer sent NOTIFICATION OPEN Message Error/Unsupported Optional Parameter
         5.004 left       dial #2
         5.006 left→right OPEN as=64512 hold=90 #2
         5.007 right→left OPEN as=64513 hold=90 #2
         5.007 right→left KEEPALIVE #2
         5.008 left→right KEEPALIVE #2
         5.008 left       up hold=90 #2
    """)
    assert duet.left.negotiated is not None
    assert not duet.left.negotiated.four_octet_as


def test_two_ends_that_restart_gracefully_part_for_good_by_a_hard_reset() -> None:
    """RFC 8538 §3."""
    graceful = GracefulRestart(False, True, 120, ())
    of = config(graceful_restart=graceful)
    duet = started(of, mirrored(of, passive=True, graceful_restart=graceful))
    duet.run(until=1)
    duet.lines.clear()
    duet.tell("left", ManualStop(message="rack 7", hard=True))
    duet.run(until=2)
    assert duet.transcript == lines("""
         1.000 left→right NOTIFICATION Cease/Hard Reset (Cease/Administrative Shutdown "rack 7")
         1.000 left       close
         1.000 left       down: we sent NOTIFICATION Cease/Hard Reset (Cease/Administrative Shutdown "rack 7")
         1.001 right      close
         1.001 right      down: the peer sent NOTIFICATION Cease/Hard Reset (Cease/Administrative Shutdown "rack 7")
    """)
    reason = duet.right.last_down
    assert reason is not None
    assert (reason.is_hard_reset, reason.communication) == (True, "rack 7")


def test_a_peer_that_speaks_and_does_not_read_is_left() -> None:
    """RFC 9687 §4: what the peer says keeps the HoldTimer at bay, but not the SendHoldTimer."""
    of = config(hold_time=9, send_hold_time=12)
    duet = started(of, mirrored(of, passive=True))
    duet.run(until=1)
    duet.tell("left", SendBlocked(Side.OUTGOING))
    duet.run(until=5)
    duet.tell("left", SendProgress(Side.OUTGOING, is_drained=False))
    duet.run(until=17.1)
    assert [line for line in duet.lines if "KEEPALIVE" not in line][5:] == lines("""
        17.000 left→right NOTIFICATION Send Hold Timer Expired
        17.000 left       close
        17.000 left       down: we sent NOTIFICATION Send Hold Timer Expired: the peer does not read
        17.001 right      close
        17.001 right      down: the peer sent NOTIFICATION Send Hold Timer Expired
    """).splitlines()


def test_updates_take_the_place_of_keepalives() -> None:
    """RFC 4271 §8.2.2."""
    of = config(hold_time=9)
    duet = started(of, mirrored(of, passive=True))
    for moment in (2, 4, 6):
        duet.run(until=moment)
        duet.tell("left", MessageSent(Side.OUTGOING))
    duet.run(until=9.5)
    assert [line for line in duet.lines if "left→right KEEPALIVE" in line] == lines("""
         0.002 left→right KEEPALIVE
         9.000 left→right KEEPALIVE
    """).splitlines()


def test_roles_that_do_not_fit_are_told_to_both_operators() -> None:
    """RFC 9234 §4.2."""
    of = config(role=Role.CUSTOMER)
    duet = started(of, mirrored(of, role=Role.PEER, passive=True))
    duet.run(until=1)
    assert duet.transcript == lines("""
         0.000 left       dial
         0.001 right→left OPEN as=64513 hold=90
         0.002 left→right OPEN as=64512 hold=90
         0.002 left→right NOTIFICATION OPEN Message Error/Role Mismatch
         0.002 left       close
         0.002 left       failed: we sent NOTIFICATION OPEN Message Error/Role Mismatch: our role is customer, and the peer says peer about its own
         0.003 right→left NOTIFICATION OPEN Message Error/Role Mismatch
         0.003 right      close
         0.003 right      failed: we sent NOTIFICATION OPEN Message Error/Role Mismatch: our role is peer, and the peer says customer about its own
    """)


def test_a_peer_without_what_is_required_is_told_what_it_lacks() -> None:
    """RFC 5492 §5."""
    of = config(required=frozenset({65}))
    duet = started(of, mirrored(of, four_octet_as=False, passive=True))
    duet.run(until=0.002)
    assert (
        duet.lines[-3:]
        == lines("""
         0.002 left→right NOTIFICATION OPEN Message Error/Unsupported Capability [41 04 00 00 fc 00]
         0.002 left       close
         0.002 left       failed: we sent NOTIFICATION OPEN Message Error/Unsupported Capability [41 04 00 00 fc 00]: the peer lacks what is required: FourOctetAs
    """).splitlines()
    )


def test_a_peer_that_connects_and_says_nothing_is_left_after_a_while() -> None:
    """RFC 4271 §8.2.2: the HoldTimer of OpenSent, here with a shorter time."""
    duet = started(config(open_hold_time=30), Script())
    duet.run(until=31)
    assert duet.transcript == lines("""
         0.000 left       dial
         0.002 left→right OPEN as=64512 hold=90
        30.002 left→right NOTIFICATION Hold Timer Expired
        30.002 left       close
        30.002 left       failed: we sent NOTIFICATION Hold Timer Expired: no OPEN came for 30 s
    """)


def test_a_peer_that_never_confirms_is_left_also_without_a_hold_time() -> None:
    of = config(hold_time=0, open_hold_time=30)
    duet = started(of, Script(on_open=(mirrored(of).open_message(),)))
    duet.run(until=31)
    assert (
        duet.lines[-1:]
        == lines("""
        30.004 left       failed: we sent NOTIFICATION Hold Timer Expired: no KEEPALIVE came for 30 s
    """).splitlines()
    )


def test_a_dial_that_nobody_answers_is_given_up_and_told() -> None:
    duet = Duet(config(connect_retry_time=5), Script())
    duet.is_cut = True
    duet.tell("left", ManualStart())
    duet.run(until=9)
    assert duet.transcript == lines("""
         0.000 left       dial
         5.000 left       cancel dial
         5.000 left       failed: the connection failed: no answer within 5 s
         5.000 left       dial #2
    """)


def test_too_many_prefixes_end_the_session_until_the_restart_time_is_over() -> None:
    """RFC 4486 §4."""
    of = config(hold_time=0)
    duet = started(of, mirrored(of, passive=True))
    duet.run(until=1)
    duet.lines.clear()
    duet.tell("left", AutomaticStop(1, bytes.fromhex("0001 01 00000064"), restart_after=600))
    duet.run(until=601)
    assert duet.transcript == lines("""
         1.000 left→right NOTIFICATION Cease/Maximum Number Of Prefixes Reached [00 01 01 00 00 00 64]
         1.000 left       close
         1.000 left       down: we sent NOTIFICATION Cease/Maximum Number Of Prefixes Reached [00 01 01 00 00 00 64]
         1.001 right      close
         1.001 right      down: the peer sent NOTIFICATION Cease/Maximum Number Of Prefixes Reached [00 01 01 00 00 00 64]
       601.000 left       dial #2
    """)


def test_a_session_that_may_not_start_by_itself_stays_down() -> None:
    """RFC 4271 §8.1.1 (AllowAutomaticStart)."""
    of = config(allow_automatic_start=False)
    duet = started(of, mirrored(of, passive=True))
    duet.run(until=1)
    duet.sever()
    duet.run(until=3600)
    assert (
        duet.lines[-2:]
        == lines("""
         1.000 left       down: the connection failed: closed by the peer
         1.000 right      down: the connection failed: closed by the peer
    """).splitlines()
    )
    assert (duet.left.state, duet.left.deadline) == (State.IDLE, None)


def test_a_passive_start_leaves_the_dialling_to_the_other_end() -> None:
    """RFC 4271 §8.1.2 event 4."""
    of = config(connect_retry_time=5)
    duet = Duet(of, mirrored(of))
    duet.tell("left", ManualStartWithPassiveTcpEstablishment())
    duet.run(until=3)
    assert duet.transcript == ""
    duet.tell("right", ManualStart())
    duet.run(until=6)
    assert (
        duet.lines[:2]
        == lines("""
         3.000 right      dial
         3.001 left→right OPEN as=64512 hold=90
    """).splitlines()
    )
    assert duet.left.state is duet.right.state is State.ESTABLISHED


def test_without_damping_a_refusing_peer_is_dialled_at_an_even_pace() -> None:
    """RFC 4271 §8.1.1 (DampPeerOscillations)."""
    of = config(idle_hold=(5, 30), damp_peer_oscillations=False)
    duet = started(of, Script(on_open=(OpenMessageError(2).notification,)))
    duet.run(until=16)
    assert [line for line in duet.lines if "dial" in line] == lines("""
         0.000 left       dial
         5.004 left       dial #2
        10.008 left       dial #3
        15.012 left       dial #4
    """).splitlines()
