"""The commands: what people and scripts see of Wren.

`app` knows the names of all commands and loads only the one that is called. Each other module is
one command or group: it reads arguments, asks either the pure rooms (`speaker.config`) or the
running daemon (`speaker.control.client`), and shows the answer as text or as JSON. What a text
looks like is decided in pure functions (`tables`, `status_table`, and the ``show_…`` functions),
which tests hold to golden texts.

Exit codes: 0 done, 1 it did not work or something is wrong with what was looked at, 2 the command
itself was not understood.
"""
