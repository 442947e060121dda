"""A script at the plant, as control engineers write them: an OPC UA client of its own process.

``python -m tests.servers.script --reads URL NODE --writes URL NODE`` gives the second node the
value that the first one gets, ``--opposite`` the other one of 0 and 1. With ``--every SECONDS`` it
asks nobody and lets the second node toggle between 0 and 1. It prints ``{"ready": true}`` and then
lives until it is killed.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys

from asyncua import Client, Node, ua

POLL_SECONDS = 0.02


def say_ready() -> None:
    sys.stdout.write('{"ready": true}\n')
    sys.stdout.flush()


async def node_of(client: Client, name: str) -> Node:
    uri, _, identifier = name.removeprefix("nsu=").partition(";s=")
    return client.get_node(ua.NodeId(identifier, await client.get_namespace_index(uri)))


async def put(node: Node, value: float) -> None:
    await node.write_value(ua.DataValue(ua.Variant(value, ua.VariantType.Double)))


async def follow(read: Node, written: Node, *, opposite: bool) -> None:
    before: float | None = None
    while True:
        value = await read.read_value()
        if value != before:
            before = value
            await put(written, 1.0 - value if opposite else value)
        await asyncio.sleep(POLL_SECONDS)


async def toggle(written: Node, seconds: float) -> None:
    value = 0.0
    while True:
        value = 1.0 - value
        await put(written, value)
        await asyncio.sleep(seconds)


async def run(options: argparse.Namespace) -> None:
    async with Client(options.writes[0]) as writer:
        written = await node_of(writer, options.writes[1])
        if options.every:
            say_ready()
            await toggle(written, options.every)
            return
        async with Client(options.reads[0]) as reader:
            read = await node_of(reader, options.reads[1])
            say_ready()
            await follow(read, written, opposite=options.opposite)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--reads", nargs=2, metavar=("URL", "NODE"))
    parser.add_argument("--writes", nargs=2, metavar=("URL", "NODE"), required=True)
    parser.add_argument("--opposite", action="store_true")
    parser.add_argument("--every", type=float, default=0.0)
    options = parser.parse_args()
    logging.basicConfig(level="ERROR")
    asyncio.run(run(options))


if __name__ == "__main__":
    main()
