"""The public names: a change here is a change for those who build on us."""

from __future__ import annotations

import importlib

import pytest

SPEAKER = {
    "Bfd",
    "BfdChanged",
    "BfdVerdict",
    "BfdWatch",
    "BGPConfiguration",
    "BGPFilter",
    "BGPPeer",
    "BgpError",
    "CacheChanged",
    "Clock",
    "ConfigError",
    "KernelError",
    "KernelOptions",
    "Node",
    "NoticesLost",
    "PeerPlan",
    "PeerRange",
    "Plan",
    "RelayedRoute",
    "Resources",
    "RoutePolicy",
    "RouteSink",
    "RoutesChanged",
    "SessionDown",
    "SessionEstablished",
    "Speaker",
    "SpeakerError",
    "TransportError",
    "Why",
    "__version__",
    "changes",
    "load_resources",
    "resolve",
    "why",
}


def test_speaker_exports_these_names() -> None:
    assert set(importlib.import_module("speaker").__all__) == SPEAKER


@pytest.mark.parametrize("package", ["speaker", "fsm", "policy", "lab"])
def test_every_public_name_can_be_had(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__all__
    for name in module.__all__:
        assert getattr(module, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = importlib.import_module("speaker").nonsense
