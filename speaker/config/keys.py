"""The keys ``wren.bgp/…``, as data: what Calico's fields cannot say.

`KEYS` is the whole list: the parser of a key, the kind of resource that it may stand on, and what
the manual prints. `speaker.config.annotations` finds keys in documents and reads them by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fsm.family import NAMES
from speaker.config.add_path import parse_add_path
from speaker.config.as_ranges import parse_as_ranges
from speaker.config.bfd_keys import KINDS, parse_keys, parse_strict, parse_timers, parse_way
from speaker.config.key_values import (
    one_of,
    read_aigp,
    read_blackhole,
    read_families,
    read_hold_time,
    read_interface,
    read_name,
    read_networks,
    read_range,
    read_resilience,
    read_role,
    read_seconds,
    read_seconds_or_none,
    read_switch,
    read_tables,
    read_weight,
)
from speaker.config.kinds import Kind
from speaker.config.limits import parse_limits
from speaker.config.listen_ranges import parse_listen_range, read_peer_limit
from speaker.config.requirements import parse_requirements
from speaker.config.tcp_ao import parse_tcp_ao

PREFIX = "wren.bgp/"


class PolicyMode(StrEnum):
    """Calico's built-in policy, or BGP's own rules alone."""

    CALICO = "calico"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Key:
    """One key ``wren.bgp/<name>``.

    Attributes:
        parse: gives the value, or raises `ScalarError`.
        kind: the kind of resource it may stand on.
        values: what it takes, for people.
        sentence: what it does, for the manual.
    """

    name: str
    parse: Callable[[str], Any]
    kind: Kind
    values: str
    sentence: str

    @property
    def full_name(self) -> str:
        """The key as it is written."""
        return PREFIX + self.name


KEYS: tuple[Key, ...] = (
    Key(
        "passive",
        read_switch,
        Kind.BGP_PEER,
        "on|off",
        "Whether the node waits for the peer to open the connection, and never opens it itself; "
        "off by default, save between two nodes of the mesh, where one of them waits.",
    ),
    Key(
        "interface",
        read_interface,
        Kind.BGP_PEER,
        "NAME",
        "On which interface's link the peer is, for a link-local peerIP (fe80::…), which needs it: "
        "the address alone means another neighbour on each link. A listenRange of link-local "
        "addresses may have it, others may not.",
    ),
    Key(
        "listenRange",
        parse_listen_range,
        Kind.BGP_PEER,
        "prefixes, separated by commas or blanks",
        "From where peers are accepted that nobody names one by one, instead of a peerIP: each "
        "that connects has a session of its own by this BGPPeer, until that ends. A peer that is "
        "named, and a longer prefix, come first.",
    ),
    Key(
        "asRange",
        parse_as_ranges,
        Kind.BGP_PEER,
        "numbers and ranges 64512-65534, separated by commas; external or internal",
        "Which AS the peers of a listenRange may have, each its own, instead of an asNumber for "
        "all; external is any but ours.",
    ),
    Key(
        "maxDynamicPeers",
        read_peer_limit,
        Kind.BGP_PEER,
        "1–65535",
        "How many peers of a listenRange there may be at once; further ones are turned away "
        "(Cease, Connection Rejected). 100 by default.",
    ),
    Key(
        "families",
        read_families,
        Kind.BGP_PEER,
        "ipv4, ipv6 and others, separated by commas",
        "Which address families the session carries; by default only that of the peer's address. "
        f"Those whose routes are relayed and not used: {', '.join(list(NAMES)[2:])}.",
    ),
    Key(
        "holdTime",
        read_hold_time,
        Kind.BGP_PEER,
        "0, or 3–65535 seconds",
        "Which Hold Time is offered, where 0 is a session that never times out; by default 240, "
        "and 90 with the plain policy.",
    ),
    Key(
        "connectRetry",
        read_seconds,
        Kind.BGP_PEER,
        "seconds",
        "How long after a failed attempt the next connection is tried; 5 by default.",
    ),
    Key(
        "idleHold",
        read_range,
        Kind.BGP_PEER,
        "min,max seconds",
        "How long the node waits after a session fell, doubling from the first to the second; "
        "5,30 by default.",
    ),
    Key(
        "sendHoldTime",
        read_seconds_or_none,
        Kind.BGP_PEER,
        "0, or seconds",
        "After how long a peer that takes nothing of what is sent loses its session (RFC 9687); 0 "
        "is never, and by default it is the greater of 8 minutes and twice the Hold Time.",
    ),
    Key(
        "delayOpen",
        read_seconds_or_none,
        Kind.BGP_PEER,
        "0, or seconds",
        "How long the node lets the peer say its OPEN first (DelayOpenTime of RFC 4271); 0, the "
        "default, is not at all.",
    ),
    Key(
        "routeReflectorClient",
        read_switch,
        Kind.BGP_PEER,
        "on|off",
        "Whether an iBGP peer is our route-reflector client; by default what the "
        "routeReflectorClusterID of the nodes says.",
    ),
    Key(
        "addPath",
        parse_add_path,
        Kind.BGP_PEER,
        "off|receive|send [NUMBER]|both [NUMBER]",
        "Which way several paths to one prefix may travel (RFC 7911), and how many we send, best "
        "first; without a number all. By default both, as Calico's BIRD has it, and off with the "
        "plain policy.",
    ),
    Key(
        "gracefulRestart",
        read_switch,
        Kind.BGP_PEER,
        "on|off",
        "Whether routes outlive a restart of either end (RFC 4724, RFC 8538): the peer's stay "
        "here, and ours there, until they are told again; on by default. Without it the end of "
        "what is told first is not marked either, which others wait for before they answer a "
        "refresh.",
    ),
    Key(
        "llgrPartialDeployment",
        read_switch,
        Kind.BGP_PEER,
        "on|off",
        "Whether an iBGP peer that does not speak RFC 9494 is told routes that have outlived the "
        "session on which they came (LLGR_STALE), with NO_EXPORT and LOCAL_PREF 0 (§4.6), or "
        "nothing (off, the default). Peers that speak it hear of them in any case, eBGP peers that "
        "do not in none.",
    ),
    Key(
        "enhancedRefresh",
        read_switch,
        Kind.BGP_PEER,
        "on|off",
        "Whether it is offered to mark the beginning and the end of a refresh, so that what is "
        "left out goes (RFC 7313); on by default.",
    ),
    Key(
        "extendedMessages",
        read_switch,
        Kind.BGP_PEER,
        "on|off",
        "Whether messages of up to 65535 octets are offered (RFC 8654); off by default.",
    ),
    Key(
        "extendedNextHop",
        read_switch,
        Kind.BGP_PEER,
        "on|off",
        "Whether IPv4 routes may have IPv6 next hops (RFC 8950), so that an IPv6 session needs no "
        "IPv4 address on its link; the session must be IPv6 and carry ipv4. Off by default.",
    ),
    Key(
        "fourOctetAS",
        read_switch,
        Kind.BGP_PEER,
        "on|off",
        "Whether AS numbers of four octets are offered (RFC 6793), for peers that stumble over the "
        "offer; on by default.",
    ),
    Key(
        "require",
        parse_requirements,
        Kind.BGP_PEER,
        "families, routeRefresh, enhancedRefresh, fourOctetAS, extendedMessages, extendedNextHop, "
        "addPath",
        "Which of the capabilities that the node offers the peer must have too; without them it is "
        "refused (Unsupported Capability, RFC 5492). None by default.",
    ),
    Key(
        "maxPrefixes",
        parse_limits,
        Kind.BGP_PEER,
        "[FAMILY] NUMBER [SHARE%] [drop|restart SECONDS|down], …",
        "How many prefixes the peer may tell, before any filter; where it tells several paths to a "
        "prefix, each counts. From the share on there is a warning. Beyond the number, what is new "
        "is dropped, or the session is closed (Cease, Maximum Number of Prefixes Reached) for some "
        "seconds or until the limit is changed (down, the default). No limit by default.",
    ),
    Key(
        "maxPrefixesOut",
        parse_limits,
        Kind.BGP_PEER,
        "[FAMILY] NUMBER [SHARE%] [drop|restart SECONDS|down], …",
        "How many prefixes the peer is told, where several paths travel each of them counted. "
        "From the share on there is a warning. Beyond the number, further ones are not told until "
        "others have gone (drop), or the session is closed before (Cease, Administrative Reset or "
        "Shutdown, with the reason in words) for some seconds or until the limit is changed "
        "(down, the default). No limit by default.",
    ),
    Key(
        "gracefulShutdown",
        read_switch,
        Kind.BGP_PEER,
        "on|off",
        "Whether routes of an eBGP peer with the community GRACEFUL_SHUTDOWN become the last "
        "choice, LOCAL_PREF 0 (RFC 8326); on by default, off with Calico's policy, whose BIRD "
        "leaves it to filters.",
    ),
    Key(
        "blackhole",
        read_blackhole,
        Kind.BGP_PEER,
        "on|any|off",
        "Whether packets to routes with the community BLACKHOLE are dropped (RFC 7999): to single "
        "addresses (on), to prefixes of any length (any), or not at all (off, the default). Such a "
        "route does not leave the AS. Which prefixes the peer may speak for is for its filters.",
    ),
    Key(
        "enforceFirstAS",
        read_switch,
        Kind.BGP_PEER,
        "on|off",
        "Whether the AS_PATH of an eBGP peer has to begin with its AS (RFC 4271 §6.3); on by "
        "default, off with Calico's policy, as in BIRD. A route server does not put its AS there: "
        "say so by the role rs-client, or switch this off.",
    ),
    Key(
        "asSets",
        read_switch,
        Kind.BGP_PEER,
        "on|off",
        "Whether routes whose AS_PATH has a set (AS_SET, AS_CONFED_SET) are accepted; off by "
        "default (RFC 9774), on with Calico's policy, as in BIRD.",
    ),
    Key(
        "rejectInvalid",
        read_switch,
        Kind.BGP_PEER,
        "on|off",
        "Whether routes of the peer are rejected that are Invalid by RPKI (RFC 6811), before any "
        "filter is asked; by default what the BGPConfiguration says for eBGP, and off for iBGP.",
    ),
    Key(
        "aigp",
        read_aigp,
        Kind.BGP_PEER,
        "on|originate|off",
        "Whether the accumulated IGP metric is read from and told to the peer (RFC 7311), by "
        "default on iBGP only; and whether the node's own routes get one (originate).",
    ),
    Key(
        "role",
        read_role,
        Kind.BGP_PEER,
        "provider|customer|rs-server|rs-client|peer",
        "What this node is to an eBGP peer (RFC 9234). It is told to the peer, which has to be the "
        "opposite, and routes that leak are neither taken nor sent. None by default.",
    ),
    Key(
        "strictRole",
        read_switch,
        Kind.BGP_PEER,
        "on|off",
        "Whether a peer that does not tell its role is refused; off by default.",
    ),
    Key(
        "fqdn",
        read_name,
        Kind.BGP_PEER,
        "on|off|NAME",
        "Which name the peer is told, for people: the node's (on), another one, or none (off, the "
        "default).",
    ),
    Key(
        "softwareVersion",
        read_switch,
        Kind.BGP_PEER,
        "on|off",
        "Whether the peer is told which software runs here; off by default.",
    ),
    Key(
        "tcpAO",
        parse_tcp_ao,
        Kind.BGP_PEER,
        "ID[:RECEIVE-ID] SECRET/KEY [hmac-sha-1-96|aes-128-cmac-96|hmac-sha-256-128], …",
        "By which keys the session is signed (TCP-AO, RFC 5925): identifiers (0–255) in what we "
        "send and, if it is another one, in what we receive, the Secret with its key, and the "
        "algorithm, hmac-sha-1-96 by default. The first is the one to be used, the others are "
        "taken from the peer, so that keys can be rolled over. Not together with a password, and "
        "only where the kernel has it: Linux 6.7 with CONFIG_TCP_AO. None by default.",
    ),
    Key(
        "weight",
        read_weight,
        Kind.BGP_PEER,
        "1–256",
        "How much of the traffic the next hops of the peer's paths take in the kernel, where paths "
        "of several peers are equally good and share it: beside a peer of weight 1, one of weight "
        "3 takes three quarters. A next hop that several of them tell counts once, with the weight "
        "of the peer whose path is chosen. 1 by default.",
    ),
    Key(
        "bfd",
        parse_way,
        Kind.BGP_PEER,
        "on|multihop [HOPS]|off",
        "Whether BFD watches the peer, where failureDetectionMode does not say so or is not to: on "
        "a link of ours (on, RFC 5881), or wherever it is (multihop, RFC 5883), at most so many "
        "hops away, counted as in ttlSecurity: the peer has to send with a TTL of 255, as FRR does "
        "and BIRD does not. By default what failureDetectionMode says.",
    ),
    Key(
        "bfdTimers",
        parse_timers,
        Kind.BGP_PEER,
        "send 100ms, receive 10ms, multiplier 5, idle 1m, echo 50ms",
        "Which timers of BFD the peer has in place of those of the BFDConfiguration, which stay "
        "where none is named here: how often a packet is sent and taken while the session is Up, "
        "after how many of ours the peer gives us up, how often one is sent to a peer that is not "
        "heard, how often the peer may send echo packets (RFC 5880 §6.4; not at all by default).",
    ),
    Key(
        "bfdAuth",
        parse_keys,
        Kind.BGP_PEER,
        f"{'|'.join(KINDS)} NUMBER SECRET/KEY, …",
        "How packets of BFD are authenticated (RFC 5880 §6.7): by which keys of which Secrets, "
        "under which numbers from 0 to 255. The first signs ours, all are accepted from the peer. "
        "Not at all by default.",
    ),
    Key(
        "bfdStrict",
        parse_strict,
        Kind.BGP_PEER,
        "on|SECONDS|off",
        "Whether the session waits until BFD is up, or has been for so many seconds without a "
        "break; it is not tried before (draft-ietf-idr-bgp-bfd-strict-mode, whose capability is "
        "offered then). Off by default.",
    ),
    Key(
        "policy",
        one_of(PolicyMode),
        Kind.BGP_CONFIGURATION,
        "calico|plain",
        "Whether Calico's built-in policy holds (the default), or BGP's own rules alone: "
        "everything is imported and the best path of every prefix is announced (plain).",
    ),
    Key(
        "alwaysCompareMED",
        read_switch,
        Kind.BGP_CONFIGURATION,
        "on|off",
        "Whether MULTI_EXIT_DISC is compared between routes of different neighbouring ASes too "
        "(RFC 4271 §9.1.2.2 c); off by default.",
    ),
    Key(
        "rejectInvalid",
        read_switch,
        Kind.BGP_CONFIGURATION,
        "on|off",
        "Whether routes of eBGP peers are rejected that are Invalid by RPKI (RFC 6811), where the "
        "BGPPeer does not say otherwise; off by default.",
    ),
    Key(
        "networks",
        read_networks,
        Kind.BGP_CONFIGURATION,
        "prefixes, separated by commas or blanks",
        "Which prefixes the node announces as its own, without a route for them; none by default.",
    ),
    Key(
        "externalNetworks",
        read_tables,
        Kind.BGP_CONFIGURATION,
        "NAME=TABLE, …",
        "Which of the kernel's routing tables is whose: what peers with that externalNetwork tell "
        "goes into it, and no further. Rules that send packets there are for others to make.",
    ),
    Key(
        "resilientGroups",
        read_resilience,
        Kind.BGP_CONFIGURATION,
        "off|BUCKETS [idle SECONDS] [unbalanced SECONDS]",
        "Whether flows stay with their next hop when others that share the traffic come or go: "
        "next hops share this many buckets (1–65535; take ten or more for each next hop), and one "
        "that comes gets buckets which were idle for so long (120 seconds) or, where it lacks some "
        "for longer than the last number says, any (0, the default, is never). It needs next-hop "
        "objects and Linux 5.13. Off by default.",
    ),
    Key(
        "selectionDeferral",
        read_seconds,
        Kind.BGP_CONFIGURATION,
        "seconds",
        "How long a node that has restarted waits at the most for peers that were there before, "
        "until it chooses routes, tells and installs them, and takes those away that nobody wants "
        "any more (Selection_Deferral_Timer of RFC 4724); 120 by default.",
    ),
)
"""All keys there are."""
