"""``wren selector``."""

from __future__ import annotations

import json

import pytest

from tests.support.commands import wren


@pytest.mark.parametrize(
    ("expression", "labels", "shown"),
    [
        ("rack == 'a'", "rack=a,role=tor", "true"),
        ("rack == 'a'", "rack=b", "false"),
        ("has(x)", "x=", "true"),
        ("", "", "true"),
    ],
)
def test_it_prints_true_or_false(expression: str, labels: str, shown: str) -> None:
    done = wren("selector", expression, "--labels", labels)
    assert (done.exit_code, done.stdout) == (0, f"{shown}\n")


def test_labels_may_be_left_out_and_given_several_times() -> None:
    assert wren("selector", "!has(a)").stdout == "true\n"
    assert wren("selector", "has(a) && has(b)", "-l", "a=1", "-l", "b=2").stdout == "true\n"


def test_json_has_the_canonical_selector() -> None:
    done = wren("selector", "a=='b'", "--labels", "a=b", "-o", "json")
    assert json.loads(done.stdout) == {
        "selector": 'a == "b"',
        "labels": {"a": "b"},
        "matches": True,
    }


def test_a_syntax_error_is_pointed_at() -> None:
    done = wren("selector", "rack = 'a'")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "at character 6" in done.stderr
    assert done.stderr.endswith("  rack = 'a'\n       ^\n")


@pytest.mark.parametrize("labels", ["x", "a=b,x", "=v"])
def test_labels_that_are_none_are_wrong_usage(labels: str) -> None:
    done = wren("selector", "all()", "--labels", labels)
    assert done.exit_code == 2
    assert "is not k=v" in done.stderr
