"""Files that are read again and again, of which little changes.

A directory of thousands of resources is read anew as a whole after each edit. What costs is to
parse and to check the documents, so a `Reader` remembers what became of each piece of a file, from
one ``---`` to the next, by its text. A piece that only moved keeps its resource and its reports are
moved with it. What comes out is what `speaker.config.reading.read_file` gives, and unchanged
resources are the same objects as before, which makes comparing two sets of them cheap.
"""

from __future__ import annotations

from speaker.config.documents import chunks
from speaker.config.reading import read_file
from speaker.config.report import Report


class Reader:
    """Reads files, and remembers of each its last text."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._reports: dict[str, list[Report]] = {}
        self._pieces: dict[str, dict[str, list[Report]]] = {}

    def read(self, text: str, file: str) -> list[Report]:
        """Read all documents of a file."""
        if self._texts.get(file) == text:
            return self._reports[file]
        before, now = self._pieces.get(file, {}), {}
        reports: list[Report] = []
        for chunk in chunks(text):
            found = before.get(chunk.text)
            now[chunk.text] = found = read_file(chunk.text, file) if found is None else found
            reports += [
                report.moved(chunk.line, number)
                for number, report in enumerate(found, len(reports))
            ]
        self._texts[file], self._reports[file], self._pieces[file] = text, reports, now
        return reports

    def forget_others(self, files: set[str]) -> None:
        """Keep nothing of files that are not among these."""
        for known in (self._texts, self._reports, self._pieces):
            for file in known.keys() - files:
                del known[file]
