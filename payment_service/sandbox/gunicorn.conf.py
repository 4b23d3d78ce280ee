"""How the sandbox is served: one process, because its state is in memory; many threads."""

from __future__ import annotations

from typing import Any

from payment_service.sandbox import mutual_tls
from payment_service.sandbox.settings import read_settings

settings = read_settings()
host = f"[{settings.sandbox_host}]" if ":" in settings.sandbox_host else settings.sandbox_host
bind = f"{host}:{settings.sandbox_port}"
workers = 1
worker_class = "gthread"
# A request that is slow or silent on demand holds a thread.
threads = 256
worker_connections = 2048
keepalive = 75
# Silent requests would hold up the end for a minute; nothing is lost by cutting them off.
graceful_timeout = 1
control_socket_disable = True
proc_name = "sandbox"


def post_worker_init(worker: Any) -> None:
    """The app is here: also where a client certificate is asked for."""
    mutual_tls.begin(worker.wsgi, read_settings())
