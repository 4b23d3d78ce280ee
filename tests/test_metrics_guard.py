"""Who may read /metrics, with each of its two guards, with both and with neither."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.fixtures import MakeApp, StartService
from tests.patience import PATIENCE
from tests.sandbox_server import reserved_port
from tests.tokens import SECURED, a_token, bearing

TOKEN = "a-token-of-prometheus"
PORT = 9102


@pytest.mark.parametrize("mode", [{}, SECURED], ids=["off", "jwt"])
def test_by_token(make_app: MakeApp, mode: dict[str, Any]) -> None:
    client = make_app(**mode, metrics_token=TOKEN).test_client()
    for path in ("/metrics", "/api/metrics"):
        assert client.get(path, headers=bearing(TOKEN)).status_code == 200
        for sent in ({}, bearing(TOKEN[:-1]), bearing(a_token()), {"Authorization": TOKEN}):
            answer = client.get(path, headers=sent)
            assert (answer.status_code, answer.json["reason"]) == (401, "metrics")
            assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert client.get("/health").status_code == 200


def test_by_port(make_app: MakeApp) -> None:
    client = make_app(metrics_port=PORT).test_client()
    apart = {"SERVER_PORT": str(PORT)}
    assert client.get("/metrics", environ_overrides=apart).status_code == 200
    for path in ("/health", "/v1/payments", "/docs", "/nothing"):
        assert client.get(path, environ_overrides=apart).status_code == 404, path
    assert client.get("/metrics").status_code == 404
    assert client.get("/metrics", headers={"Host": f"localhost:{PORT}"}).status_code == 404
    assert client.get("/health").status_code == 200


def test_by_both(make_app: MakeApp) -> None:
    client = make_app(metrics_port=PORT, metrics_token=TOKEN).test_client()
    apart = {"SERVER_PORT": str(PORT)}
    assert client.get("/metrics", headers=bearing(TOKEN)).status_code == 404
    assert client.get("/metrics", environ_overrides=apart).status_code == 401
    answer = client.get("/metrics", headers=bearing(TOKEN), environ_overrides=apart)
    assert answer.status_code == 200


def test_health_by_a_port_of_its_own(make_app: MakeApp) -> None:
    client = make_app(health_port=PORT).test_client()
    apart = {"SERVER_PORT": str(PORT)}
    for path in ("/health", "/health/ready", "/ready"):
        assert client.get(path, environ_overrides=apart).status_code == 200, path
        assert client.get(path).status_code == 200, path
    for path in ("/metrics", "/v1/payments", "/docs", "/nothing", "/admin/"):
        assert client.get(path, environ_overrides=apart).status_code == 404, path
    assert client.get("/metrics").status_code == 200


@pytest.mark.slow
def test_a_unix_socket_is_no_port(start_service: StartService, tmp_path: Path) -> None:
    """Whatever port the Host header names: gunicorn would take it for the socket's."""
    place, port = str(tmp_path / "web"), "9102"
    service = start_service()
    service.kill()
    by_port = service.url.removeprefix("http://")
    service.start(METRICS_PORT=port, GUNICORN_CMD_ARGS=f"--bind {by_port} --bind unix:{place}")
    for host in (f"localhost:{port}", "localhost", f"127.0.0.1:{port}"):
        for path, status in (("/metrics", 404), ("/health", 200)):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(PATIENCE)
                sock.connect(place)
                sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                assert int(sock.recv(12).split()[1]) == status, (host, path)


@pytest.mark.slow
def test_gunicorn_listens_on_both_ports(start_service: StartService) -> None:
    reserved = reserved_port()
    port = reserved.getsockname()[1]
    other = reserved_port()
    health_port = other.getsockname()[1]
    service = start_service(METRICS_PORT=str(port), HEALTH_PORT=str(health_port))
    apart = f"http://127.0.0.1:{port}"
    lying = {"Host": f"127.0.0.1:{port}"}
    assert requests.get(f"{apart}/metrics", timeout=PATIENCE).status_code == 200
    assert requests.get(f"{apart}/v1/payments", timeout=PATIENCE).status_code == 404
    assert service.get("/metrics", headers=lying).status_code == 404
    assert service.get("/v1/payments").status_code == 200
    health = f"http://127.0.0.1:{health_port}"
    assert requests.get(f"{health}/health/ready", timeout=PATIENCE).status_code == 200
    assert requests.get(f"{health}/v1/payments", timeout=PATIENCE).status_code == 404
    assert requests.get(f"{health}/metrics", timeout=PATIENCE).status_code == 404
    reserved.close()
    other.close()
    assert "AUTH_MODE=off: no token is asked for" in service.log.read_text()
