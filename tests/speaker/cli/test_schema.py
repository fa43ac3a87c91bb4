"""``wren schema``."""

from __future__ import annotations

import json

from speaker.config.kinds import Kind
from speaker.config.schema import schema_of, schema_of_all
from tests.support.commands import wren


def test_of_a_kind_by_any_alias() -> None:
    done = wren("schema", "bp")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == schema_of(Kind.BGP_PEER)


def test_of_all_kinds_in_one() -> None:
    assert json.loads(wren("schema").stdout) == schema_of_all()


def test_an_unknown_kind_is_told() -> None:
    done = wren("schema", "deployment")
    known = ", ".join(Kind)
    assert (done.exit_code, done.stderr) == (
        1,
        f"resource type 'deployment' is not supported (known: {known})\n",
    )
