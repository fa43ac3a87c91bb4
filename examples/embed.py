"""A router of one's own in thirty lines: follow the best paths, announce a prefix.

Run it by ``python -m examples.embed DIRECTORY NODE``.
"""

from __future__ import annotations

import asyncio
import sys

import speaker
from policy.prefix import show_all


async def main(directory: str, node: str) -> None:
    """Run a router without kernel and print what happens."""
    plan = speaker.resolve(speaker.load_resources(directory), node)
    async with speaker.Speaker(plan) as router:
        router.originate("192.0.2.0/24")
        async for notice in router.listen_to_notices():
            match notice:
                case speaker.SessionEstablished(peer, address):
                    print(f"{peer} at {address} is up")
                case speaker.SessionDown(peer, _, reason):
                    print(f"{peer} is down: {reason}")
                case speaker.RoutesChanged(delta):
                    for path, nlris in delta.changed.items():
                        source = "withdrawn" if path is None else f"from {path.source.name}"
                        print(source, *show_all(delta.family, nlris))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
