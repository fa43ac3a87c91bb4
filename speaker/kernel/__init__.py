"""The kernel's side of the router: install routes, and learn what the node stands on.

`Kernel` (`speaker.kernel.thread`) is the door. Behind it one thread, whose inside is `worker`, owns
three netlink sockets: batches of route messages go out on the first (`netlink`, with `stamps` as
their moulds), dumps are read from the second, and what others do is heard on the third (`monitor`).
`fib` decides what has to be sent, with `requests` and `troubles` as its values; `ways` does for
next-hop objects, which `objects` sends and reads and `nexthops` writes in octets; `foreign` keeps
the routes that are not ours, `messages` reads octets, `routes` holds the values that go in and out.

Nothing here knows BGP, and nothing here ever touches a route of another protocol or table, but to
take back a place that was ours.
"""
