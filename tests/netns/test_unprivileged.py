"""A Wren that is no root's, beside BIRDs: routes, passwords, distances, BFD, restarts.

It runs as nobody, on a host of a lab, in two ways: started so, with three capabilities, behind the
walls that ``docs/wren.service`` builds; and started by root, with ``--user``. No thread of its own,
and none of its BFD process, has more than what the table of privileges says.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab import Family, RunningNode
from lab.probes import kernel_routes
from speaker.bfd.ears import BUFFERS
from speaker.bfd.sorting import Kind
from speaker.control.client import ask
from speaker.control.protocol import ControlError
from speaker.privileges.capabilities import Capability, Rights, mask_of
from speaker.privileges.needs import may_bind_device
from tests.support import walled
from tests.support.datastores import put
from tests.support.labs import lab_of
from tests.support.pairs import becomes as comes_true
from tests.support.resources import node, peer, settings
from tests.support.unprivileged import (
    NOBODY,
    PROJECT,
    common_place,
    exposed,
    needs_root,
    set_rights,
)

pytestmark = [pytest.mark.netns, pytest.mark.interop, needs_root]

UNIT = PROJECT / "docs" / "wren.service"
ADMIN, BIND = Capability.CAP_NET_ADMIN, Capability.CAP_NET_BIND_SERVICE
RAW = Capability.CAP_NET_RAW
OF_BFD = set() if may_bind_device() else {RAW}
KEPT = {ADMIN, BIND, *OF_BFD}

WREN = "172.31.0.1"
SIGNED, NEAR, WATCHED = ("172.31.0.2", "172.31.0.3", "172.31.0.4")
ROUTES = {f"10.{number}.0.0/24": (f"172.31.0.{number}",) for number in (2, 3, 4)}
LINES = {
    2: 'password "hush";',
    3: "ttl security on;\nmultihop 1;",
    4: "bfd on;",
}
TIMERS = 'protocol bfd { accept direct; interface "*" { interval 100 ms; multiplier 5; }; }\n'
KEYS = {"wren.bgp/connectRetry": "1", "wren.bgp/idleHold": "1,2"}

becomes = partial(comes_true, seconds=40)
"""The machine may be busy: three daemons and a lab start here, and other tests beside."""

HOOKED = "192.0.2.1/32"
HOOK = f"""#!/bin/sh
[ "$WREN_EVENT" = session ] && exec ip route replace blackhole {HOOKED}
"""
"""A program for each change, which needs what it has from Wren."""

REPORT = {
    "apiVersion": "projectcalico.org/v3",
    "kind": "CalicoNodeStatus",
    "metadata": {"name": "w"},
    "spec": {"node": "w", "classes": ["Agent", "BGP", "Routes"], "updatePeriodSeconds": 1},
}


def topology() -> str:
    nodes: dict[str, Any] = {"w": {"kind": "host"}}
    lan = {"w": [f"{WREN}/24"]}
    for number, lines in LINES.items():
        session = {"address": WREN, "asn": 65001, "families": ["ipv4"], "hold_time": 9}
        nodes[f"b{number}"] = {
            "kind": "bird",
            "asn": 65000 + number,
            "networks": [f"10.{number}.0.0/24"],
            "peers": [{**session, "extra": lines}],
            "extra": TIMERS if number == 4 else "",
        }
        lan[f"b{number}"] = [f"172.31.0.{number}/24"]
    return json.dumps({"nodes": nodes, "segments": {"lan": lan}})


def resources() -> Iterator[dict[str, Any]]:
    yield REPORT
    yield node("w", f"{WREN}/24")
    yield settings(nodeToNodeMeshEnabled=False, asNumber=65001)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    yield {**secret, "stringData": {"key": "hush"}}
    more: dict[str, dict[str, Any]] = {
        SIGNED: {"password": {"secretKeyRef": {"name": "s", "key": "key"}}},
        NEAR: {"ttlSecurity": 1},
        WATCHED: {"failureDetectionMode": "BFDIfDirectlyConnected"},
    }
    for address, spec in more.items():
        asn = 65000 + int(address.rpartition(".")[2])
        yield peer(f"b{asn}", node="w", peerIP=address, asNumber=asn, extensions=KEYS, **spec)


class House:
    """A host, and the Wrens that run there, one after the other.

    Args:
        host: of the lab.
        place: where everybody may read.
        start: makes the command that starts a program from that of the program.
        options: of ``wren run``.
    """

    def __init__(
        self,
        host: RunningNode,
        place: Path,
        start: Callable[[Sequence[str]], Sequence[str]],
        *options: str,
    ) -> None:
        self.host = host
        self.run_dir = place / "run"
        self.datastore = place / "etc"
        self.log = place / "log"
        self._start = start
        self._options = options
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *more: str) -> subprocess.Popen[bytes]:
        words = ["--datastore", str(self.datastore), "--run-dir", str(self.run_dir)]
        words += ["--node", "w", "--hook", str(self.log.with_name("hook"))]
        argv = [sys.executable, "-m", "speaker", "run", *words]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.host.inside(exposed(self._start([*argv, *self._options, *more]))),
                stderr=log,
                cwd=PROJECT,
                env={**os.environ, **self.host._marks},
            )
        self._started.append(process)
        becomes("it answers", self.pid, process.pid)
        return process

    def ask(self, command: str) -> Any:
        try:
            return ask(self.run_dir, command)
        except (ControlError, OSError):
            return {}

    def pid(self) -> int | None:
        found: int | None = self.ask("status").get("pid")
        return found

    def peers_up(self) -> set[str]:
        peers = self.ask("status").get("peers", ())
        return {each["address"] for each in peers if each["state"] == "up"}

    def routes(self) -> dict[str, tuple[str, ...]]:
        found = kernel_routes(self.host, Family.IPV4)
        return {p: route.gateways for p, route in found.items() if route.protocol == "bird"}

    def is_hooked(self) -> bool:
        return HOOKED in kernel_routes(self.host, Family.IPV4)

    def reported(self) -> bool:
        path = self.datastore / "CalicoNodeStatus-w.json"
        return SIGNED in json.dumps(json.loads(path.read_text()).get("status", ""))

    def bfd(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("bfd")
        return found

    def bfd_states(self) -> dict[str, str]:
        return {each["name"]: each["state"] for each in self.bfd().get("sessions", ())}

    def all_is_up(self) -> None:
        becomes("sessions are up", self.peers_up, {SIGNED, NEAR, WATCHED})
        becomes("routes are in the kernel", self.routes, ROUTES)
        becomes("BFD is up", self.bfd_states, {WATCHED: "Up"})

    def close(self) -> None:
        bfd = (self.bfd().get("process") or {}).get("pid")
        for process in self._started:
            process.kill()
            process.wait()
        if bfd is not None:
            os.kill(bfd, signal.SIGKILL)


@contextmanager
def house(
    start: Callable[[Sequence[str]], Sequence[str]], owner: int, *options: str
) -> Iterator[House]:
    with common_place() as place, lab_of(topology()) as lab:
        made = House(lab.node("w"), place, start, *options)
        put(made.datastore, *resources())
        hook = place / "hook"
        hook.write_text(HOOK)
        hook.chmod(0o755)
        if owner:
            made.run_dir.mkdir()
            for path in (made.run_dir, made.datastore, *made.datastore.iterdir()):
                os.chown(path, owner, owner)
        try:
            yield made
        except BaseException:
            sys.stderr.write(made.log.read_text())
            raise
        finally:
            made.close()


def rights_of(pid: int) -> set[tuple[int, ...]]:
    """Give the sets of all threads of a process, each once; all of them gain nothing more."""
    found = list(Rights.of_process(pid))
    assert all(each.no_new_privs for each in found)
    return {
        (each.inheritable, each.permitted, each.effective, each.ambient, each.bounding)
        for each in found
    }


def check_rights(made: House, bounding: set[Capability] | None) -> None:
    """See that nobody has more than the table says.

    Args:
        made: where.
        bounding: that the starter has set; None where Wren narrows it.
    """
    pid = made.pid()
    assert pid is not None
    status = Path(f"/proc/{pid}/status").read_text()
    assert f"Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}" in status

    def sets(kept: set[Capability], limit: set[Capability]) -> tuple[int, ...]:
        mask = mask_of(kept)
        return (mask, mask, mask, mask, mask_of(limit if bounding is None else bounding))

    # Of its threads only the one where the BFD process is born has less.
    born = {ADMIN, *OF_BFD}
    assert rights_of(pid) == {sets(KEPT, KEPT), sets(born, born)}
    # CAP_NET_ADMIN was for its buffers, and cannot be had again.
    assert rights_of(made.bfd()["process"]["pid"]) == {sets(OF_BFD, born)}
    assert f"rb{2 * BUFFERS[Kind.OURS]}," in made.host.execute(["ss", "-Huamn"])


def behind_walls(argv: Sequence[str]) -> list[str]:
    """Start a program as the unit does: its user, three capabilities, its filters."""
    walls = [sys.executable, walled.__file__, walled.walls_of(UNIT)]
    return [*set_rights((ADMIN, BIND, RAW)), *walls, *argv]


def test_as_a_user_with_three_capabilities_everything_works() -> None:
    with house(behind_walls, NOBODY) as made:
        first = made.start()
        made.all_is_up()
        check_rights(made, {ADMIN, BIND, RAW})
        for pid in (first.pid, made.bfd()["process"]["pid"]):
            assert "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text()
        becomes("the hook has run", made.is_hooked, True)
        becomes("the report is written", made.reported, True)
        assert ask(made.run_dir, "reload")["problems"] == []
        first.send_signal(signal.SIGTERM)
        assert first.wait(40) == 0
        assert made.routes() == ROUTES
        made.start()
        made.all_is_up()
        check_rights(made, {ADMIN, BIND, RAW})


def test_root_becomes_a_user_and_hands_over_to_an_heir() -> None:
    with house(list, 0, "--user", str(NOBODY), "--control-group", "daemon") as made:
        first = made.start()
        made.all_is_up()
        check_rights(made, None)
        heir = made.start("--takeover")
        assert first.wait(40) == 0
        made.all_is_up()
        check_rights(made, None)
        heir.send_signal(signal.SIGTERM)
        assert heir.wait(40) == 0
        becomes("its routes stay", partial(made.routes), ROUTES)
        for left in made.run_dir.iterdir():
            assert left.stat().st_uid == NOBODY
