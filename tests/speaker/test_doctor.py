"""The examination of the ground: every question, with either answer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from fsm.family import Afi
from policy.prefix import parse_prefix
from speaker.cli.doctor import show, summary
from speaker.doctor import Finding, Order, Verdict, examine
from speaker.doctor.machine import Held, KernelView, Process
from speaker.errors import KernelError
from speaker.privileges.capabilities import Capability
from speaker.privileges.users import User
from tests.support.commands import wren, write_documents
from tests.support.control import serving
from tests.support.resources import block, document, node, peer, settings
from tests.support.unprivileged import NOBODY

OWN = "10.0.0.1"
BIRD = Process(77, "bird")
ADMIN, BIND = Capability.CAP_NET_ADMIN, Capability.CAP_NET_BIND_SERVICE
RAW, NICE = Capability.CAP_NET_RAW, Capability.CAP_SYS_NICE
ALL = frozenset({ADMIN, BIND, RAW, NICE})
SETTINGS = {
    "net.ipv4.ip_forward": "1",
    "net.ipv4.nexthop_compat_mode": "1",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.eth0.rp_filter": "2",
}


@dataclass
class Doll:
    """A machine whose every answer a test can set; as it is, everything is well."""

    time: float = 1.8e9
    have: frozenset[Capability] = ALL
    tcp_ao: str = ""
    sysctls: dict[str, str] = field(default_factory=lambda: dict(SETTINGS))
    paths: frozenset[str] = frozenset()
    writable: bool = True
    listeners: list[Held] = field(default_factory=list)
    running: list[Process] = field(default_factory=list)
    view: KernelView | None = field(
        default_factory=lambda: KernelView({"eth0": True}, frozenset({OWN, "127.0.0.1"}))
    )
    lost: frozenset[str] = frozenset()
    binds_device: bool = True
    hidden: frozenset[str] | None = frozenset()
    limit: int = 0
    hearers: dict[int, list[Held]] = field(default_factory=dict)
    left: int | None = None

    def now(self) -> float:
        return self.time

    def capabilities(self) -> frozenset[Capability]:
        return self.have

    def lacks_tcp_ao(self) -> str:
        return self.tcp_ao

    def may_bind_device(self) -> bool:
        return self.binds_device

    def priority_limit(self) -> int:
        return self.limit

    def unreadable(self, user: User, paths: Sequence[Path]) -> list[Path]:
        if self.hidden is None:
            raise PermissionError(1, "Operation not permitted")
        return [path for path in paths if path.name in self.hidden]

    def sysctl(self, name: str) -> str | None:
        return self.sysctls.get(name)

    def is_there(self, path: str) -> bool:
        return path in self.paths

    def may_write(self, path: Path) -> bool:
        return self.writable

    def held(self, port: int, *, udp: bool = False) -> list[Held]:
        return self.hearers.get(port, []) if udp else self.listeners if port == 179 else []

    def listener(self, path: Path) -> int | None:
        return self.left if path.name == "bfd.sock" else None

    def processes(self) -> list[Process]:
        return self.running

    def kernel(self, table: int, protocol: int) -> KernelView:
        if self.view is None:
            raise KernelError("netlink cannot be used: Permission denied")
        return self.view

    def has_route(self, address: str) -> bool:
        return address not in self.lost


PEER = peer("tor", node="r1", peerIP="10.0.0.2", asNumber=65001)
QUIET = settings(nodeToNodeMeshEnabled=False)


@pytest.fixture
def order(tmp_path: Path) -> Order:
    write_documents(tmp_path / "etc", [node("r1", f"{OWN}/24", asn=64512), QUIET, PEER])
    return Order(tmp_path / "etc", "r1", tmp_path / "run")


def examined(order: Order, machine: Doll, check: str) -> list[Finding]:
    return [each for each in examine(order, machine) if each.check == check]


def one(order: Order, machine: Doll, check: str) -> tuple[str, str]:
    """Give the verdict on the only finding of a check, and all that it says."""
    [found] = examined(order, machine, check)
    return found.verdict.value, str(found)


def with_documents(order: Order, *documents: Any) -> Order:
    write_documents(order.datastore, documents)
    return order


def test_where_everything_is_well_it_is_a_go(order: Order) -> None:
    findings = list(examine(order, Doll()))
    assert {found.verdict for found in findings} == {Verdict.OK}
    assert summary(findings) == "go: 0 problems, 0 warnings"
    assert "ok       port: port 179 is free" in show(findings)


# BFD.


BY_ECHO = {"wren.bgp/bfd": "on", "wren.bgp/bfdTimers": "echo 50ms"}
BY_HOPS = {"wren.bgp/bfd": "multihop"}


def watched_by(order: Order, *keys: dict[str, str]) -> Order:
    peers = [
        document(
            "BGPPeer",
            f"p{number}",
            {"node": "r1", "peerIP": f"10.0.0.{number}", "asNumber": 65001},
            annotations=each,
        )
        for number, each in enumerate(keys, 3)
    ]
    return with_documents(order, node("r1", f"{OWN}/24", asn=64512), QUIET, *peers)


def test_ports_of_bfd_that_nobody_has(order: Order) -> None:
    assert examined(order, Doll(), "BFD") == []
    assert one(watched_by(order, BY_ECHO), Doll(), "BFD") == ("ok", "UDP ports 3784, 3785 are free")
    assert "3784, 3785, 4784" in one(watched_by(order, BY_ECHO, BY_HOPS), Doll(), "BFD")[1]


def test_ports_of_bfd_that_another_daemon_has(order: Order) -> None:
    """Of IPv4 and of IPv6."""
    held = {port: [Held("0.0.0.0", BIRD), Held("::", BIRD)] for port in (3784, 4784)}
    machine = Doll(hearers=held, left=78)
    verdict, words = one(watched_by(order, BY_ECHO, BY_HOPS), machine, "BFD")
    assert verdict == "warning"
    assert words.startswith(
        "UDP ports 3784, 4784 are held by bird (process 77): no packet of BFD is heard"
    )


def test_ports_of_bfd_that_the_process_of_the_last_run_has(order: Order) -> None:
    held = {3784: [Held("0.0.0.0", Process(78, "python3"))]}
    verdict, words = one(watched_by(order, BY_ECHO), Doll(hearers=held, left=78), "BFD")
    assert (verdict, "gone on with" in words) == ("ok", True)


# The resources.


def test_a_datastore_that_is_not_there(order: Order) -> None:
    gone = replace(order, datastore=order.datastore / "nowhere")
    verdict, text = one(gone, Doll(), "datastore")
    assert verdict == "problem"
    assert "there is no directory" in text
    assert examined(gone, Doll(), "plan") == []
    assert one(gone, Doll(), "port") == ("ok", "port 179 is free")


def test_a_document_that_is_not_valid(order: Order) -> None:
    bad = {**PEER, "spec": {**PEER["spec"], "asNumber": -1}}
    verdict, text = one(with_documents(order, node("r1", f"{OWN}/24"), bad), Doll(), "datastore")
    assert verdict == "problem"
    assert text.startswith("1 mistake in")
    assert "'wren validate" in text


def test_a_node_that_is_not_there(order: Order) -> None:
    verdict, text = one(replace(order, node="r9"), Doll(), "plan")
    assert (verdict, text) == ("problem", "there is no Node r9; the resources define r1")


def test_what_is_left_out_of_the_plan(order: Order) -> None:
    twice = peer("tor2", node="r1", peerIP="10.0.0.2", asNumber=65001)
    documents = [node("r1", f"{OWN}/24", asn=64512), QUIET, PEER, twice]
    verdict, text = one(with_documents(order, *documents), Doll(), "conditions")
    assert verdict == "warning"
    assert text.startswith("BGPPeer/tor2: ")


@pytest.mark.parametrize(("strict", "verdict"), [(False, "warning"), (True, "problem")])
def test_a_password_that_is_missing(order: Order, strict: bool, verdict: str) -> None:
    key = {"secretKeyRef": {"name": "s", "key": "k"}}
    signed = peer("tor", node="r1", peerIP="10.0.0.2", asNumber=65001, password=key)
    with_documents(order, node("r1", f"{OWN}/24", asn=64512), QUIET, signed)
    found = one(replace(order, strict_secrets=strict), Doll(), "secrets")
    assert found[0] == verdict
    assert "put the Secret into" in found[1]


# The machine.


def test_a_run_directory_that_cannot_be_written(order: Order) -> None:
    verdict, text = one(order, Doll(writable=False), "run directory")
    assert verdict == "problem"
    assert "--run-dir" in text


@pytest.mark.parametrize(
    ("text", "verdict", "said"),
    [
        (None, "ok", "no run before"),
        ('{"sessions": {"a": {"ipv4 unicast": true}}}', "ok", "in the run before: 1"),
        ("{", "warning", "cannot read"),
    ],
)
def test_the_state_of_the_run_before(
    order: Order, text: str | None, verdict: str, said: str
) -> None:
    if text is not None:
        order.run_dir.mkdir()
        (order.run_dir / "sessions.json").write_text(text)
    found = one(order, Doll(), "state")
    assert found[0] == verdict
    assert said in found[1]


def test_a_clock_that_is_wrong(order: Order) -> None:
    assert one(order, Doll(time=0.0), "clock")[0] == "warning"


@pytest.mark.parametrize(
    ("address", "bind", "verdict"),
    [
        ("0.0.0.0", "None", "problem"),
        ("::", "None", "problem"),
        ("127.0.0.1", "None", "problem"),
        ("127.0.0.1", "NodeIP", "ok"),
        (OWN, "NodeIP", "problem"),
        ("fd00::1", "NodeIP", "ok"),
    ],
)
def test_a_port_that_somebody_has(order: Order, address: str, bind: str, verdict: str) -> None:
    own = settings(nodeToNodeMeshEnabled=False, bindMode=bind)
    with_documents(order, node("r1", f"{OWN}/24", asn=64512), own, PEER)
    found = one(order, Doll(listeners=[Held(address, BIRD)]), "port")
    assert found[0] == verdict
    assert ("is held by bird (process 77)" in found[1]) is (verdict == "problem")


def test_a_port_whose_holder_is_to_be_replaced(order: Order) -> None:
    held = [Held("0.0.0.0", BIRD), Held("::", BIRD)]
    verdict, text = one(replace(order, takeover=True), Doll(listeners=held), "port")
    assert verdict == "warning"
    assert text == (
        "port 179 of 0.0.0.0, :: is held by bird (process 77); stop that process before the start"
    )


def test_a_port_whose_holder_cannot_be_seen(order: Order) -> None:
    _, text = one(order, Doll(listeners=[Held("0.0.0.0", Process())]), "port")
    assert "is held by a process we may not see" in text


@pytest.mark.parametrize(
    ("takeover", "protocol", "name", "verdict", "said"),
    [
        (False, 12, "bird", "problem", "have the same protocol number 12"),
        (True, 12, "bird6", "warning", "'persist'"),
        (False, 186, "bird", "warning", "share no port"),
        (False, 12, "bgpd", "warning", "FRR or OpenBGPD runs"),
    ],
)
def test_another_speaker(
    order: Order, takeover: bool, protocol: int, name: str, verdict: str, said: str
) -> None:
    order = replace(order, takeover=takeover, protocol=protocol)
    found = one(order, Doll(running=[Process(5, name)]), "other speakers")
    assert found[0] == verdict
    assert said in found[1]


def test_a_control_socket_without_a_process(order: Order) -> None:
    left = frozenset({"/var/run/calico/bird.ctl"})
    verdict, text = one(order, Doll(paths=left), "other speakers")
    assert verdict == "warning"
    assert "Calico's BIRD: /var/run/calico/bird.ctl" in text


def test_a_wren_that_does_not_answer(order: Order) -> None:
    with serving(order.run_dir, {}):
        verdict, text = one(order, Doll(), "daemon")
    assert verdict == "warning"
    assert "no such command: 'status'" in text


@pytest.mark.parametrize(("takeover", "verdict"), [(False, "problem"), (True, "ok")])
def test_a_wren_that_runs(order: Order, takeover: bool, verdict: str) -> None:
    ours = Process(9, "wren")
    machine = Doll(listeners=[Held("0.0.0.0", ours)])
    status = {"pid": 9, "version": "1.0"}
    with serving(order.run_dir, {"status": lambda _: status}):
        order = replace(order, takeover=takeover)
        assert one(order, machine, "daemon")[0] == verdict
        assert one(order, machine, "port")[0] == verdict


@pytest.mark.parametrize(
    ("have", "kernel", "unprivileged", "lacking"),
    [
        (ALL, True, None, []),
        (frozenset(), True, None, ["CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE"]),
        (frozenset(), False, None, ["CAP_NET_BIND_SERVICE"]),
        (frozenset(), False, "179", []),
        (frozenset({ADMIN}), True, "0", []),
    ],
)
def test_rights(
    order: Order,
    have: frozenset[Capability],
    kernel: bool,
    unprivileged: str | None,
    lacking: list[str],
) -> None:
    machine = Doll(have=have)
    if unprivileged is not None:
        machine.sysctls["net.ipv4.ip_unprivileged_port_start"] = unprivileged
    found = examined(replace(order, kernel=kernel), machine, "rights")
    told = [each.text.split()[4].rstrip(",") for each in found if each.verdict is Verdict.PROBLEM]
    assert told == lacking


WATCHED = peer(
    "tor",
    node="r1",
    peerIP="10.0.0.2",
    asNumber=65001,
    failureDetectionMode="BFDIfDirectlyConnected",
)


@pytest.mark.parametrize(
    ("have", "binds_device", "limit", "said"),
    [
        (ALL, False, 0, []),
        (ALL - {RAW}, True, 0, []),
        (ALL - {RAW}, False, 0, ["CAP_NET_RAW, which is needed for BFD with 1 peer"]),
        (ALL - {NICE}, True, 2, []),
        (ALL - {NICE}, True, 1, ["CAP_SYS_NICE: BFD with 1 peer runs without real-time priority"]),
    ],
)
def test_rights_of_bfd_are_no_reason_not_to_start(
    order: Order, have: frozenset[Capability], binds_device: bool, limit: int, said: list[str]
) -> None:
    machine = Doll(have=have, binds_device=binds_device, limit=limit)
    assert one(order, machine, "rights")[0] == "ok"
    with_documents(order, node("r1", f"{OWN}/24", asn=64512), QUIET, WATCHED)
    found = examined(order, machine, "rights")
    assert {each.verdict for each in found} == {Verdict.WARNING if said else Verdict.OK}
    told = zip(found, said, strict=True) if said else ()
    assert all(words in each.text for each, words in told)


def test_rights_to_become_a_user(order: Order) -> None:
    order = replace(order, user="nobody")
    setters = {Capability.CAP_SETUID, Capability.CAP_SETGID}
    assert one(order, Doll(have=ALL | setters), "rights")[0] == "ok"
    found = examined(order, Doll(), "rights")
    assert [each.text.split()[4].rstrip(",") for each in found] == ["CAP_SETUID", "CAP_SETGID"]
    verdict, text = one(order, Doll(have=ALL | setters, hidden=frozenset({"etc"})), "rights")
    assert verdict == "problem"
    assert f"nobody ({NOBODY}) cannot read {order.datastore}; change the group" in text
    assert one(order, Doll(have=ALL | setters, hidden=None), "rights")[0] == "warning"
    verdict, text = one(replace(order, user="no-such-user"), Doll(), "rights")
    assert (verdict, text.partition(";")[0]) == ("problem", "there is no user no-such-user")


def test_a_kernel_that_does_not_show_itself(order: Order) -> None:
    assert one(order, Doll(view=None), "kernel")[0] == "problem"


def test_a_kernel_without_next_hop_objects(order: Order) -> None:
    machine = Doll()
    del machine.sysctls["net.ipv4.nexthop_compat_mode"]
    assert one(order, machine, "kernel")[0] == "warning"
    assert examined(replace(order, kernel=False), machine, "kernel") == []


def with_routes(*prefixes: str) -> Doll:
    own = {parse_prefix(prefix)[1] for prefix in prefixes}
    view = KernelView({}, frozenset({OWN}), {Afi.IPV4: own}, Counter({12: len(own), 2: 3}))
    return Doll(view=view)


def test_routes_that_would_be_adopted(order: Order) -> None:
    documents = [node("r1", f"{OWN}/24", asn=64512), QUIET, PEER, block("10.65.0.0/26", "r1")]
    with_documents(order, *documents)
    machine = with_routes("10.65.0.0/26", "10.66.0.0/26", "10.67.0.0/26")
    first, second = examined(order, machine, "routes")
    assert first.text == (
        "3 in table 254 with protocol number 12 would be adopted: the node's own, which stay (1),"
        " and others, which peers have to tell (2)"
    )
    assert second.text.startswith("10.66.0.0/26, 10.67.0.0/26: each stays until")
    assert examined(replace(order, kernel=False), machine, "routes") == []


def test_routes_that_nobody_can_tell(order: Order) -> None:
    with_documents(order, node("r1", f"{OWN}/24", asn=64512), QUIET)
    first, second = examined(order, with_routes("10.66.0.0/26"), "routes")
    assert (first.verdict, second.verdict) == (Verdict.OK, Verdict.WARNING)
    assert "no peer that could tell 10.66.0.0/26" in second.text


def test_routes_when_there_is_no_plan(order: Order) -> None:
    verdict, text = one(replace(order, node="r9"), with_routes("10.66.0.0/26"), "routes")
    assert (verdict, text) == (
        "warning",
        "1 in table 254 with protocol number 12 would be adopted",
    )


@pytest.mark.parametrize(("bind", "verdict"), [("None", "warning"), ("NodeIP", "problem")])
def test_an_address_that_no_interface_has(order: Order, bind: str, verdict: str) -> None:
    own = settings(nodeToNodeMeshEnabled=False, bindMode=bind)
    with_documents(order, node("r1", f"{OWN}/24", asn=64512), own, PEER)
    found = one(order, Doll(view=KernelView({}, frozenset())), "addresses")
    assert found[0] == verdict
    assert OWN in found[1]


def test_a_peer_that_no_route_leads_to(order: Order) -> None:
    verdict, text = one(order, Doll(lost=frozenset({"10.0.0.2"})), "peers")
    assert verdict == "warning"
    assert "(10.0.0.2)" in text


def test_a_plan_without_peers(order: Order) -> None:
    with_documents(order, node("r1", f"{OWN}/24", asn=64512), QUIET)
    assert one(order, Doll(), "peers")[0] == "warning"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("net.ipv4.ip_forward", "0", "net.ipv4.ip_forward is 0"),
        ("net.ipv4.conf.all.rp_filter", "1", "strict for all"),
        ("net.ipv4.conf.eth0.rp_filter", "1", "strict for eth0"),
    ],
)
def test_settings_that_cost_packets(order: Order, name: str, value: str, said: str) -> None:
    machine = Doll()
    machine.sysctls[name] = value
    found = one(order, machine, "settings")
    assert found[0] == "warning"
    assert said in found[1]


def test_ipv6_is_to_be_forwarded_where_the_node_has_it(order: Order) -> None:
    machine = Doll(view=KernelView({}, frozenset({OWN, "fd00::1"})))
    machine.sysctls["net.ipv6.conf.all.forwarding"] = "0"
    assert one(order, machine, "settings")[0] == "ok"
    both = node("r1", f"{OWN}/24", "fd00::1/64", asn=64512)
    with_documents(order, both, QUIET, PEER)
    assert one(order, machine, "settings")[0] == "warning"


@pytest.mark.parametrize(("room", "verdict"), [("131072", "ok"), ("100", "warning")])
def test_room_for_passwords(order: Order, room: str, verdict: str) -> None:
    key = {"secretKeyRef": {"name": "s", "key": "k"}}
    signed = peer("tor", node="r1", peerIP="10.0.0.2", asNumber=65001, password=key)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    secret["stringData"] = {"k": "hush-9"}
    with_documents(order, node("r1", f"{OWN}/24", asn=64512), QUIET, signed, secret)
    machine = Doll()
    machine.sysctls["net.core.optmem_max"] = room
    assert one(order, machine, "passwords")[0] == verdict
    assert one(order, machine, "secrets")[0] == "ok"
    assert not [each for each in examine(order, machine) if "hush-9" in str(each)]


@pytest.mark.parametrize(
    ("lacks", "verdict", "words"),
    [
        ("", "ok", "the kernel has it; peers that ask for it: 1"),
        ("this kernel has none; boot another", "problem", "this kernel has none; held down for it"),
    ],
)
def test_whether_the_kernel_has_tcp_ao(order: Order, lacks: str, verdict: str, words: str) -> None:
    keys = {"wren.bgp/tcpAO": "1 s/k, 2 s/nobodys"}
    signed = peer("tor", node="r1", peerIP="10.0.0.2", asNumber=65001, extensions=keys)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    secret["stringData"] = {"k": "hush-9"}
    with_documents(order, node("r1", f"{OWN}/24", asn=64512), QUIET, signed, secret)
    machine = Doll(tcp_ao=lacks)
    said, text = one(order, machine, "TCP-AO")
    assert said == verdict
    assert words in text
    assert one(order, machine, "secrets")[0] == "problem"
    assert not [each for each in examine(order, machine) if "hush-9" in str(each)]


def test_ranges_that_ask_for_tcp_ao_are_named_with_the_room_that_they_need(order: Order) -> None:
    keys = {
        "wren.bgp/tcpAO": "1 s/k",
        "wren.bgp/listenRange": "10.0.0.0/24",
        "wren.bgp/asRange": "external",
    }
    ranged = peer("rack", node="r1", extensions=keys)
    named = peer("tor", node="r1", peerIP="10.0.0.2", asNumber=65001)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    secret["stringData"] = {"k": "hush-9"}
    with_documents(order, node("r1", f"{OWN}/24", asn=64512), QUIET, ranged, named, secret)
    said, text = one(order, Doll(tcp_ao="this kernel has none; boot another"), "TCP-AO")
    assert (said, "held down for it: Dynamic_rack" in text) == ("problem", True)
    machine = Doll()
    machine.sysctls["net.core.optmem_max"] = "131072"
    assert "8 keys of TCP-AO" in one(order, machine, "passwords")[1]


# The command.


def test_the_command_says_go_or_no_go_and_changes_nothing(order: Order) -> None:
    words: list[str | Path] = ["--datastore", order.datastore, "--run-dir", order.run_dir]
    words += ["--no-kernel"]
    before = sorted(order.datastore.parent.rglob("*"))
    done = wren("doctor", *words, "--node", "r9", "-o", "json")
    assert done.exit_code == 1
    answer = json.loads(done.stdout)
    assert answer["go"] is False
    assert {
        "check": "plan",
        "verdict": "problem",
        "text": "there is no Node r9",
        "hint": "the resources define r1",
    } in answer["findings"]
    assert wren("doctor", *words, "--node", "r9", "--json").stdout == done.stdout
    text = wren("doctor", *words, "--node", "r9")
    assert text.exit_code == 1
    assert "problem  plan: there is no Node r9\n         -> the resources define r1" in text.stdout
    assert text.stdout.splitlines()[-1].startswith("no-go: 1 problem")
    assert sorted(order.datastore.parent.rglob("*")) == before


def test_wrong_usage_of_the_command_exits_with_2(order: Order) -> None:
    assert wren("doctor", "--node", "r1", "--table", "0").exit_code == 2
