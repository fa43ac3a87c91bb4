"""Sockets: one TCP connection, how it is dialled, how it is accepted, and its options.

Nothing here knows BGP; chunks of octets and the news of a connection's life go up through functions
that were given at construction.
"""
