"""``wren policy test``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.commands import wren, write_documents
from tests.support.resources import block, document, node, peer

ROOT = Path(__file__).parents[3]
NODE = node("r1", "10.0.0.1/24", asn=64512)
TOR = peer("tor", node="r1", peerIP="10.0.0.254", asNumber=65001, filters=["f"])
INSIDE = peer("inside", node="r1", peerIP="10.0.0.253", asNumber=64512)
FILTER = """\
apiVersion: projectcalico.org/v3
kind: BGPFilter
metadata:
  name: f
spec:
  importV4:
  - action: Reject
    cidr: 10.0.0.0/8
    matchOperator: In
  - action: Accept
    communities:
      values: ["65001:1"]
    operations:
    - addCommunity:
        value: "64512:1"
    - setPriority:
        value: 512
  exportV4:
  - action: Reject
    cidr: 192.0.2.0/24
    matchOperator: In
"""


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask no daemon of this machine."""
    monkeypatch.setenv("WREN_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("NODENAME", raising=False)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    pool = document("IPPool", "p", {"cidr": "10.65.0.0/16", "ipipMode": "CrossSubnet"})
    directory = write_documents(
        tmp_path / "etc", [NODE, TOR, INSIDE, pool, block("10.65.0.0/26", "r1")]
    )
    (directory / "f.yaml").write_text(FILTER)
    return directory


def case(expect: Any, *, direction: str = "import", peer: str | None = "tor", **route: Any) -> Any:
    """Make a case; what is expected is a verdict, or more than that."""
    expected = {"verdict": expect} if isinstance(expect, str) else expect
    found = {"name": "a case", "direction": direction, "route": route, "expect": expected}
    return found if peer is None else {**found, "peer": peer}


def write(store: Path, *cases: Any, **more: Any) -> Path:
    file = store.parent / "cases.yaml"
    file.write_text(yaml.safe_dump({"resources": "etc", "cases": list(cases), **more}))
    return file


def run(store: Path, *cases: Any) -> Any:
    """Run cases as a program does."""
    done = wren("policy", "test", "-o", "json", write(store, *cases))
    assert done.exit_code in (0, 1), done.output
    return json.loads(done.stdout)


def test_the_examples_pass() -> None:
    done = wren("policy", "test", ROOT / "examples" / "policy" / "cases", "--min-coverage", "100")
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith(" 0 failed; 7 of 7 rules covered\n")
    assert (
        wren("policy", "lint", "--strict", ROOT / "examples" / "policy" / "cluster").exit_code == 0
    )


def test_a_failed_case_is_a_line_that_says_what_came_and_why(store: Path) -> None:
    file = write(store, case("accept", prefix="10.1.0.0/16"), case("accept", prefix="1.0.0.0/8"))
    done = wren("policy", "test", file)
    assert done.exit_code == 1
    [failed, summary] = done.stdout.splitlines()
    assert failed == (
        f"{file}:2: a case: expected verdict accept, came reject: bgpfilter/f importV4[0]"
        f" ({store}/f.yaml:7)"
    )
    assert summary == "2 cases, 1 failed; 1 of 3 rules covered"


def test_verbose_says_why_rules_do_not_hold(store: Path) -> None:
    done = wren("policy", "test", "-v", write(store, case("accept", prefix="1.0.0.0/8")))
    why = "no import rule matches, so it is accepted"
    assert done.stdout.splitlines()[:3] == [
        f"{store.parent}/cases.yaml:2: a case: ok: {why}",
        f"    bgpfilter/f importV4[0] ({store}/f.yaml:7): 1.0.0.0/8 is not in 10.0.0.0/8",
        f"    bgpfilter/f importV4[1] ({store}/f.yaml:10): community 65001:1 is not there",
    ]


MARKED: Any = {"prefix": "172.16.0.0/12", "communities": ["65001:1"], "med": 7}
ATTRIBUTES = {
    "asPath": "65001",
    "origin": "IGP",
    "nextHop": "10.0.0.254",
    "med": 7,
    "priority": 512,
    "localPref": 2147483135,
    "communities": ["64512:1", "65001:1"],
    "hasCommunities": ["64512:1"],
    "lacksCommunities": ["no-export"],
    "preference": 100,
}


def test_attributes_are_compared_as_far_as_they_are_named(store: Path) -> None:
    whole = {"verdict": "accept", "filter": "f", "rule": 1, "attributes": ATTRIBUTES}
    assert run(store, case(whole, **MARKED))["failed"] == 0


@pytest.mark.parametrize(
    ("name", "wrong", "came"),
    [
        ("asPath", "65001 {1 2}", "65001"),
        ("origin", "EGP", "IGP"),
        ("nextHop", "none", "10.0.0.254"),
        ("med", "none", "7"),
        ("priority", 513, "512"),
        ("localPref", "none", "2147483135"),
        ("communities", ["65001:1"], "64512:1 65001:1"),
        ("hasCommunities", ["1:2:3"], "64512:1 65001:1"),
        ("lacksCommunities", ["65001:1"], "64512:1 65001:1"),
        ("preference", 200, "100"),
        ("metric", 5, "none"),
    ],
)
def test_an_attribute_that_differs_fails(store: Path, name: str, wrong: Any, came: str) -> None:
    expect = {"verdict": "accept", "attributes": {name: wrong}}
    [found] = run(store, case(expect, **MARKED))["cases"]
    [mismatch] = found["mismatches"]
    assert (mismatch["what"], mismatch["came"]) == (name, came)


@pytest.mark.parametrize(
    ("given", "passes"),
    [
        (case("accept", direction="export", prefix="10.65.0.0/26", source="block"), True),
        (case("reject", direction="export", prefix="10.65.0.1/32", source="kernel"), True),
        (
            case(
                {"verdict": "reject", "filter": "f", "rule": 0},
                direction="export",
                prefix="192.0.2.0/24",
                source="inside",
            ),
            True,
        ),
        (
            case(
                {"verdict": "accept", "attributes": {"asPath": "64512", "localPref": "none"}},
                direction="export",
                prefix="10.65.1.0/24",
                source="inside",
                localPref=7,
            ),
            True,
        ),
        (
            case(
                {
                    "verdict": "reject",
                    "reason": "does not come in from tor: bgpfilter/f importV4[0]",
                },
                direction="export",
                peer="inside",
                prefix="10.65.1.0/24",
                source="tor",
            ),
            True,
        ),
        (
            case(
                {"verdict": "reject", "reason": "it came from there"},
                direction="export",
                peer="inside",
                prefix="10.65.1.0/24",
                source="inside",
            ),
            True,
        ),
        (case("reject", prefix="172.16.0.0/12", asPath=[65001, 64512]), True),
        (case({"verdict": "reject", "reason": "AS loop"}, prefix="1.0.0.0/8", asPath=64512), True),
        (case({"verdict": "accept", "filter": "f"}, prefix="1.0.0.0/8"), False),
        (case({"verdict": "reject", "filter": "f", "rule": 1}, prefix="10.0.0.0/8"), False),
        (case({"verdict": "reject", "filter": "g"}, prefix="10.0.0.0/8"), False),
        (case({"verdict": "reject", "reason": "another"}, prefix="10.0.0.0/8"), False),
        (
            case(
                {"verdict": "accept", "attributes": {"metric": 512}},
                direction="kernel",
                peer=None,
                source="tor",
                **MARKED,
            ),
            True,
        ),
        (
            case("reject", direction="kernel", peer=None, prefix="10.65.9.0/26", source="inside"),
            True,
        ),
        (case("reject", direction="kernel", peer=None, prefix="1.0.0.0/8", source="kernel"), True),
    ],
)
def test_ways_of_a_route(store: Path, given: Any, passes: bool) -> None:
    assert run(store, given)["failed"] == (0 if passes else 1)


VALIDITY = """\
apiVersion: wren.bgp/v1
kind: RoutePolicy
metadata:
  name: f
spec:
  importV4:
  - {action: Reject, rpki: Invalid}
"""


def test_what_rpki_says_stands_in_the_file_of_cases(store: Path) -> None:
    (store / "f.yaml").write_text(VALIDITY)
    routes = [("10.9.0.0/24", "accept"), ("10.9.0.0/25", "reject"), ("10.8.0.0/24", "accept")]
    cases = [case(verdict, prefix=prefix) for prefix, verdict in routes]
    said = [{"prefix": "10.9.0.0/16", "maxLength": 24, "asn": 65001}]
    assert wren("policy", "test", write(store, *cases, vrps=said)).exit_code == 0
    assert wren("policy", "test", write(store, cases[1])).exit_code == 1
    said[0]["maxLength"] = 15
    done = wren("policy", "test", write(store, *cases, vrps=said))
    assert done.exit_code == 2
    assert "vrps[0].maxLength: of 10.9.0.0/16 it is from 16 to 32" in done.output


def test_json_names_rule_place_and_misses(store: Path) -> None:
    answer = run(store, case("reject", **MARKED))
    [found] = answer["cases"]
    assert {key: found[key] for key in ("passed", "verdict", "rule", "place")} == {
        "passed": False,
        "verdict": "accept",
        "rule": "bgpfilter/f importV4[1]",
        "place": f"{store}/f.yaml:10",
    }
    assert [miss["why"] for miss in found["misses"]] == ["172.16.0.0/12 is not in 10.0.0.0/8"]
    assert answer["coverage"]["percent"] == 33.3
    assert [rule["cases"] for rule in answer["coverage"]["rules"]] == [0, 1, 0]


def test_coverage_is_shown_and_may_be_asked_for(store: Path) -> None:
    file = write(store, case("reject", prefix="10.1.0.0/16"))
    done = wren("policy", "test", "--coverage", file)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[:2] == [
        "CASES  RULE                     PLACE",
        f"    1  bgpfilter/f importV4[0]  {store}/f.yaml:7",
    ]
    assert "never  bgpfilter/f importV4[1]" in done.stdout
    done = wren("policy", "test", "--min-coverage", "50", file)
    assert (done.exit_code, done.stderr) == (1, "33.3% of the rules decided a case, 50% should\n")
    assert wren("policy", "test", "--min-coverage", "33", file).exit_code == 0


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (case("accept", prefix="10.0.0.1/8"), "cases[0].route.prefix: "),
        (case("accept", prefix="10.0.0.0/8", peer="nobody"), "cases[0].peer: node r1 has no peer"),
        (case("accept", prefix="2001:db8::/32"), "cases[0].peer: Node_10_0_0_254 does not carry"),
        (case("accept", peer=None, prefix="1.0.0.0/8"), "cases[0]: peer is required"),
        (case("accept", prefix="1.0.0.0/8", source="tor"), "cases[0].route.source: "),
        (case("accept", direction="export", prefix="1.0.0.0/8"), "cases[0].route: source is"),
        (
            case("accept", direction="export", prefix="1.0.0.0/8", source="kernel", med=5),
            "cases[0].route.source: a kernel route has no attributes",
        ),
        (case("accept", prefix="1.0.0.0/8", metric=5), "cases[0].route.metric: "),
        (case("tunnel", prefix="1.0.0.0/8"), "cases[0].expect.verdict: "),
        (case({"verdict": "accept", "rule": 1}, prefix="1.0.0.0/8"), "cases[0].expect.rule: "),
        (
            case({"verdict": "reject", "attributes": {"med": 1}}, prefix="1.0.0.0/8"),
            "cases[0].expect.attributes: ",
        ),
        (case("accept", prefix="1.0.0.0/8", asPath="1 {2 3"), "cases[0].route.asPath: "),
        (case("accept", prefix="1.0.0.0/8", asPth="1"), "cases[0].route.asPth: asPth is no field"),
    ],
)
def test_a_case_that_makes_no_sense_is_an_error_with_its_place(
    store: Path, given: Any, place: str
) -> None:
    file = write(store, given)
    done = wren("policy", "test", file)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"{file}:")
    assert place in done.stderr


@pytest.mark.parametrize("text", ["", "cases: []", "- 1", "cases: ]", "a: 1"])
def test_files_that_hold_no_cases(store: Path, text: str) -> None:
    file = store.parent / "cases.yaml"
    file.write_text(text)
    done = wren("policy", "test", file)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"{file}:1:")


def test_resources_and_node_may_be_given_otherwise(store: Path, tmp_path: Path) -> None:
    other = write_documents(tmp_path / "other", [NODE, node("r2", "10.0.0.2/24"), TOR])
    file = write(store, case("reject", prefix="10.1.0.0/16"))
    done = wren("policy", "test", file, "--resources", other)
    assert done.exit_code == 2
    assert done.stderr == (
        f"{file}: which node is asked?; say node: in the file of cases, or give --node\n"
    )
    done = wren("policy", "test", file, "--resources", other, "--node", "r1")
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (1, "1 case, 1 failed")
    named = write(store, case("reject", prefix="10.1.0.0/16"), node="r1")
    assert wren("policy", "test", named, "--resources", other).exit_code == 1
    assert wren("policy", "test", named, "--node", "r2", "--resources", other).exit_code == 2


def test_resources_that_are_refused_are_not_tested(store: Path) -> None:
    (store / "bad.yaml").write_text(FILTER.replace("Reject", "Drop").replace("name: f", "name: g"))
    done = wren("policy", "test", write(store, case("accept", prefix="1.0.0.0/8")))
    assert done.exit_code == 2
    assert done.stderr.startswith(f"{store}/bad.yaml:7:")


def test_wrong_usage(store: Path, tmp_path: Path) -> None:
    assert wren("policy", "test").exit_code == 2
    assert wren("policy", "test", tmp_path / "nothing").exit_code == 2
    file = write(store, case("accept", prefix="1.0.0.0/8"), resources="nowhere")
    assert wren("policy", "test", file).exit_code == 2
    assert wren("policy", "test", "--min-coverage", "101", file).exit_code == 2
