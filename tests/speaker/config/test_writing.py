"""Trees as text."""

from __future__ import annotations

from textwrap import dedent

from hypothesis import example, given
from hypothesis import strategies as st

from speaker.config.documents import Document, YamlFloat, parse_documents
from speaker.config.writing import as_json, as_yaml

TEXTS = st.text(
    alphabet=st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n"), max_size=12
)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@example({"a": "\ufffe", "\uffff": "\ufeff"})
@given(st.dictionaries(TEXTS, TREES, min_size=1, max_size=4))
def test_what_is_written_is_read_as_the_same(tree: dict[str, object]) -> None:
    for text in (as_yaml(tree), as_json(tree), as_json(tree, indent=None)):
        (found,) = parse_documents(text, "f")
        assert isinstance(found, Document)
        assert found.tree == tree


def test_characters_that_yaml_does_not_read_are_escaped_in_json() -> None:
    assert as_json({"a": "\ufffe\uffff"}, indent=None) == '{"a": "\\ufffe\\uffff"}'


def test_yaml_is_in_the_form_of_calicos_tools() -> None:
    tree = {"spec": {"peerIP": "10.0.0.1", "asNumber": 1, "filters": ["a", "b"]}, "kind": "BGPPeer"}
    wanted = """\
        kind: BGPPeer
        spec:
          asNumber: 1
          filters:
          - a
          - b
          peerIP: 10.0.0.1
        """
    assert as_yaml(tree, sort=True) == dedent(wanted)


def test_text_that_looks_like_something_else_is_quoted() -> None:
    assert as_yaml({"a": "1.10", "b": "yes", "c": "65000:10", "d": "true", "e": ""}) == (
        'a: "1.10"\nb: "yes"\nc: "65000:10"\nd: "true"\ne: ""\n'
    )


def test_selectors_are_quoted_where_yaml_needs_it() -> None:
    assert as_yaml({"a": "has(rr)", "b": "!has(rr)"}) == "a: has(rr)\nb: '!has(rr)'\n"


def test_a_number_with_a_point_keeps_its_digits() -> None:
    assert as_yaml({"rack": YamlFloat("1.10")}) == "rack: 1.10\n"


def test_what_is_there_twice_is_written_twice() -> None:
    shared = {"cidr": "10.0.0.0/8"}
    assert "&" not in as_yaml({"a": shared, "b": shared})
