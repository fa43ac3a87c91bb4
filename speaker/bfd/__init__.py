"""BFD in a process of its own, and the client that starts and watches it.

`client` is the speaker's half, and `finding` how it comes to a process. The other modules are the
process: `loop` waits and wakes, `watching` has the sessions (`watched`), `datagrams` their sockets,
`line` and `door` lead to the speaker and to the next one, and `words` are what both halves say to
each other. It imports the standard library, `fsm` and these modules, and nothing else; it is small,
starts fast, and no table, garbage collection or edit of the speaker's delays its packets. Where it
can, it goes on while the speaker restarts (`fate`).

Standards: RFC 5880, RFC 5881, RFC 5882, RFC 5883.
"""
