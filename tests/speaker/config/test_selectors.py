"""Calico's selectors: every token, every operator, what they mean and how they print."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.config.selectors import (
    All,
    And,
    Compare,
    Has,
    InSet,
    Node,
    Not,
    Operator,
    Or,
    Selector,
    SelectorError,
    parse_selector,
)

LABELS = {
    "rack": "r1",
    "role": "frontend",
    "empty": "",
    "in": "x",
    "has": "y",
    "all": "z",
    "contains": "c",
    "a/b.c-d_e": "path",
    "quote": 'say "hi"',
    "lines": "one\ntwo",
}

HOLDS = [
    "",
    "  \t ",
    "all()",
    "all( )",
    "global()",
    "has(rack)",
    "has( rack )",
    "has(empty)",
    "!has(missing)",
    "!!has(rack)",
    "rack == 'r1'",
    'rack == "r1"',
    "rack=='r1'",
    "rack != 'r2'",
    "missing != 'r2'",
    "rack in {'r1', 'r2'}",
    "rack in{'r1',}",
    "rack not in {'r2'}",
    "rack notin {'r2'}",
    "rack not  in {'r2'}",
    "missing not in {'r1'}",
    "rack not in {}",
    "missing not in {}",
    "role contains 'ront'",
    "role starts with 'front'",
    "role startswith 'front'",
    "role ends with 'end'",
    "role endswith 'end'",
    "in == 'x'",
    "in in {'x'}",
    "has == 'y'",
    "has(has)",
    "all == 'z' && all()",
    "contains contains 'c'",
    "has(in) && has(contains)",
    "a/b.c-d_e == 'path'",
    "has(a/b.c-d_e)",
    "rack in {'r1'} && !has(not) && !has(starts)",
    "lines == 'one\ntwo'",
    "quote contains \"'\" || quote contains '\"'",
    "role contains ''",
    "empty contains ''",
    "empty starts with ''",
    "empty ends with ''",
    "empty in {''}",
    "empty not in {'r1'}",
    "empty != 'r1'",
    "role starts\twith 'front'",
    "missing != ''",
    "missing not in {''}",
    "rack in { 'r1' , }",
    "rack contains'r'",
    "all()||has(missing)",
    "has(missing) && has(missing) || all()",
    "!(has(missing) && all())",
    "empty == ''",
    "quote == 'say \"hi\"'",
    "rack == 'r1' && role == 'frontend'",
    "rack == 'r2' || role == 'frontend'",
    "rack == 'r1' || has(missing) && has(missing)",
    "! rack == 'r2' && role == 'frontend'",
    "!(rack == 'r2' || has(missing))",
    "((rack == 'r1'))",
    "! has(my-label) || my-label starts with 'prod' && role in {'frontend','business'}",
]

FAILS = [
    "!all()",
    "has(missing)",
    "!has(empty)",
    "rack == 'R1'",
    "missing == 'r1'",
    "rack != 'r1'",
    "rack in {}",
    "missing in {'r1'}",
    "rack not in {'r1'}",
    "missing contains ''",
    "missing starts with ''",
    "missing ends with ''",
    "role contains 'back'",
    "role starts with 'end'",
    "role ends with 'front'",
    "role starts with 'Front'",
    "empty != ''",
    "empty == 'x'",
    "missing == ''",
    "missing in {''}",
    "empty not in {''}",
    "!global()",
    "!!has(missing)",
    "has(missing) || has(missing) && all()",
    "has(missing) && (has(missing) || all())",
    "rack == 'r1' && has(missing)",
    "(rack == 'r1' || has(missing)) && has(missing)",
    "! rack == 'r1' && role == 'frontend'",
]

ERRORS = [
    ("a == b", 5, "label"),
    ("rack", 4, "operator"),
    ("rack ==", 7, "quoted string"),
    ("rack == 'r1", 8, "not closed"),
    ("rack == 'r1' &&", 15, "label name"),
    ("rack == 'r1' rack", 13, "expected"),
    ("(rack == 'r1'", 13, ")"),
    ("rack == 'r1')", 12, "expected"),
    ("has(rack", 4, "one label"),
    ("has()", 4, "one label"),
    ("has (rack)", 4, "operator"),
    ("all(x)", 4, "nothing"),
    ("rack in 'r1'", 8, "{"),
    ("rack in {'r1' 'r2'}", 14, ","),
    ("rack in {,}", 9, "string"),
    ("rack ~ 'r1'", 5, "operator"),
    ('rack == "r1', 8, "not closed"),
    ("rack == 'r1\"", 8, "not closed"),
    ("rack == {'r1'}", 8, "quoted string"),
    ("rack in {'r1'", 13, "expected"),
    ("rack in {'r1',,}", 14, "string"),
    ("rack not 'r1'", 5, "operator"),
    ("rack starts 'r1'", 5, "operator"),
    ("rack starts with", 16, "quoted string"),
    ("rack notstarts with 'r'", 5, "operator"),
    ("rack containsx 'r1'", 5, "operator"),
    ("! ", 2, "label name"),
    ("()", 1, "label name"),
    ("rack == 'r1' & has(a)", 13, "not expected"),
    ("rack == 'r1' | has(a)", 13, "not expected"),
    ("rack == 'r1' || || has(a)", 16, "label name"),
    ("has(a b)", 4, "one label"),
    ("has('a')", 4, "one label"),
    ("Has(a)", 3, "operator"),
    ("rack == 'r1'\r", 12, "not expected"),
    ("\nrack == 'r1'", 0, "not expected"),
    (f"{'a' * 513} == 'x'", 0, "512"),
    ("rack\n== 'r1'", 4, "operator"),
    ("rack == 'r1'\n", 12, "not expected"),
    ("rack = 'r1'", 5, "operator"),
    ("rack inside {'a'}", 5, "operator"),
    ("&& rack == 'r1'", 0, "expected"),
    ("'r1' == rack", 0, "expected"),
    ("é == 'x'", 0, "not expected"),
    (f"has({'a' * 513})", 4, "512"),
    ("(" * 101 + "all()" + ")" * 101, 100, "nested"),
]

CANONICAL = [
    ("", "all()"),
    ("all( )", "all()"),
    ("a=='b'", 'a == "b"'),
    ("a startswith 'b'", 'a starts with "b"'),
    ("a ends  with 'b'", 'a ends with "b"'),
    ("a notin {'c','b','c'}", 'a not in {"b", "c"}'),
    ("a in {}", "a in {}"),
    ("a == 'b' && c == 'd'", '(a == "b" && c == "d")'),
    ("a == 'b' || c == 'd' && e != 'f'", '(a == "b" || (c == "d" && e != "f"))'),
    ("!a == 'b'", '!a == "b"'),
    ("!!!has(a)", "!has(a)"),
    ("!(!has(a))", "has(a)"),
    ("((has(a)))", "has(a)"),
    ("a == 'say \"hi\"'", "a == 'say \"hi\"'"),
    ("global()", "global()"),
    ("global( )||all()", "(global() || all())"),
    ("!(a == 'b' && c == 'd')", '!(a == "b" && c == "d")'),
    ("(a == 'b' && c == 'd') && e == 'f'", '((a == "b" && c == "d") && e == "f")'),
    ("has( a )", "has(a)"),
    ("a in {'say \"hi\"', 'b',}", 'a in {"b", \'say "hi"\'}'),
    ("a == 'it is'", 'a == "it is"'),
    ("a contains  'b'", 'a contains "b"'),
]


@pytest.mark.parametrize("text", HOLDS)
def test_a_selector_that_holds(text: str) -> None:
    assert parse_selector(text).matches(LABELS)


@pytest.mark.parametrize("text", FAILS)
def test_a_selector_that_does_not_hold(text: str) -> None:
    assert not parse_selector(text).matches(LABELS)


@pytest.mark.parametrize(("text", "position", "words"), ERRORS)
def test_an_error_names_its_position(text: str, position: int, words: str) -> None:
    with pytest.raises(SelectorError) as error:
        parse_selector(text)
    assert error.value.position == position
    assert words in error.value.reason


@pytest.mark.parametrize(("text", "canonical"), CANONICAL)
def test_the_canonical_text(text: str, canonical: str) -> None:
    assert str(parse_selector(text)) == canonical
    assert str(parse_selector(canonical)) == canonical


def test_the_unique_id_depends_on_the_canonical_text_alone() -> None:
    first, second = parse_selector("a=='b'"), parse_selector(' a == "b" ')
    assert first.uid == second.uid
    assert first.uid.startswith("s:")
    assert len(first.uid) == 2 + 38


def test_all_nodes_of_a_selector_are_given() -> None:
    selector = parse_selector("!(has(a) || global()) && b in {'c'}")
    assert [type(node).__name__ for node in selector.nodes()] == [
        *("And", "Not", "Or", "Has", "All", "InSet")
    ]


names = st.text("abcXYZ019_./-", min_size=1, max_size=6)
values = st.text(st.characters(codec="utf-8", exclude_characters="'"), max_size=5) | st.text(
    st.characters(codec="utf-8", exclude_characters='"'), max_size=5
)
leaves = st.one_of(
    st.builds(All, st.sampled_from(["all", "global"])),
    st.builds(Has, names),
    st.builds(Compare, names, st.sampled_from(Operator), values),
    st.builds(
        InSet,
        names,
        st.lists(values, max_size=3).map(lambda items: tuple(sorted(set(items)))),
        st.booleans(),
    ),
)


def _negated(node: Node) -> Node:
    return node.operand if isinstance(node, Not) else Not(node)


def _groups(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    operands = st.lists(children, min_size=2, max_size=3).map(tuple)
    return st.one_of(children.map(_negated), operands.map(And), operands.map(Or))


@given(st.recursive(leaves, _groups, max_leaves=8))
def test_what_is_printed_reads_back(root: Node) -> None:
    selector = Selector(root)
    assert parse_selector(str(selector)) == selector


@given(st.text(max_size=40) | st.text("ab has(){}in!=&|'\",. ", max_size=30))
def test_any_text_is_a_selector_or_a_selector_error(text: str) -> None:
    position = 0
    try:
        selector = parse_selector(text)
    except SelectorError as error:
        position = error.position
    else:
        assert parse_selector(str(selector)) == selector
    assert 0 <= position <= len(text)
