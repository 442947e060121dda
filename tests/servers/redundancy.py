"""What an asyncua server says of its redundancy (Part 5, 6.3.7 and 12.5; Part 4, 6.6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from asyncua import Server, ua

_IDS = ua.ObjectIds
_NODES = (
    _IDS.Server_ServiceLevel,
    _IDS.Server_ServerRedundancy_CurrentServerId,
    _IDS.Server_ServerRedundancy_RedundantServerArray,
    _IDS.Server_ServerRedundancy_ServerUriArray,
    _IDS.Server_ServerRedundancy,
)


async def forget_redundancy(server: Server) -> None:
    """As of servers that know nothing of Part 4, 6.6."""
    await server.delete_nodes([server.get_node(each) for each in _NODES])


async def set_service_level(server: Server, level: int) -> None:
    value = ua.Variant(level, ua.VariantType.Byte)
    await server.get_node(_IDS.Server_ServiceLevel).write_value(value)


async def name_set(
    server: Server,
    uris: Iterable[str],
    servers: Mapping[str, int],
    addresses: Mapping[str, str],
) -> None:
    """``uris``: the ServerUriArray; ``servers``: the RedundantServerArray, ServiceLevel by
    ServerId; ``addresses``: what FindServers answers besides this server, by ApplicationUri.
    """
    support = ua.Variant(int(ua.RedundancySupport.Warm), ua.VariantType.Int32)
    await server.get_node(_IDS.Server_ServerRedundancy_RedundancySupport).write_value(support)
    named = ua.Variant(list(uris), ua.VariantType.String, is_array=True)
    await server.get_node(_IDS.Server_ServerRedundancy_ServerUriArray).write_value(named)
    listed = [
        ua.RedundantServerDataType(ServerId=uri, ServiceLevel=level)
        for uri, level in servers.items()
    ]
    array = ua.Variant(listed, ua.VariantType.ExtensionObject, is_array=True)
    await server.get_node(_IDS.Server_ServerRedundancy_RedundantServerArray).write_value(array)
    for uri, url in addresses.items():
        server.iserver.register_server(
            ua.RegisteredServer(
                ServerUri=uri,
                ServerNames=[ua.LocalizedText(uri)],
                DiscoveryUrls=[url],
                IsOnline=True,
            )
        )
