"""Documents and the places of their fields."""

from __future__ import annotations

from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.config.documents import Document, YamlFloat, parse_documents
from speaker.config.problems import Problem


def parse(text: str) -> list[Document | Problem]:
    return parse_documents(dedent(text), "f.yaml")


def one(text: str) -> Document:
    (found,) = parse(text)
    assert isinstance(found, Document)
    return found


def refused(text: str) -> Problem:
    (found,) = parse(text)
    assert isinstance(found, Problem)
    return found


def test_every_field_has_a_place() -> None:
    document = one("""\
        kind: BGPPeer
        spec:
          filters:
          - one
          - two
        """)
    assert document.at(("kind",)) == (1, 1)
    assert document.at(("spec", "filters")) == (3, 3)
    assert document.at(("spec", "filters", 1)) == (5, 5)


def test_a_field_that_is_missing_stands_where_its_parent_does() -> None:
    assert one("kind: x\nspec:\n  a: 1\n").at(("spec", "b", "c")) == (2, 1)


def test_lines_count_on_over_documents() -> None:
    first, second = parse("a: 1\n---\n# words\nb: 2\n")
    assert isinstance(first, Document)
    assert isinstance(second, Document)
    assert (first.index, second.index) == (0, 1)
    assert second.at(("b",)) == (4, 1)


def test_empty_documents_are_none() -> None:
    assert parse("---\n# nothing\n---\n\n---\n") == []
    assert parse("") == []


def test_a_syntax_error_costs_one_document() -> None:
    first, broken, third = parse("a: 1\n---\nb: [\n---\nc: 3\n")
    assert isinstance(first, Document)
    assert isinstance(third, Document)
    assert isinstance(broken, Problem)
    assert (broken.rule, broken.line) == ("yaml", 4)


def test_json_is_read() -> None:
    document = one('{\n\t"kind": "Node",\n\t"spec": {"bgp": {"asNumber": 1}}\n}')
    assert document.tree == {"kind": "Node", "spec": {"bgp": {"asNumber": 1}}}
    assert document.at(("spec", "bgp")) == (3, 11)


def test_lists_are_unpacked() -> None:
    found = parse("""\
        apiVersion: v1
        kind: List
        items:
        - kind: Node
        - kind: BGPPeer
        ---
        apiVersion: projectcalico.org/v3
        kind: NodeList
        items:
        - metadata: {name: a}
        ---
        - kind: node
        """)
    trees = [item.tree for item in found if isinstance(item, Document)]
    assert trees == [
        {"kind": "Node"},
        {"kind": "BGPPeer"},
        {
            "apiVersion": "projectcalico.org/v3",
            "kind": "Node",
            "metadata": {"name": "a"},
        },
        {"kind": "node"},
    ]
    assert [item.index for item in found if isinstance(item, Document)] == [0, 1, 2, 3]
    assert isinstance(found[2], Document)
    assert found[2].at(("metadata", "name")) == (10, 14)


def test_scalars_keep_what_matters() -> None:
    tree = one("""\
        float: 1.10
        quoted: "1.10"
        bool: yes
        off: off
        community: 65000:10
        octal: 010
        hex: 0x1F
        date: 2026-01-01
        null: ~
        big: 4294967295
        """).tree
    assert isinstance(tree["float"], YamlFloat)
    assert tree["float"].text == "1.10"
    assert tree["quoted"] == "1.10"
    assert tree["bool"] is True
    assert tree["false"] is False
    assert tree["community"] == "65000:10"
    assert (tree["octal"], tree["hex"], tree["big"]) == (8, 31, 4294967295)
    assert tree["date"] == "2026-01-01"
    assert tree["null"] is None


def test_anchors_and_merges_unfold() -> None:
    tree = one("""\
        base: &base {a: 1, b: 2}
        other:
          <<: *base
          b: 3
        """).tree
    assert tree["other"] == {"a": 1, "b": 3}


def test_a_key_given_twice_costs_no_more_than_itself() -> None:
    (document,) = parse_documents("spec:\n  a: 1\n  a: 2\n  b: 3\n", "f.yaml")
    assert isinstance(document, Document)
    (problem,) = document.problems
    assert (problem.rule, problem.line, problem.column) == ("duplicate-key", 3, 3)
    assert problem.field == "spec.a"
    assert document.tree == {"spec": {"a": 1, "b": 3}}


def test_a_bomb_of_aliases_is_refused() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 10):
        items = ", ".join([f"*a{level - 1}"] * 10)
        levels.append(f"a{level}: &a{level} [{items}]")
    assert refused("\n".join(levels)).rule == "aliases"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a: &a [*a]", "nesting"),
        ("a: &a\n  b: *a", "nesting"),
        ("- &a\n  - *a", "nesting"),
        ("&a\nb: 1\n<<: *a", "nesting"),
        ("&a\nkind: List\nitems: *a", "nesting"),
        ("[" * 80 + "]" * 80, "nesting"),
        ("a: *unknown", "yaml"),
        ("? [a, b]\n: c", "key"),
        ("a: b: c", "yaml"),
        ("a: 'x", "yaml"),
        ("a:\n\t- b", "yaml"),
        ("a: \x00", "yaml"),
        ("<<: 5", "key"),
    ],
)
def test_what_cannot_be_read(text: str, rule: str) -> None:
    assert refused(text).rule == rule


@given(st.text(max_size=200))
def test_any_text_gives_documents_or_problems(text: str) -> None:
    for found in parse_documents(text, "any"):
        assert isinstance(found, Document | Problem)
