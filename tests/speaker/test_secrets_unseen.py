"""No value of a Secret appears in what the project says, however it is asked."""

from __future__ import annotations

import asyncio
import copy
import io
import json
import logging
import os
import pickle
from base64 import b64encode
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from speaker import log, succession
from speaker.config.changes import changes
from speaker.config.plan import Plan, resolve
from speaker.config.reading import validate
from speaker.control.protocol import encode_line
from speaker.daemon import Daemon
from speaker.datastore.directory import load_directory
from speaker.net.admission import Terms
from tests.support.commands import wren, write_documents
from tests.support.houses import House
from tests.support.resources import node, peer, settings
from tests.support.routers import Town, on_uvloop, until

V3 = "apiVersion: projectcalico.org/v3\n"
HUSH = "hush-4711"
SAID_AS = (HUSH, b64encode(HUSH.encode()).decode(), HUSH.encode().hex())


def unseen(text: str) -> bool:
    return not any(form in text for form in SAID_AS)


def password(name: str) -> dict[str, Any]:
    return {"secretKeyRef": {"name": name, "key": "k"}}


def secret(name: str, value: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "stringData": {"k": value},
    }


def keyed(name: str, number: int, **keys: str) -> dict[str, Any]:
    extensions = {f"wren.bgp/{key}": text for key, text in keys.items()}
    return peer(name, peerIP=f"127.0.0.{number}", asNumber=65000 + number, extensions=extensions)


def documents(value: str = HUSH) -> list[dict[str, Any]]:
    return [
        node("r1", "127.0.0.1/8"),
        node("r2", "127.0.0.2/8"),
        settings(nodeMeshPassword=password("plain")),
        peer("tor", peerIP="127.0.0.11", asNumber=65011, password=password("plain")),
        peer("file", peerIP="127.0.0.12", asNumber=65012, password=password("mounted")),
        peer("long", peerIP="127.0.0.13", asNumber=65013, password=password("long")),
        peer("none", peerIP="127.0.0.14", asNumber=65014, password=password("nobody")),
        keyed("keyed", 15, tcpAO="1 plain/k, 2:3 mounted/k aes-128-cmac-96, 4 nobody/k"),
        keyed("toolong", 16, tcpAO="1 long/k"),
        keyed("watched", 17, bfd="on", bfdAuth="keyed-sha1 1 plain/k, 2 mounted/k, 3 long/k"),
        secret("plain", value),
        secret("long", value * 20),
        secret("line", f"{value}\n"),
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "coded"},
            "data": {"k": b64encode(value.encode()).decode(), "broken": f"{value}!"},
        },
    ]


def datastore(path: Path, value: str = HUSH) -> Path:
    write_documents(path, documents(value))
    folder = path / "secrets" / "mounted"
    folder.mkdir(parents=True)
    (folder / "k").write_text(f"{value}\n")
    (path / "secrets" / "No_Name").mkdir()
    (path / "secrets" / "No_Name" / "k").write_text(value)
    return path


@pytest.mark.parametrize(
    "words",
    [
        ("validate", "{old}"),
        ("validate", "{old}", "-o", "json"),
        ("resolve", "{old}", "--node", "r1"),
        ("resolve", "{old}", "--node", "r1", "-o", "json"),
        ("plan", "{old}", "{new}", "--node", "r1"),
        ("plan", "{old}", "{new}", "--node", "r1", "-o", "json"),
        ("doctor", "--datastore", "{old}", "--node", "r1", "--no-kernel"),
        ("doctor", "--datastore", "{old}", "--node", "r1", "--no-kernel", "-o", "json"),
        ("get", "bgppeer", "--datastore", "{old}", "-o", "yaml"),
        ("get", "secret", "--datastore", "{old}", "-o", "yaml"),
    ],
    ids=lambda words: " ".join(words),
)
def test_commands_that_read_files(tmp_path: Path, words: tuple[str, ...]) -> None:
    old, new = datastore(tmp_path / "old"), datastore(tmp_path / "new", HUSH[::-1] + HUSH)
    done = wren(words[0], *(word.format(old=old, new=new) for word in words[1:]))
    assert len(done.output) > 100
    assert unseen(done.output)


def test_what_is_read_and_planned_hides_it_in_every_form(tmp_path: Path) -> None:
    loaded = load_directory(datastore(tmp_path / "old"))
    other = load_directory(datastore(tmp_path / "new", f"{HUSH}2"))
    plan, edited = resolve(loaded.resources, "r1"), resolve(other.resources, "r1")
    found = changes(plan, edited)
    assert any("password" in change.describe() for change in found)
    terms = [Terms.of(peer) for peer in plan.peers.values()]
    assert any(each.password for each in terms)
    assert any(each.keys for each in terms)
    assert any(peer.bfd_auth for peer in plan.peers.values())
    texts = [repr(loaded), repr(loaded.reports), repr(plan), str(plan), repr(found), repr(terms)]
    texts += [change.describe() for change in found]
    for resource in loaded.resources.secrets.values():
        texts += [repr(resource), str(resource), str(resource.model_dump())]
    texts += [repr(asdict(plan)), repr(copy.deepcopy(plan)), repr(condition_texts(plan))]
    texts += [repr(peer.bfd_auth and peer.bfd_auth.reveal()) for peer in plan.peers.values()]
    assert all(map(unseen, texts))


def condition_texts(plan: Plan) -> list[str]:
    found = [condition.message for condition in plan.conditions]
    assert any("TCP-AO" in text for text in found)
    assert any("BFD" in text for text in found)
    return found


def test_what_has_a_secret_in_it_is_never_written_down(tmp_path: Path) -> None:
    plan = resolve(load_directory(datastore(tmp_path / "old")).resources, "r1")
    signed = [peer for peer in plan.peers.values() if peer.password or peer.tcp_ao or peer.bfd_auth]
    assert len(signed) > 3
    each: Any
    for each in (plan, *signed, *map(Terms.of, signed[:1])):
        with pytest.raises(TypeError, match="a secret is not written down"):
            pickle.dumps(each)
        with pytest.raises(TypeError, match="not JSON serializable"):
            json.dumps(asdict(each))


@pytest.mark.parametrize(
    "text",
    [
        "kind: Secret\nstringData: {k: *%s}",
        "kind: Secret\nstringData: {k: &%s x, l: &%s y}",
        "kind: Secret\nstringData: {k: !%s x}",
        "kind: Secret\nstringData: {k: !a!%s x}",
        "kind: Secret\nstringData: {k: '%s}",
        "kind: Secret\nstringData: {k: %%%s}",
        "kind: Secret\nstringData: {k: {%s: x}}",
        "kind: Secret\nstringData: {k: [%s]}",
        "kind: Secret\nstringData: %s",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {k: %s}",
        f"{V3}kind: BGPPeer\nmetadata: {{name: p}}\nspec: {{password: %s}}",
        f"{V3}kind: BGPPeer\nmetadata: {{name: p}}\nspec: {{password: {{secretKeyRef: %s}}}}",
        f"{V3}kind: BGPConfiguration\nmetadata: {{name: d}}\nspec: {{nodeMeshPassword: [%s]}}",
    ],
)
def test_a_secret_that_is_written_wrongly_is_not_quoted_back(text: str) -> None:
    reports = validate([("s.yaml", text.replace("%s", HUSH).replace("%%", "%"))])
    problems = [str(problem) for report in reports for problem in report.problems]
    assert problems
    assert all(map(unseen, problems))


@on_uvloop
async def test_a_running_daemon_and_its_commands(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.datastore.rmdir()
        datastore(house.datastore)
        own = settings(nodeMeshPassword=password("plain"), listenPort=town.port, bindMode="NodeIP")
        write_documents(house.datastore, [*documents()[:2], own, *documents()[3:]])
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(log.JsonFormatter())
        logging.getLogger("wren").addHandler(handler)
        try:
            async with house.lived_in() as daemon:
                router = daemon._router
                assert router is not None
                for question in ("status", "peer", "routes", "resources"):
                    name = next(iter(router.peers)) if question == "peer" else ""
                    assert unseen(repr(await house.ask(question, name=name)))
                asked = [("status",), ("status", "secret"), ("status", "bgppeer", "tor")]
                asked += [("status", "-o", "json"), ("peer",), ("peer", "-o", "json")]
                asked += [("node", "status"), ("node", "status", "-o", "json"), ("reload",)]
                asked += [("peer", next(iter(router.peers)), "--history")]
                for words in asked:
                    done = await asyncio.to_thread(wren, *words, "--run-dir", house.run_dir)
                    assert len(done.output) > 30
                    assert unseen(done.output)
                assert all(map(unseen, left_lying_about(house.run_dir)))
                (house.datastore / "secrets" / "mounted" / "k").write_text(f"{HUSH}-other")
                name = "Global_127_0_0_12"
                await until(lambda: _password(router.plan.peers[name]).endswith(b"other"))
        finally:
            logging.getLogger("wren").removeHandler(handler)
        said = [record.getMessage() for record in town.said.records]
        said += [repr(getattr(record, "fields", {})) for record in town.said.records]
        assert any("password" in line for line in said)
        assert all(map(unseen, [*said, stream.getvalue()]))


def left_lying_about(run_dir: Path) -> list[str]:
    """Give what others may read of a daemon: its files, and how its processes were called."""
    own = [str(os.getpid()), *map(str, children(os.getpid()))]
    assert len(own) > 1, "BFD is a process of its own"
    return files_of(run_dir) + [
        Path("/proc", pid, what).read_text(errors="replace")
        for pid in own
        for what in ("cmdline", "environ")
    ]


def children(pid: int) -> list[int]:
    threads = Path("/proc", str(pid), "task").iterdir()
    return [int(child) for each in threads for child in (each / "children").read_text().split()]


@on_uvloop
async def test_a_hand_over_to_another_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heir reads the Secrets for itself: none of them travels."""
    said: list[str] = []

    def recorded(told: Any) -> bytes:
        line = encode_line(told)
        said.append(line.decode())
        return line

    monkeypatch.setattr(succession, "encode_line", recorded)
    async with Town() as town:
        house = House(town, tmp_path)
        house.datastore.rmdir()
        datastore(house.datastore)
        own = settings(nodeMeshPassword=password("plain"), listenPort=town.port, bindMode="NodeIP")
        # Its process goes on without the daemon, and would wait for an heir.
        others = [each for each in documents()[3:] if each["metadata"]["name"] != "watched"]
        write_documents(house.datastore, [*documents()[:2], own, *others])
        daemon = Daemon(house.options)
        running = asyncio.create_task(daemon.run())
        await until(lambda: town.said.of("started"))
        marks = succession.Marks("r1", None, None)
        heir = await asyncio.to_thread(succession.TakeOver.ask, house.run_dir, marks)
        assert heir is not None
        heir.reserve(dict.fromkeys(heir.doors, False))
        going = asyncio.create_task(heir.go(asyncio.Event()))
        await running
        succeeded = asyncio.create_task(daemon.is_succeeded())
        await going
        heir.done()
        assert await succeeded
        heir.close()
        for sock in daemon.kept.values():
            sock.close()
        assert [line for line in said if '"go"' in line]
        assert all(map(unseen, [*said, *files_of(house.run_dir)]))


def files_of(run_dir: Path) -> list[str]:
    return [path.read_text(errors="replace") for path in run_dir.rglob("*") if path.is_file()]


def _password(plan: Any) -> bytes:
    return b"" if plan.password is None else bytes(plan.password.reveal())
