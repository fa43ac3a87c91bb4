#!/bin/sh
# For `wren run --hook`: a service address is on this node only while the session with its router
# is up, and somebody is paged when BFD finds that it is gone. What happened is in WREN_…, and as
# one line of JSON on standard input.
set -eu

ROUTER=172.31.0.2
VIP=203.0.113.10/32
PAGER=            # https://example.net/page, say

[ "$WREN_ADDRESS" = "$ROUTER" ] || exit 0

case "$WREN_EVENT $WREN_NEW" in
"session up")
    ip address replace "$VIP" dev lo
    ;;
"session down")
    ip address delete "$VIP" dev lo
    ;;
"bfd down")
    # Not when the router has ended BFD on purpose.
    [ "$WREN_FAILED" = 1 ] || exit 0
    logger -t wren-hook "$WREN_TIME $WREN_NODE: $WREN_PEER is gone: $WREN_REASON" || true
    [ -z "$PAGER" ] || curl --fail --silent --show-error --max-time 20 --data-binary @- "$PAGER"
    ;;
esac
