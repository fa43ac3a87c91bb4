"""Fields written anew where they stand; the rest of a document is as it was."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.config.documents import Document, parse_documents
from speaker.config.kinds import Kind
from speaker.config.splices import splice
from speaker.config.stored import normal, stored
from speaker.config.writing import as_yaml

TEXT = """\
# Our switch
apiVersion: projectcalico.org/v3
kind: BGPPeer        # of the rack
metadata:
  name: tor
  labels:
    rack: 1          # a number in quotes one day
    # the role
    role: "leaf"
spec:
  # Ticket 42
  peerIP:   "10.0.0.9"    # odd blanks

  asNumber: "1.10"
  filters:               # in order
    - a
    - b
  password:
    secretKeyRef:
      name: bgp
      key: tor

# The end.
"""


def tree_of(text: str) -> dict[str, Any]:
    (document,) = parse_documents(text, "f")
    assert isinstance(document, Document)
    found = stored(document)
    assert found is not None
    return dict(found.tree)


def edited(text: str, **spec: Any) -> str:
    """Change fields of the spec; None takes one away."""
    tree = tree_of(text)
    changed = {**tree["spec"], **spec}
    tree["spec"] = {key: value for key, value in changed.items() if value is not None}
    new = splice(text, "f", {0: tree})
    assert new is not None
    assert tree_of(new) == tree
    return new


def test_a_value_changes_where_it_stands() -> None:
    assert edited(TEXT, peerIP="10.0.0.10") == TEXT.replace('"10.0.0.9"', "10.0.0.10")
    assert edited(TEXT, asNumber=65000) == TEXT.replace('"1.10"', "65000")


def test_what_means_the_same_stays_as_it_was_written() -> None:
    assert edited(TEXT, asNumber=65546) == TEXT


def test_a_field_goes_with_its_lines() -> None:
    assert edited(TEXT, asNumber=None) == TEXT.replace('  asNumber: "1.10"\n', "")
    password = TEXT[TEXT.index("  password") : TEXT.index("\n# The end")]
    assert edited(TEXT, password=None) == TEXT.replace(password, "")


def test_a_new_field_comes_last() -> None:
    assert edited(TEXT, ttlSecurity=1, extensions={"a": "b"}) == TEXT.replace(
        "      key: tor\n",
        "      key: tor\n  ttlSecurity: 1\n  extensions:\n    a: b\n",
    )


def test_a_list_changes_as_a_whole() -> None:
    assert edited(TEXT, filters=["c"]) == TEXT.replace(
        "  filters:               # in order\n    - a\n    - b\n", "  filters:\n  - c\n"
    )


def test_maps_change_by_their_fields() -> None:
    tree = tree_of(TEXT)
    tree["metadata"]["labels"] = {"rack": "1", "role": "spine", "calico-route-reflector": ""}
    assert splice(TEXT, "f", {0: tree}) == TEXT.replace(
        '    role: "leaf"\n', '    role: spine\n    calico-route-reflector: ""\n'
    )
    tree["metadata"]["labels"] = {"role": "leaf"}
    assert splice(TEXT, "f", {0: tree}) == TEXT.replace(
        "    rack: 1          # a number in quotes one day\n", ""
    )
    del tree["metadata"]["labels"]
    assert "# the role" not in (splice(TEXT, "f", {0: tree}) or "")


def test_the_last_fields_change_at_two_depths_at_once() -> None:
    secret = {"secretKeyRef": {"name": "bgp", "key": "tor", "optional": True}}
    assert edited(TEXT, password=secret, ttlSecurity=1) == TEXT.replace(
        "      key: tor\n", "      key: tor\n      optional: true\n  ttlSecurity: 1\n"
    )
    gone = edited(TEXT, password={"secretKeyRef": {"key": "tor"}}, ttlSecurity=1)
    assert "# Ticket 42" in gone
    moved = edited(TEXT, password={"secretKeyRef": {"name": "bgp"}}, ttlSecurity=1)
    assert tree_of(moved)["spec"]["ttlSecurity"] == 1


def test_items_of_lists_are_amended_too() -> None:
    text = "# c\nkind: List\nitems:\n" + "".join(
        f"- {line}" if line.startswith("apiVersion") else f"  {line}" if line.strip() else line
        for line in TEXT.splitlines(keepends=True)
    )
    (document,) = parse_documents(text, "f")
    assert isinstance(document, Document)
    tree = tree_of(text)
    tree["spec"]["asNumber"] = 7
    assert splice(text, "f", {0: tree}) == text.replace('"1.10"', "7")


OTHER_FORMS = {
    "braces": """\
        {apiVersion: projectcalico.org/v3, kind: Node, metadata: {name: n},
         spec: {bgp: {asNumber: 1}}}
        """,
    "merge keys": """\
        apiVersion: projectcalico.org/v3
        kind: Node
        metadata: &m {name: n}
        spec:
          bgp:
            <<: {asNumber: 1}
        """,
    "Calico 2": """\
        apiVersion: v1
        kind: node
        metadata: {name: n}
        spec: {bgp: {asNumber: 1, ipv4Address: 10.0.0.1}}
        """,
    "question marks": """\
        ? apiVersion
        : projectcalico.org/v3
        ? kind
        : Node
        ? metadata
        : name: n
        ? spec
        : bgp:
            asNumber: 1
        """,
}


@pytest.mark.parametrize("form", OTHER_FORMS)
def test_other_forms_are_replaced_as_a_whole(form: str) -> None:
    text = dedent(OTHER_FORMS[form])
    tree = tree_of(text)
    tree["spec"] = {"bgp": {"asNumber": 2, "ipv4Address": "10.0.0.2"}}
    new = splice(text, "f", {0: tree})
    assert new is not None
    assert tree_of(new) == tree


VALUES = st.recursive(
    st.integers(0, 9) | st.sampled_from(["a", "b c", "", "yes", "x: y", "two\nlines\n", "# no"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3)
    ),
    max_leaves=6,
)
SPECS = st.dictionaries(st.sampled_from("pqrs"), VALUES, min_size=1, max_size=4)


@given(SPECS, SPECS, st.sampled_from(["\n", "\n\n", "   # why\n", "\n# own\n"]))
def test_whatever_changes_the_text_says_it_afterwards(
    before: dict[str, Any], after: dict[str, Any], between: str
) -> None:
    """And a comment in front of the document and one behind it stay."""
    head = "# head\napiVersion: projectcalico.org/v3\nkind: Node\nmetadata:\n  name: n" + between
    text = head + as_yaml({"spec": before}) + "# tail\n"
    tree = tree_of(text)
    wanted = normal(Kind.NODE, {**tree, "spec": after})
    new = splice(text, "f", {0: wanted})
    assert new is not None
    assert tree_of(new) == wanted
    assert new.startswith("# head\n")
    assert new.endswith("# tail\n")
