"""localstripe on 127.0.0.1, as a process of its own: `python -m tests.strangers.localstripe_server
PORT`. Nothing of it is shipped with us.

It is left as it is but for three things. It listens on this machine only. It keeps its objects in
memory: its file would be one in /tmp for all that run. And its capture takes metadata, as Stripe's
own does, since that is how we tell one capture from another.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

from localstripe import resources


def _capture(id: str, metadata: Any = None, **asked: Any) -> Any:
    intent = resources.PaymentIntent._api_capture(id, **asked)
    intent.metadata.update(metadata or {})
    return intent


resources.Store.dump_to_disk = lambda store: None
_PATH = "/v1/payment_intents/{id}/capture"
_AT = [path for _, path, _ in resources.extra_apis].index(_PATH)
resources.extra_apis[_AT] = ("POST", _PATH, _capture)


def main() -> None:
    from aiohttp import web
    from localstripe import server

    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", int(sys.argv[1])))
    web.run_app(server.app, sock=listening, print=None)


if __name__ == "__main__":
    main()
