"""The RPKI-to-Router protocol, without sockets and clocks: its PDUs and the client's machine."""
