"""The web process: uvicorn serving pages, REST and WebSocket of one station.

``python -m mirrorsite.web``; the address and the certificate are the station's settings.
"""

from __future__ import annotations

import uvicorn
from django.conf import settings

import mirrorsite.asgi  # noqa: F401 - a fault in it is reported before the port is taken


def main() -> None:
    station = settings.STATION
    uvicorn.run(
        "mirrorsite.asgi:application",
        host=station.http_host,
        port=station.http_port,
        http="httptools",
        ws="websockets-sansio",  # the older "websockets" mode is deprecated
        ws_max_size=256 * 1024,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        ssl_certfile=station.tls_cert or None,
        ssl_keyfile=station.tls_key or None,
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
