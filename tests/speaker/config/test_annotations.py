"""The table of keys ``wren.bgp/…``."""

from __future__ import annotations

from dataclasses import fields

import pytest

from speaker.config.annotations import KEYS, ConfigurationOptions, Key, PeerOptions, peer_options
from speaker.config.kinds import Kind


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_every_key_is_documented(key: Key) -> None:
    assert key.full_name == f"wren.bgp/{key.name}"
    assert key.sentence.endswith(".")
    assert key.values


def test_every_option_has_a_key() -> None:
    assert len([key for key in KEYS if key.kind is Kind.BGP_PEER]) == len(fields(PeerOptions))
    assert len([key for key in KEYS if key.kind is Kind.BGP_CONFIGURATION]) == len(
        fields(ConfigurationOptions)
    )


def test_other_keys_are_left_alone() -> None:
    assert peer_options({"example.org/x": "y"}, {"anything": "goes"}) == PeerOptions()


@pytest.mark.parametrize(
    ("text", "value"),
    [("on", "both"), ("true", "both"), ("off", "off"), ("false", "off"), ("Send", "send")],
)
def test_add_path_takes_switches_and_directions(text: str, value: str) -> None:
    assert peer_options({}, {"wren.bgp/addPath": text}).add_path == value
