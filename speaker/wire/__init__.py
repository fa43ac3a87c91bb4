"""What goes over the wire: octets to values and back. Pure; no socket, no clock.

`framing` cuts a TCP stream into messages, `codec` turns the rare messages (OPEN, NOTIFICATION,
ROUTE-REFRESH) into values of `fsm.messages` with ExaBGP's help, `update` and `attributes` take
UPDATEs apart without an object per prefix, and `describe` puts any attribute into words. Nothing
here raises anything but `fsm.errors.BgpError`, whatever arrives.
"""
