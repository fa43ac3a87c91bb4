"""How the commands talk with the running daemon: a Unix socket, one JSON object a line.

`protocol` holds the lines and the one error both ends know, `server` is the daemon's end, `client`
the commands' end, and `views` the shapes of the answers.
"""
