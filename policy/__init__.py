"""What a route is, and what we do with it.

This package holds the rules of routing and none of its memory: which of several paths is better,
who may hear it, how it changes on the way, what goes into the kernel. Everything here is a function
of its arguments. Tables, sessions, clocks and sockets are elsewhere (`speaker`); the tables call
these functions with prefixes in batches, so that what a path alone decides is decided once.

In reading order:

`policy.prefix`
    the packed prefix, key of every table;
`policy.attributes`
    one set of path attributes, interned, and the editor that makes new ones;
`policy.usual`
    the shape that nearly every set has, recognised at one look;
`policy.path`, `policy.ranking`
    attributes as heard from one source, with next hop and rank;
`policy.decision`
    RFC 4271 §9.1.2: which path is used and why the others are not;
`policy.communities`, `policy.as_path_syntax`, `policy.as_path_regex`, `policy.as_paths`
    communities and AS_PATHs as rules speak of them;
`policy.operations`, `policy.matching`, `policy.rules`
    rules of BGPFilters and RoutePolicies: what they do and when they hold;
`policy.steps`, `policy.residues`, `policy.dispatch`, `policy.filters`
    how a chain of them decides about many routes at once;
`policy.tracing`
    which of them decides for one route and why the others do not, in words;
`policy.vrps`
    origin validation: what RPKI says of a prefix and the AS it comes from;
`policy.prefix_sets`, `policy.reach`
    which rules of a chain can decide at all;
`policy.covering`, `policy.calico`
    the built-in policy of Calico, for peers and for the kernel;
`policy.roles`, `policy.wellknown`, `policy.aigp`
    BGP roles, well-known communities that ask us to act, the accumulated metric;
`policy.propagation`, `policy.outbound`, `policy.rewriter`
    what the protocol lets a peer hear, and the attributes with which it leaves.

The names below are the public ones; all others may change.
"""

from __future__ import annotations

from policy.as_path_regex import AsPathRegex
from policy.as_path_syntax import AsPathRegexError
from policy.attributes import (
    Attribute,
    Origin,
    PathAttributes,
    WellKnown,
    local_attributes,
)
from policy.calico import (
    BuiltinPolicy,
    ClusterRoutes,
    Encap,
    KernelAction,
    KernelVerdict,
    Pool,
    PrefixCommunities,
    export_verdicts,
    kernel_verdicts,
)
from policy.communities import CommunityPattern
from policy.decision import Reason, explain, prefer, select
from policy.filters import Filter, compile_filter
from policy.matching import MatchOperator
from policy.operations import (
    AddCommunity,
    AsOverride,
    Blackhole,
    NextHopWord,
    PrependAsPath,
    RemoveCommunities,
    RemovePrivateAs,
    SetLocalPref,
    SetMed,
    SetNextHop,
    SetPriority,
)
from policy.outbound import GroupKey, NextHopMode, Outbound, export_partition
from policy.path import NextHop, Path, PeerType, Source, SourceKind
from policy.prefix import Nlri, PrefixError, covers, pack, parse_prefix, show, split
from policy.propagation import Withheld, may_advertise, why_not
from policy.rewriter import rewrite
from policy.roles import Role
from policy.rules import NO_MATCH, Action, Direction, Rule, Scope, Verdict
from policy.vrps import Validity, Vrp, Vrps, VrpTable, origin_of
from policy.wellknown import CommunityRules

__all__ = [
    "NO_MATCH",
    "Action",
    "AddCommunity",
    "AsOverride",
    "AsPathRegex",
    "AsPathRegexError",
    "Attribute",
    "Blackhole",
    "BuiltinPolicy",
    "ClusterRoutes",
    "CommunityPattern",
    "CommunityRules",
    "Direction",
    "Encap",
    "Filter",
    "GroupKey",
    "KernelAction",
    "KernelVerdict",
    "MatchOperator",
    "NextHop",
    "NextHopMode",
    "NextHopWord",
    "Nlri",
    "Origin",
    "Outbound",
    "Path",
    "PathAttributes",
    "PeerType",
    "Pool",
    "PrefixCommunities",
    "PrefixError",
    "PrependAsPath",
    "Reason",
    "RemoveCommunities",
    "RemovePrivateAs",
    "Role",
    "Rule",
    "Scope",
    "SetLocalPref",
    "SetMed",
    "SetNextHop",
    "SetPriority",
    "Source",
    "SourceKind",
    "Validity",
    "Verdict",
    "Vrp",
    "VrpTable",
    "Vrps",
    "WellKnown",
    "Withheld",
    "compile_filter",
    "covers",
    "explain",
    "export_partition",
    "export_verdicts",
    "kernel_verdicts",
    "local_attributes",
    "may_advertise",
    "origin_of",
    "pack",
    "parse_prefix",
    "prefer",
    "rewrite",
    "select",
    "show",
    "split",
    "why_not",
]
