"""What the log says of resources: their edits, what is wrong with them, and reports of them."""

from __future__ import annotations

import logging

from speaker.log.output import say


def change_applied(sentence: str) -> None:
    """A part of an edit is in force."""
    say(logging.INFO, "change_applied", sentence)


def edit_refused(where: str, message: str) -> None:
    """A document is not accepted; what was in force stays."""
    say(logging.ERROR, "edit_refused", f"{where}: {message}; what was in force stays", where=where)


def edit_held(files: int, within: float) -> None:
    """An edit is about to be made that is rolled back unless it is confirmed."""
    many = "1 file" if files == 1 else f"{files} files"
    say(
        logging.INFO,
        "edit_held",
        f"an edit of {many} is rolled back in {within:g} s unless 'wren confirm' comes before",
        files=files,
        within=within,
    )


def edit_confirmed() -> None:
    """The edit that awaited confirmation stays."""
    say(logging.INFO, "edit_confirmed", "the edit is confirmed")


def edit_rolled_back(why: str, left: list[str]) -> None:
    """The edit that awaited confirmation is taken back, but for what was edited since."""
    sentence = f"the edit is rolled back: {why}"
    if left:
        sentence += f"; edited since, and left as they are: {', '.join(left)}"
    say(logging.WARNING, "edit_rolled_back", sentence, why=why, left=left)


def edit_not_rolled_back(why: str) -> None:
    """The edit that awaited confirmation could not be taken back."""
    say(logging.ERROR, "edit_not_rolled_back", f"the edit cannot be rolled back: {why}", why=why)


def document_warning(where: str, message: str) -> None:
    """A document is accepted, but something about it deserves a look."""
    say(logging.WARNING, "document_warning", f"{where}: {message}", where=where)


def report_failed(name: str, why: str) -> None:
    """A CalicoNodeStatus could not be written."""
    say(
        logging.WARNING,
        "report_failed",
        f"CalicoNodeStatus/{name}: not written: {why}",
        name=name,
        why=why,
    )


def report_cut(maximum: int) -> None:
    """A CalicoNodeStatus cannot hold all routes."""
    say(
        logging.WARNING,
        "report_cut",
        f"a CalicoNodeStatus has the first {maximum} routes only; ask wren routes for all",
        maximum=maximum,
    )


def condition(resource: str, severity: str, reason: str, message: str) -> None:
    """Something in the resources is wrong but isolated."""
    say(
        logging.ERROR if severity == "error" else logging.WARNING,
        "condition",
        f"{resource}: {message}",
        resource=resource,
        reason=reason,
    )
