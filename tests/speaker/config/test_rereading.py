"""Files that are read again: what comes out is what one reading gives, with little work."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from speaker.config.reading import read_file
from speaker.config.report import Report
from speaker.config.rereading import Reader

PIECES = st.sampled_from(
    [
        "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: a}\n",
        "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: B}\n",
        "# a comment\n\napiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata:\n  name: p\n",
        "kind: NodeList\napiVersion: projectcalico.org/v3\nitems: [{metadata: {name: a}}, 5]\n",
        "kind: [\n",
        (
            "apiVersion: wren.bgp/v1\nkind: RoutePolicy\nmetadata: {name: f}\n"
            "spec:\n  importV4:\n  - action: Reject\n  - action: Accept\n"
        ),
        "# nothing but a comment\n",
        "\n",
        "just a word",
    ]
)
TEXTS = st.lists(PIECES, max_size=5).map("---\n".join)


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_each_reading_gives_what_a_first_one_would(texts: list[str]) -> None:
    reader = Reader()
    for text in texts:
        expected = read_file(text, "f.yaml")
        found = reader.read(text, "f.yaml")
        assert found == expected
        assert [lines(report) for report in found] == [lines(report) for report in expected]


def lines(report: Report) -> tuple[object, ...]:
    """Give what equal reports may differ in."""
    return report.line, report.places, report.rule_lines


def test_what_did_not_change_is_the_same_object() -> None:
    reader = Reader()
    node = "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: %s}\n"
    (one, two) = reader.read(node % "a" + "---\n" + node % "b", "f.yaml")
    (other, same) = reader.read(node % "c" + "# more\n---\n" + node % "b", "f.yaml")
    assert same.resource is two.resource
    assert (two.line, same.line) == (5, 6)
    assert other.resource is not one.resource


def test_a_file_that_is_gone_is_forgotten() -> None:
    reader = Reader()
    text = "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: a}\n"
    (first,) = reader.read(text, "f.yaml")
    reader.forget_others({"g.yaml"})
    (again,) = reader.read(text, "f.yaml")
    assert again == first
    assert again.resource is not first.resource
