"""By what a session is signed: a password, or keys, out of Secrets.

A password that is missing means none, as in Calico, unless such sessions are to be held down. A key
of TCP-AO that is missing is left out, and a session that has none left is held down always: nothing
that asks for TCP-AO is ever spoken to without.
"""

from __future__ import annotations

from dataclasses import dataclass

from speaker.config.conditions import Conditions
from speaker.config.peerings import Peering
from speaker.config.resources import SecretKeyRef
from speaker.config.secrets import MAX_PASSWORD, Secret
from speaker.config.store import Resources
from speaker.config.tcp_ao import KeyReference, MasterKey


@dataclass(frozen=True, slots=True)
class Signature:
    """What signs a session; nothing if both are empty.

    Attributes:
        password: of TCP-MD5 (RFC 2385).
        keys: of TCP-AO (RFC 5925), the one to be used first.
    """

    password: Secret | None = None
    keys: tuple[MasterKey, ...] = ()


class Signatures:
    """Looks for what sessions are signed by.

    Args:
        resources: with the Secrets.
        conditions: are told what is missing.
        strict: sessions whose password is missing are held down.

    Attributes:
        held: sessions that are held down: name, and BGPPeer.
    """

    def __init__(self, resources: Resources, conditions: Conditions, *, strict: bool) -> None:
        self.held: list[tuple[str, str]] = []
        self._resources = resources
        self._conditions = conditions
        self._strict = strict

    def of(
        self,
        peering: Peering,
        password: SecretKeyRef | None,
        keys: tuple[KeyReference, ...],
    ) -> Signature | None:
        """Find what signs a session.

        Args:
            peering: that the session is of.
            password: where it is to come from.
            keys: where they are to come from.

        Returns:
            None if the session must not be.
        """
        if keys:
            return self._signed_by_keys(peering, keys)
        if password is None:
            return Signature()
        found, lacks = self._find(password.name, password.key)
        if found is None:
            means = "is held down" if self._strict else "has no password"
            self._conditions.error(peering.blame, "NoPassword", f"{lacks}; the session {means}")
            if self._strict:
                self._hold(peering)
            return None if self._strict else Signature()
        if found.reveal().endswith(b"\n"):
            self._conditions.warn(
                peering.blame, "PasswordNewline", f"key {password.key} ends with a line end"
            )
        if len(found.reveal()) > MAX_PASSWORD:
            self._too_long(peering, "the password")
            return None
        return Signature(found)

    def _signed_by_keys(
        self, peering: Peering, wanted: tuple[KeyReference, ...]
    ) -> Signature | None:
        keys: list[MasterKey] = []
        for each in wanted:
            found, lacks = self._find(each.secret, each.key)
            if found is None:
                self._conditions.error(
                    peering.blame, "NoKey", f"{lacks}; key {each.ids} of TCP-AO is left out"
                )
            elif len(found.reveal()) > MAX_PASSWORD:
                self._too_long(peering, f"key {each.ids} of TCP-AO")
                return None
            else:
                keys.append(MasterKey(each.send_id, each.receive_id, each.algorithm, found))
        if not keys:
            self._hold(peering)
        return Signature(keys=tuple(keys)) if keys else None

    def _find(self, name: str, key: str) -> tuple[Secret | None, str]:
        """Find a value that is not empty, or say what is missing; the system takes no empty key."""
        secret = self._resources.secrets.get(name)
        if secret is None:
            return None, f"there is no Secret {name}"
        found = secret.get(key)
        if found is None:
            return None, f"Secret {name} has no key {key}"
        if not found.reveal():
            return None, f"key {key} of Secret {name} is empty"
        return Secret(found.reveal(), f"{name}/{key}"), ""

    def _hold(self, peering: Peering) -> None:
        self.held.append((peering.name, peering.peer.name if peering.peer else ""))

    def _too_long(self, peering: Peering, what: str) -> None:
        self._conditions.error(
            peering.blame,
            "LongPassword",
            f"{what} has more than {MAX_PASSWORD} bytes; the peer is skipped",
        )
