"""The memory of the router: what peers told us, what we chose, what we told whom.

Pure: no I/O, no clock.

The rules (what is better, who may hear it, how it is rewritten) are `policy`; here are only tables
and queues. One UPDATE passes through in one direction:

    inbound.Inbound      octets of one peer's UPDATEs to packed prefixes and one interned path
    adj_rib_in           what that peer told us, per family
    adj_rib_in_paths     the same where the peer may tell several paths to a prefix (RFC 7911)
    loc_rib              the best path of each prefix, and what changed since the last turn: a Delta
    export_group         what alike peers are told, and who still owes what
    out_routes           what a path becomes for them, encoded once
    export_paths         the same where they are told several paths to a prefix (RFC 7911)
    relayed_out_routes   out_routes for families that are relayed

Every table is a ``dict`` from packed prefix to a shared object; no object exists per prefix.
"""
