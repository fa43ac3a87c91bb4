"""Regular expressions over the AS_PATH; `re` is the referee."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.as_path_regex import AsPathRegex, as_path_regex, matched_text
from policy.as_path_syntax import LONGEST, AsPathRegexError
from policy.attributes import TRANSITIVE, Attribute, PathAttributes, tlv

ALPHABET = "0123456789 ,{}()[]"


@pytest.mark.parametrize(
    ("pattern", "text", "wanted"),
    [
        ("_65000_", "65000", True),
        ("_65000_", "1 65000 2", True),
        ("_65000_", "1 65000", True),
        ("_65000_", "165000 2", False),
        ("_65000_", "1 {65000,2}", True),
        ("_65000_", "(65000 2) 1", True),
        ("65000", "165000 2", True),
        ("^65000_", "65000 2", True),
        ("^65000_", "1 65000", False),
        ("_65000$", "1 65000", True),
        ("_65000_65001_", "1 65000 65001", True),
        ("_65000_65001_", "65000 1 65001", False),
        ("^$", "", True),
        ("^$", "1", False),
        (".*", "", True),
        ("^65000( 65000)*$", "65000 65000 65000", True),
        ("^65000( 65000)*$", "65000 65000 1", False),
        (r"\{.*\}", "1 {2,3}", True),
        (r"\{", "1 2", False),
        ("_(64512|6451[3-9]|645[2-9][0-9])_", "1 64599 3", True),
        ("^[^ ]+ [^ ]+$", "1 2", True),
        ("^[^ ]+ [^ ]+$", "1 2 3", False),
        (r"^(\d+_){3}$", "1 2 3", True),
        (r"^(\d+_){3}$", "1 2 3 4", False),
        ("^1 {2,3}2$", "1  2", True),
        ("^1 {2,3}2$", "1 2", False),
        (r"\.", "1", False),
        ("[]1]", "]", True),
        ("1|2", "2", True),
        (r"^(\d+_){1,90}65001$", "1 2 65001", True),
        ("^((((){9999}){9999}){9999}1)$", "1", True),
        (r"^(\d+_){50,}", "1 2 3", False),
    ],
)
def test_what_matches(pattern: str, text: str, wanted: bool) -> None:
    assert AsPathRegex(pattern).matches(text) is wanted


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("", "it is empty"),
        ("(1", r"a \( without its \), at character 1"),
        ("1)", r"a \) without its \(, at character 2"),
        ("[1", r"a \[ without its \], at character"),
        ("[", r"a \[ without its \], at character"),
        ("*1", "nothing to repeat, at character 1"),
        ("1**", "a repetition of a repetition"),
        ("1*?", "a repetition of a repetition"),
        ("^*", "an end of the path cannot be repeated"),
        ("{1,2}", r"\{ stands for itself as \\\{ only, at character 1"),
        ("1{x}", r"\{ without numbers of repetitions"),
        ("1{3,2}", "repetitions from more to less"),
        ("1{9999}{2}", "a repetition of a repetition"),
        ("(1{999}){999}", "too large"),
        ("(((){9999}){9999}){9999}(", "its \\)"),
        ("AS1", "no AS path has a 'A', at character 1"),
        ("[a-z]", "no AS path has a 'a', at character 2"),
        ("[9-0]", "from a digit to a higher one"),
        (r"\b1", r"\\b means nothing here"),
        ("1\\", "means nothing here"),
        ("(?=1)", r"there is \(\?: \) alone"),
        ("(" * 20 + ")" * 20, "groups deeper than"),
        ("1" * (LONGEST + 1), f"more than {LONGEST} characters"),
    ],
)
def test_what_is_refused_and_where(pattern: str, words: str) -> None:
    with pytest.raises(AsPathRegexError, match=words):
        AsPathRegex(pattern)


def test_expressions_are_equal_by_their_text() -> None:
    assert AsPathRegex("_1_") == AsPathRegex("_1_") != AsPathRegex("_2_")
    assert hash(AsPathRegex("_1_")) == hash(AsPathRegex("_1_"))
    assert as_path_regex("_1_") is as_path_regex("_1_")


@pytest.mark.parametrize("pattern", ["(1+)+$", "(1|1)*$", "(.*)(.*)(.*)(.*)(.*)2$", "(1?){200}$"])
def test_no_path_takes_long(pattern: str) -> None:
    """A backtracking matcher would not come to an end."""
    text = "1" * 4000 + " "
    regex = AsPathRegex(pattern)
    before = time.process_time()
    for _ in range(10):
        regex.matches(text)
    assert time.process_time() - before < 5


def atoms() -> st.SearchStrategy[str]:
    ranges = st.tuples(st.integers(0, 9), st.integers(0, 9)).map(
        lambda both: f"[{min(both)}-{max(both)} ,]"
    )
    return st.one_of(
        st.sampled_from(["1", "2", "12", " ", ",", ".", "_", r"\d", r"\{", r"\}", r"\(", r"\)"]),
        st.sampled_from(["^", "$", "[^12]", r"[^\]1]", "[]2]"]),
        ranges,
    )


def repeats(of: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    counts = st.sampled_from(["*", "+", "?", "{2}", "{1,}", "{0,2}", "{0}"])
    return st.tuples(of, counts).map(lambda both: f"({both[0]}){both[1]}")


PATTERNS = st.recursive(
    atoms(),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda ways: f"(?:{'|'.join(ways)})"),
        repeats(inner),
    ),
    max_leaves=6,
)


@given(PATTERNS, st.lists(st.text(ALPHABET, max_size=8), max_size=4))
def test_it_says_what_re_says(pattern: str, texts: list[str]) -> None:
    # No number has an underscore, so those of the pattern are all boundaries.
    referee = re.compile(pattern.replace("_", r"(?:^|$|[ ,{}()\[\]])"))
    regex = AsPathRegex(pattern)
    for text in texts:
        assert regex.matches(text) is (referee.search(text) is not None)


def test_a_path_is_written_with_its_sets() -> None:
    value = bytes.fromhex("0202 00000001 0000fde8 0102 00000002 00000003 0301 00000004 0402")
    value += bytes.fromhex("00000005 00000006")
    raw = tlv(TRANSITIVE, Attribute.AS_PATH, value)
    assert matched_text(PathAttributes(raw)) == "1 65000 {2,3} (4) [5,6]"
    assert matched_text(PathAttributes(b"")) == ""
