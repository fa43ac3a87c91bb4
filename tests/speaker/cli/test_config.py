"""``wren config``: the settings of Calico 2.x."""

from __future__ import annotations

import pytest

from speaker.cli.completion import SETTINGS
from speaker.config.global_settings import IPIP
from speaker.config.global_settings import SETTINGS as IN_CONFIGURATIONS
from tests.support.resources import document, settings
from tests.support.stores import Store


def said(store: Store, *words: str) -> str:
    done = store.wren("config", *words)
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    ("name", "default", "value", "shown", "field", "kept"),
    [
        ("asNumber", "64512", "64513", "64513", "asNumber", 64513),
        ("ASNUMBER", "64512", "1.10", "65546", "asNumber", 65546),
        ("nodeToNodeMesh", "on", "off", "off", "nodeToNodeMeshEnabled", False),
        ("nodetonodemesh", "on", "on", "on", "nodeToNodeMeshEnabled", True),
        ("logLevel", "info", "debug", "debug", "logSeverityScreen", "Debug"),
        ("logLevel", "info", "warning", "warning", "logSeverityScreen", "Warning"),
        ("logLevel", "info", "critical", "critical", "logSeverityScreen", "Fatal"),
        ("loglevel", "info", "none", "critical", "logSeverityScreen", "Fatal"),
    ],
)
def test_a_setting_is_shown_set_and_unset(
    store: Store, name: str, default: str, value: str, shown: str, field: str, kept: object
) -> None:
    assert said(store, "get", name) == f"{default}\n"
    assert said(store, "set", name, value) == ""
    assert said(store, "get", name) == f"{shown}\n"
    assert store.get("bgpconfig", "default")["spec"] == {field: kept}
    assert list(store.loaded().configurations) == ["default"]
    assert said(store, "unset", name) == ""
    assert said(store, "get", name) == f"{default}\n"
    assert store.names() == []
    assert said(store, "unset", name) == ""


def test_the_rest_of_the_configuration_stays(store: Store) -> None:
    (store.path / "bgp.yaml").write_text(
        "# the cluster\napiVersion: projectcalico.org/v3\nkind: BGPConfiguration\n"
        "metadata: {name: default, annotations: {a: b}}\nspec: {listenPort: 1179}\n"
    )
    said(store, "set", "asNumber", "64513")
    assert store.get("bgpconfig", "default")["spec"] == {"listenPort": 1179, "asNumber": 64513}
    assert (store.path / "bgp.yaml").read_text().startswith("# the cluster\n")
    said(store, "unset", "asNumber")
    assert store.get("bgpconfig", "default")["metadata"]["annotations"] == {"a": "b"}
    assert store.get("bgpconfig", "default")["spec"] == {"listenPort": 1179}


def test_a_node_inherits_its_log_level_until_it_has_its_own(store: Store) -> None:
    assert said(store, "get", "logLevel", "--node=node1") == "info (inherited from global)\n"
    said(store, "set", "logLevel", "error")
    assert said(store, "get", "logLevel", "--node=node1") == "error (inherited from global)\n"
    said(store, "set", "logLevel", "debug", "--node=Node1")
    assert said(store, "get", "logLevel", "-n", "node1") == "debug\n"
    assert said(store, "get", "logLevel") == "error\n"
    assert sorted(store.loaded().configurations) == ["default", "node.node1"]
    said(store, "unset", "logLevel", "--node=node1")
    assert said(store, "get", "logLevel", "--node=node1") == "error (inherited from global)\n"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("set asNumber 4294967296", "the supplied AS number is not valid"),
        ("set asNumber many", "the supplied AS number is not valid"),
        ("set nodeToNodeMesh yes", "invalid value 'yes'"),
        ("set logLevel loud", "invalid value 'loud'"),
        ("get asNumber --node=n", "--node should not be specified"),
        ("set nodeToNodeMesh off --node=n", "--node should not be specified"),
        ("unset ipip --node=n", "--node should not be specified"),
        ("get asNumbr", "unrecognised config name 'asNumbr'; did you mean asNumber?"),
        ("get as_number --raw=bgp", "unrecognised config name 'as_number'; did you mean as_num?"),
        ("get LogSeverityScreen --raw=felix", "Felix's configuration is not kept here"),
        ("set node_mesh on --raw=bgp", "invalid value 'on'"),
        ("set listen_port 0 --raw=bgp", "invalid value '0'"),
        ("set asNumber 0", "BGPConfiguration(default): spec.asNumber: AS 0 is reserved"),
    ],
)
def test_what_cannot_be_is_said_as_calicoctl_says_it(store: Store, words: str, error: str) -> None:
    done = store.wren("config", *words.split())
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error executing command: {error}")
    assert store.names() == []


def test_raw_values_are_those_of_the_old_datastore(store: Store) -> None:
    names = ("as_num", "node_mesh", "loglevel", "listen_port")
    for name in names:
        assert said(store, "get", name, "--raw=bgp") == "(unset)\n"
    store.holds(settings(asNumber=65010, nodeToNodeMeshEnabled=True, logSeverityScreen="Info"))
    said(store, "set", "listen_port", "1790", "--raw=bgp", "--node=n1")
    shown = [said(store, "get", name, "--raw=bgp").strip() for name in names]
    assert shown == ["65010", '{"enabled": true}', "info", "(unset)"]
    assert said(store, "get", "listen_port", "--raw=bgp", "--node", "n1") == "1790\n"
    assert said(store, "get", "loglevel", "--raw=bgp", "--node", "n1") == "(unset)\n"
    said(store, "set", "node_mesh", '{"enabled": false}', "--raw=bgp")
    assert said(store, "get", "nodeToNodeMesh") == "off\n"


def test_ipip_is_told_from_the_pools_and_set_there(store: Store) -> None:
    assert said(store, "get", "ipip") == "off\n"
    store.holds(document("IPPool", "p", {"cidr": "10.0.0.0/16"}))
    assert said(store, "get", "ipip") == "off\n"
    done = store.wren("config", "set", "ipip", "on")
    assert done.exit_code == 1
    assert "each IPPool says for itself whether it uses IPIP: wren patch ippool NAME" in done.stderr
    store.wren("patch", "ippool", "p", "-p", '{"spec": {"ipipMode": "Always"}}')
    assert said(store, "get", "ipip") == "on\n"


def test_the_settings_that_a_shell_offers_are_those_that_there_are() -> None:
    assert set(SETTINGS) == {*IN_CONFIGURATIONS, IPIP}
