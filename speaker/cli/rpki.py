"""``wren rpki``: the caches of the running daemon, or what they say of a prefix and its origin."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from speaker.cli.options import Output, OutputOption, RunDirOption, read_prefix
from speaker.cli.tables import Table, write_json, write_lines, write_table
from speaker.config.scalars import ScalarError, parse_asn
from speaker.control.client import ask
from speaker.control.views import CacheView, OriginView, RpkiView, ValidityView
from speaker.moments import show_duration, show_since


def rpki(
    run_dir: RunDirOption,
    prefix: Annotated[
        str | None, typer.Argument(metavar="PREFIX", help="A prefix or an address.")
    ] = None,
    asn: Annotated[
        str | None,
        typer.Argument(metavar="AS", help="From where the prefix comes, or would come."),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show the caches of RPKI; or what they say of a prefix, and the VRPs that cover it.

    Without AS a prefix is judged for every origin that a peer has told, rejected or not.
    """
    if prefix is None:
        found: RpkiView = ask(run_dir, "rpki")
        if output is Output.JSON:
            write_json(found)
            return
        if found["caches"]:
            write_table(cache_table(found["caches"]))
        else:
            typer.echo("no RPKICache is for this node", err=True)
        write_lines(show_others(found))
        return
    answer: ValidityView = ask(run_dir, "validity", prefix=read_prefix(prefix), asn=_asn(asn))
    if output is Output.JSON:
        write_json(answer)
        return
    write_lines(show_validity(answer))


def _asn(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_asn(text.removeprefix("AS"))
    except ScalarError as error:
        raise typer.BadParameter(str(error), param_hint="AS") from None


def cache_table(caches: list[CacheView]) -> Table:
    """Give a row for each cache."""
    headings = (
        *("NAME", "ADDRESS", "PORT", "STATE", "VERSION", "SESSION", "SERIAL"),
        *("IPV4", "IPV6", "EXPIRES IN", "SINCE", "INFO"),
    )
    rows = [
        (
            item["name"],
            item["address"],
            str(item["port"]),
            item["state"],
            str(item["version"]),
            _number(item["sessionID"]),
            _number(item["serial"]),
            str(item["vrps"]["ipv4"]),
            str(item["vrps"]["ipv6"]),
            show_duration(item["expiresIn"]) or "-",
            show_since(item["since"], time.time()),
            item["lastError"] or "-",
        )
        for item in caches
    ]
    numbers = {"PORT", "VERSION", "SESSION", "SERIAL", "IPV4", "IPV6", "EXPIRES IN"}
    return Table(headings, rows, right=frozenset(numbers))


def show_others(found: RpkiView) -> list[str]:
    """Give a line for each source that is no cache."""
    return [
        f"{name}: {sizes.get('ipv4', 0)} VRPs of IPv4, {sizes.get('ipv6', 0)} of IPv6"
        for name, sizes in found["others"].items()
    ]


def show_validity(answer: ValidityView) -> list[str]:
    """Say what holds for each origin, and list the VRPs."""
    prefix = answer["prefix"]
    lines = [
        f"{prefix} {_origin(item)}: {item['validity']}{_by(item)}" for item in answer["origins"]
    ]
    if not lines:
        lines.append(f"no peer tells {prefix}; name an AS to have it judged")
    if not answer["vrps"]:
        return [*lines, f"no VRP covers {prefix}"]
    rows = [
        (item["prefix"], str(item["maxLength"]), str(item["asn"]), ", ".join(item["sources"]))
        for item in answer["vrps"]
    ]
    headings = ("VRP", "MAX LENGTH", "AS", "BY")
    lines += Table(headings, rows, right=frozenset({"MAX LENGTH", "AS"})).lines()
    return lines + ([f"and {answer['left']} more"] if answer["left"] else [])


def _origin(item: OriginView) -> str:
    return "from an AS_SET" if item["asn"] is None else f"from AS {item['asn']}"


def _by(item: OriginView) -> str:
    return f", told by {', '.join(item['peers'])}" if item["peers"] else ""


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)
