"""Documents put in, replaced and taken out; the rest of the text is not touched."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.config.documents import Document, parse_documents
from speaker.config.splices import splice
from speaker.errors import ConfigError


def text_of(text: str) -> str:
    return dedent(text.removeprefix("\n"))


def trees(text: str) -> list[Any]:
    return [item.tree for item in parse_documents(text, "f") if isinstance(item, Document)]


NEW = {"kind": "BGPPeer", "spec": {"asNumber": 9, "filters": ["x"]}}

THREE = text_of("""
    # Peers of rack 1.   Keep sorted!

    # the first
    kind: A   # odd   spacing
    spec: {a: 'q'}
    --- # second
    # about b
    kind: B
    spec:
        deep:   [1,2]   # inside

    # at the end of b
    ---
    kind: C
    text: |
      # no comment

      but text
    """)


def test_one_of_several_documents_is_replaced() -> None:
    assert splice(THREE, "f", {1: NEW}) == THREE.replace(
        "kind: B\nspec:\n    deep:   [1,2]   # inside\n",
        "kind: BGPPeer\nspec:\n  asNumber: 9\n  filters:\n  - x\n",
    )


def test_the_first_and_the_last_are_replaced() -> None:
    assert splice(THREE, "f", {0: NEW, 2: {"kind": "Z"}}) == THREE.replace(
        "kind: A   # odd   spacing\nspec: {a: 'q'}",
        "kind: BGPPeer\nspec:\n  asNumber: 9\n  filters:\n  - x",
    ).replace("kind: C\ntext: |\n  # no comment\n\n  but text\n", "kind: Z\n")


def test_a_document_goes_with_the_comments_directly_above_it() -> None:
    assert splice(THREE, "f", {0: None}) == (
        "# Peers of rack 1.   Keep sorted!\n" + THREE[THREE.index("--- # second") :]
    )


def test_comments_after_a_document_stay() -> None:
    new = splice(THREE, "f", {1: None})
    assert new == THREE.replace(
        "--- # second\n# about b\nkind: B\nspec:\n    deep:   [1,2]   # inside\n", ""
    )
    assert "# at the end of b" in new


def test_when_all_are_gone_nothing_is_left() -> None:
    assert splice(THREE, "f", {0: None, 1: None, 2: None}) is None


def test_what_cannot_be_read_stays_where_it_is() -> None:
    broken = "kind: A\n---\nkind: [\n---\nkind: C\n"
    assert splice(broken, "f", {0: None, 2: NEW}) == (
        "---\nkind: [\n---\nkind: BGPPeer\nspec:\n  asNumber: 9\n  filters:\n  - x\n"
    )
    assert splice("kind: A\n---\nkind: [\n", "f", {0: None}) == "---\nkind: [\n"


LIST = text_of("""
    # a list
    apiVersion: v1
    kind: List
    items:
      # the first
      - kind: A
        n: 1      # one

      - # the second
        kind: B
        spec:
          x: "y"
      # the third
      - kind: C
    """)


def test_an_item_of_a_list_is_replaced_with_its_indentation() -> None:
    assert splice(LIST, "f", {1: NEW}) == LIST.replace(
        '    kind: B\n    spec:\n      x: "y"\n',
        "    kind: BGPPeer\n    spec:\n      asNumber: 9\n      filters:\n      - x\n",
    )


@pytest.mark.parametrize(
    ("number", "lines"),
    [
        (0, "  - kind: A\n    n: 1      # one\n"),
        (1, '  - # the second\n    kind: B\n    spec:\n      x: "y"\n'),
        (2, "  - kind: C\n"),
    ],
)
def test_an_item_of_a_list_is_taken_out(number: int, lines: str) -> None:
    assert splice(LIST, "f", {number: None}) == LIST.replace(lines, "")


def test_a_list_that_gets_empty_goes() -> None:
    assert splice(LIST, "f", {0: None, 1: None, 2: None}) is None
    after = LIST + "---\nkind: D\n"
    assert splice(after, "f", {0: None, 1: None, 2: None}) == "---\nkind: D\n"


def test_a_list_inside_a_list_that_gets_empty_goes_alone() -> None:
    text = text_of("""
        - kind: List
          items:
          - kind: A
          - kind: B
        - kind: C
        """)
    assert splice(text, "f", {0: None, 1: None}) == "- kind: C\n"
    assert splice(text, "f", {1: None, 2: None}) == "- kind: List\n  items:\n  - kind: A\n"


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("gone", [[0], [1], [2], [0, 1], [1, 2], [0, 2]])
def test_items_of_json_are_taken_out(indent: int | None, gone: list[int]) -> None:
    items = [{"kind": name, "n": number} for number, name in enumerate("ABC")]
    text = json.dumps({"kind": "List", "items": items}, indent=indent)
    new = splice(text, "f", dict.fromkeys(gone))
    assert new is not None
    assert json.loads(new)["items"] == [item for n, item in enumerate(items) if n not in gone]


def test_json_stays_json() -> None:
    text = json.dumps([{"kind": "A"}, {"kind": "B"}], indent=2)
    new = splice(text, "f", {1: NEW})
    assert new is not None
    assert json.loads(new) == [{"kind": "A"}, NEW]
    assert '\n    "kind": "BGPPeer",\n    "spec": {\n      "asNumber"' in new


def test_documents_are_put_at_the_end() -> None:
    assert splice("kind: A", "f", {}, ["kind: B\n", "kind: C\n"]) == (
        "kind: A\n---\nkind: B\n---\nkind: C\n"
    )
    assert splice("", "f", {}, ["kind: B\n"]) == "kind: B\n"


def test_line_ends_of_windows_stay() -> None:
    text = THREE.replace("\n", "\r\n")
    new = splice(text, "f", {1: NEW}, ["kind: D\n"])
    assert new is not None
    assert new.count("\n") == new.count("\r\n")
    assert new.startswith(text[: text.index("kind: B")])


def test_documents_that_others_refer_to_are_not_touched() -> None:
    text = "- &a {kind: A}\n- kind: B\n  spec: *a\n"
    with pytest.raises(ConfigError, match="cannot be edited without touching other documents"):
        splice(text, "f", {0: NEW})
    # What refers to others may change itself.
    assert splice(text, "f", {1: {"kind": "C"}}) == "- &a {kind: A}\n- kind: C\n"


@pytest.mark.parametrize("gone", [[0], [1], [2], [3], [4], [2, 3], [0, 2], [0, 1, 2, 3, 4]])
def test_lists_with_aliases_are_edited_right_or_not_at_all(gone: list[int]) -> None:
    text = "- &x {kind: A}\n- &y\n  kind: B\n- *x\n- *y\n- kind: C\n"
    wanted = [tree for number, tree in enumerate(trees(text)) if number not in gone]
    try:
        new = splice(text, "f", dict.fromkeys(gone))
    except ConfigError:
        assert gone != [4]
        return
    assert trees(new or "") == wanted


def test_the_end_of_a_document_may_be_marked() -> None:
    text = "kind: A\n...\n---\nkind: B\n...\n"
    assert splice(text, "f", {0: {"kind": "Z"}}) == "kind: Z\n...\n---\nkind: B\n...\n"
    assert splice(text, "f", {1: None}) == "kind: A\n...\n...\n"


PIECES = st.sampled_from(
    [
        "kind: A\n# after\n",
        "# before\nkind: B\nspec: {x: [1, 2]}\n",
        "# alone\n\n# at\nkind: List\nitems:\n- kind: C\n# c\n- {kind: D}\n",
        "[{kind: E}, {kind: F}]\n",
        '{"kind": "G",\n "spec": {}}\n',
        "kind: [\n",
        "- kind: H\n  t: |\n    # text\n\n- kind: I\n",
        "# nothing\n",
    ]
)


@given(st.lists(PIECES, min_size=1, max_size=5), st.data())
def test_whatever_is_edited_the_rest_is_as_it_was(pieces: list[str], data: st.DataObject) -> None:
    text = "---\n".join(pieces)
    found = parse_documents(text, "f")
    places = [n for n, item in enumerate(found) if isinstance(item, Document)]
    edits = data.draw(
        st.dictionaries(st.sampled_from(places), st.none() | st.just(NEW))
        if places
        else st.just({})
    )
    new = splice(text, "f", edits)
    wanted = [
        edits.get(n) or item.tree
        for n, item in enumerate(found)
        if isinstance(item, Document) and edits.get(n, 1) is not None
    ]
    assert trees(new or "") == wanted
    for comment in ("# nothing", "# alone"):
        if new is not None:
            assert new.count(comment) == text.count(comment)
