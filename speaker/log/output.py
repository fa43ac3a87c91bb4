"""Where the log goes, in which form, and how much of it."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

logger = logging.getLogger("wren")
logger.addHandler(logging.NullHandler())


def say(level: int, event: str, sentence: str, **fields: Any) -> None:
    """Say something, to people and to programs.

    Args:
        level: of `logging`.
        event: its name, which stays.
        sentence: for people.
        fields: for programs.
    """
    if logger.isEnabledFor(level):
        logger.log(level, "%s", sentence, extra={"event": event, "fields": fields})


def on_one_line(text: str) -> str:
    """Write characters as escapes that would end a line, or do something to a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class TextFormatter(logging.Formatter):
    """One line for people: time, level, sentence."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record."""
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        line = f"{moment}Z {record.levelname.lower():7} {on_one_line(record.getMessage())}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for programs."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", record.name),
            "message": record.getMessage(),
        }
        entry.update(getattr(record, "fields", {}))
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        line = json.dumps(entry, default=str, ensure_ascii=False)
        # What is half a character stays an escape, as it may have come in.
        return line.encode(errors="backslashreplace").decode()


def to_stderr(form: str, level: str) -> None:
    """Let the vocabulary speak on standard error.

    Args:
        form: ``text`` or ``json``.
        level: ``debug``, ``info``, ``warning`` or ``error``.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logger.handlers = [handler]
    logger.propagate = False
    set_level(level)


def set_level(level: str) -> None:
    """Say as much as this from now on."""
    logger.setLevel(level.upper())


_SEVERITIES = {
    "Trace": "debug",
    "Debug": "debug",
    "Info": "info",
    "Warning": "warning",
    "Error": "error",
    "Fatal": "critical",
}


class _Choice:
    """Whether somebody chose a level that the resources do not change."""

    is_made = False


def choose_level(level: str | None) -> None:
    """Say as much as this whatever the resources ask for; None leaves it to them."""
    _Choice.is_made = level is not None
    if level is not None:
        set_level(level)


def set_severity(severity: str) -> None:
    """Say as much as BGPConfiguration asks for by ``logSeverityScreen``, if nobody chose."""
    if not _Choice.is_made:
        set_level(_SEVERITIES.get(severity, "info"))
