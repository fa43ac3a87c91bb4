"""What create, apply, replace, patch and label make of a resource, and what speaks against it.

Pure: a stored document and a given one go in, the document to keep comes out. Metadata is treated
as calicoctl treats it: of what is given only name, namespace, labels and annotations are kept, and
an update adds labels and annotations to those that are there. A document of Calico 2.x leaves alone
what it has no words for. ``resourceVersion`` is never kept: where one is given, it says which
version the update was made from.

`objections` are the checks that calicoctl makes against other resources and against what was
before; everything that one document says about itself is `speaker.config.reading`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from speaker.config.documents import Tree
from speaker.config.kinds import FILTER_KINDS, Kind
from speaker.config.stored import Key, Stored, normal
from speaker.config.trees import list_at, map_at, spec_of

KEPT = ("name", "namespace", "labels", "annotations")
"""What of the metadata of a given document is kept."""

IMMUTABLE = {Kind.IP_POOL: {"cidr": "CIDR", "blockSize": "BlockSize"}}
"""Fields of a spec that an update cannot change, with the words that calicoctl has for them."""


SAID: Mapping[Kind, Collection[str]] = {
    Kind.BGP_PEER: (
        "node",
        "peerIP",
        "asNumber",
        "nodeSelector",
        "peerSelector",
        "localWorkloadSelector",
    ),
    Kind.NODE: ("bgp", "orchRefs"),
    Kind.IP_POOL: ("cidr", "ipipMode", "natOutgoing", "disabled"),
}
"""Fields of v3 that a document of Calico 2.x says something about, by being silent too."""

SAID_OF_BGP = ("asNumber", "ipv4Address", "ipv6Address")
"""The same of the ``bgp`` of a node."""


class PatchError(ValueError):
    """A patch that cannot be made sense of."""


def created(given: Stored) -> Stored:
    """Give what is kept of a document that is new."""
    metadata = map_at(given.tree, "metadata")
    kept = {key: metadata[key] for key in KEPT if metadata.get(key) not in (None, {}, "")}
    return with_tree(given, {**given.tree, "metadata": kept})


def updated(old: Stored, given: Stored) -> Stored:
    """Give what is kept of a document that takes the place of another one."""
    new = created(given)
    metadata = dict(new.tree["metadata"])
    for texts in ("labels", "annotations"):
        merged = {**map_at(map_at(old.tree, "metadata"), texts), **map_at(metadata, texts)}
        if merged:
            metadata[texts] = merged
    spec = _with_unsaid(old, given) if given.document.renamed is not None else {}
    # What a daemon wrote is not the user's to leave out.
    status = {"status": old.tree["status"]} if "status" in old.tree else {}
    return with_tree(new, {**status, **new.tree, **spec, "metadata": metadata})


def _with_unsaid(old: Stored, given: Stored) -> dict[str, Tree]:
    """Give the spec of a document of Calico 2.x, with what that has no words for as it was."""
    said, before, after = SAID[given.kind], spec_of(old.tree), spec_of(given.tree)
    spec = {key: value for key, value in before.items() if key not in said} | dict(after)
    if given.kind is Kind.NODE:
        bgp = map_at(before, "bgp")
        unsaid = {key: value for key, value in bgp.items() if key not in SAID_OF_BGP}
        spec["bgp"] = {**unsaid, **map_at(after, "bgp")}
    return {"spec": spec}


def patched(old: Stored, patch: Tree) -> Stored:
    """Merge a patch into a document: a strategic merge, as the API server does it for Calico.

    Maps are merged, null takes a field away, lists are replaced as a whole; ``$patch: replace``
    and ``$patch: delete`` say what becomes of a map.

    Raises:
        PatchError: the patch is no mapping, has a directive that is not known, or would make
            another resource of it.
    """
    if not isinstance(patch, dict):
        raise PatchError("a patch is a mapping")
    tree = _merge(old.tree, patch)
    metadata = map_at(tree, "metadata")
    if tree.get("kind") != old.kind.value or metadata.get("name") != old.name:
        raise PatchError("a patch cannot change kind and name")
    return with_tree(old, normal(old.kind, tree))


def _merge(old: Mapping[str, Tree], patch: Mapping[str, Tree]) -> dict[str, Tree]:
    directive = patch.get("$patch", "merge")
    if directive not in ("merge", "replace", "delete"):
        raise PatchError(f"$patch is merge, replace or delete, not {directive!r}")
    unknown = [key for key in patch if key.startswith("$") and key != "$patch"]
    if unknown:
        raise PatchError(f"{unknown[0]} is no directive that is known here")
    merged = dict(old) if directive == "merge" else {}
    for key, value in patch.items():
        if key == "$patch" or directive == "delete":
            continue
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            before = merged.get(key)
            merged[key] = _merge(before if isinstance(before, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def labelled(old: Stored, key: str, value: str | None) -> Stored:
    """Give a resource another label; None takes it away."""
    metadata = dict(map_at(old.tree, "metadata"))
    labels = {name: text for name, text in map_at(metadata, "labels").items() if name != key}
    if value is not None:
        labels[key] = value
    metadata["labels"] = labels
    if not labels:
        del metadata["labels"]
    return with_tree(old, {**old.tree, "metadata": metadata})


def with_tree(resource: Stored, tree: Mapping[str, Any]) -> Stored:
    """Give the resource with another document in normal form."""
    return replace(resource, document=replace(resource.document, tree=dict(tree)))


def version_given(given: Stored) -> str:
    """Tell which version an update was made from, empty if that is not said."""
    return str(map_at(given.tree, "metadata").get("resourceVersion") or "")


def objections(old: Stored | None, new: Stored, filters: Collection[Key]) -> Iterator[str]:
    """Say what speaks against keeping a document.

    Args:
        old: what it takes the place of.
        new: valid by itself.
        filters: kinds and names of the BGPFilters and RoutePolicies that there are.
    """
    if new.kind is Kind.BGP_PEER:
        names = {name for _, name in filters}
        missing = [name for name in list_at(spec_of(new.tree), "filters") if name not in names]
        if missing:
            yield f"BGPFilter(s) not found: {', '.join(map(str, missing))}"
    if new.kind in FILTER_KINDS:
        for kind in FILTER_KINDS:
            if kind is not new.kind and (kind, new.name) in filters:
                yield (
                    f"{kind} {new.name} has that name already; filters of both kinds stand in one "
                    "list, so give this one another name, or delete the other first"
                )
    if old is None:
        return
    for field, word in IMMUTABLE.get(new.kind, {}).items():
        before, after = spec_of(old.tree).get(field), spec_of(new.tree).get(field)
        if field == "blockSize":
            usual = 122 if ":" in str(spec_of(new.tree).get("cidr")) else 26
            before, after = before or usual, after or usual
        if before != after:
            yield f"{new.kind} {word} cannot be modified: it is {before}, not {after}"
