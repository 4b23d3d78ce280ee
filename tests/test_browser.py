"""What answers tell a browser: every route of the map, every method, errors, static files, and what
never gets to the app; who may read them; by which name and through whom the service is called."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse, create_environ, run_wsgi_app

from tests.fixtures import IN_PRODUCTION, MakeApp, StartService, a_key, an_order
from tests.patience import PATIENCE

DATA = "default-src 'none'; frame-ancestors 'none'"


def assert_guarded(answer: TestResponse) -> None:
    headers = answer.headers
    for name, _ in headers:
        assert name == "Vary" or len(headers.getlist(name)) == 1, name
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] in ("same-origin", "no-referrer")
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in policy
    if answer.mimetype == "text/html":
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "geolocation=()" in headers["Permissions-Policy"]
        assert "base-uri 'none'" in policy
    elif answer.mimetype != "application/pdf":
        assert policy == DATA
    assert "Access-Control-Allow-Origin" not in headers


def every_route(app: Flask) -> Iterator[tuple[str, str]]:
    """Each method of each rule, with a path that fits it."""
    for rule in app.url_map.iter_rules():
        filled = dict.fromkeys(rule.arguments, 1) | {"filename": "docs.js", "country": "IN"}
        values = {name: filled[name] for name in rule.arguments}
        with app.test_request_context():
            built = app.url_map.bind("").build(rule.endpoint, values)
        yield from ((method, built) for method in sorted(rule.methods or ()))


def test_every_route_says_what_a_browser_may_do(app: Flask, client: FlaskClient) -> None:
    routes = list(every_route(app))
    assert len(routes) > 50
    for method, path in routes:
        with client.open(path, method=method, headers={"Origin": "https://a.example"}) as answer:
            assert_guarded(answer)


def test_so_does_every_error(client: FlaskClient) -> None:
    for answer in (
        client.get("/nowhere"),
        client.put("/health"),
        client.get("/v1/payments?limit=0"),
        client.get("/x" * 5000),
        client.get("/static/none.js"),
        client.post("/v1/payments", data="{", content_type="application/json"),
        client.post("/v1/payments", data="x", content_type="text/plain"),
        client.post("/v1/payments", data=b"x" * 2_000_000, content_type="application/json"),
    ):
        assert answer.status_code >= 400
        assert_guarded(answer)


def test_a_receipt_loads_nothing_and_runs_nothing(client: FlaskClient, sandbox: Any) -> None:
    paid = client.post("/v1/payments/charge", json=an_order(), headers={"Idempotency-Key": a_key()})
    for form in ("html", "pdf", "json"):
        answer = client.get(f"/v1/payments/{paid.json['payment_id']}/receipt?format={form}")
        assert answer.status_code == 200
        assert_guarded(answer)
        assert "script-src" not in answer.headers["Content-Security-Policy"]


@pytest.mark.slow
def test_what_is_no_request_is_told_so_too(start_service: StartService) -> None:
    place = ("127.0.0.1", urlsplit(start_service().url).port)
    with socket.create_connection(place, PATIENCE) as sock:
        sock.sendall(b"nonsense\r\n\r\n")
        told = b"".join(iter(lambda: sock.recv(4096), b"")).decode()
    assert "400 Bad Request" in told
    assert f"Content-Security-Policy: {DATA}" in told
    assert "X-Content-Type-Options: nosniff" in told


def test_production_is_reached_over_tls_for_a_year(make_app: MakeApp, client: FlaskClient) -> None:
    app = make_app(**IN_PRODUCTION)
    strict = app.test_client().get("/nowhere")
    assert strict.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    assert "Strict-Transport-Security" not in client.get("/nowhere").headers


def test_only_pages_of_allowed_origins_may_read(make_app: MakeApp) -> None:
    client = make_app(allowed_origins="https://a.example, https://b.example").test_client()
    asks = {"Access-Control-Request-Method": "POST"}

    def told(origin: str, method: str = "GET", **headers: str) -> Any:
        answer = client.open("/v1/payments", method=method, headers={"Origin": origin, **headers})
        assert "Origin" in answer.headers.getlist("Vary")
        assert "Access-Control-Allow-Credentials" not in answer.headers
        return answer.headers

    for origin in ("https://a.example", "https://b.example"):
        assert told(origin)["Access-Control-Allow-Origin"] == origin
        assert "Access-Control-Allow-Headers" not in told(origin)
        preflight = told(origin, "OPTIONS", **asks)
        assert "Idempotency-Key" in preflight["Access-Control-Allow-Headers"]
        assert "POST" in preflight["Access-Control-Allow-Methods"]
    for origin in ("http://a.example", "https://c.example", "null", "https://a.example.evil", "*"):
        assert "Access-Control-Allow-Origin" not in told(origin)
        assert "Access-Control-Allow-Headers" not in told(origin, "OPTIONS", **asks)


def test_a_browser_asks_first_without_a_token(make_app: MakeApp) -> None:
    origin = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    app = make_app(allowed_origins="https://a.example", auth_mode="jwt", jwt_secret="x" * 32)
    client = app.test_client()
    assert client.options("/v1/payments", headers=origin).status_code == 200
    refused = client.get("/v1/payments", headers=origin)
    assert refused.status_code == 401
    assert refused.headers["Access-Control-Allow-Origin"] == "https://a.example"


def test_the_service_answers_to_its_names_only(make_app: MakeApp) -> None:
    client = make_app(allowed_hosts="pay.example.com,.in.example.com, 127.0.0.1").test_client()

    def status(host: str) -> int:
        answer = client.get("/v1/payments/providers", headers={"Host": host})
        assert_guarded(answer)
        assert answer.status_code == 200 or answer.json["code"] == "bad_request"
        return answer.status_code

    for host in ("pay.example.com", "pay.example.com:8082", "a.in.example.com", "127.0.0.1:80"):
        assert status(host) == 200
    for host in ("example.com", "evil.example", "xpay.example.com", "pay.example.com.evil"):
        assert status(host) == 400


@pytest.mark.parametrize("names", [None, "pay.example.com,::1"])
def test_an_address_in_brackets_is_a_name_too(make_app: MakeApp, names: str | None) -> None:
    app = make_app(allowed_hosts=names)
    for host, status in (
        *(("[::1]", 200), ("[::1]:8082", 200)),
        *(("[::2]", 400), ("[::1.evil]", 400), ("[1:::]", 400), ("[", 400), ("", 400)),
    ):
        environ = {**create_environ("/v1/payments/providers"), "HTTP_HOST": host}
        _, told, _ = run_wsgi_app(app, environ)  # Flask's client stumbles over the worst itself
        assert int(told.split()[0]) == status, host


@pytest.mark.slow
def test_without_tokens_only_this_machines_names_are_answered_to(make_app: MakeApp) -> None:
    """A page whose name was made to lead here is a page of ours to a browser, and reads all."""

    def statuses(*hosts: str, **settings: Any) -> set[int]:
        client = make_app(**settings).test_client()
        paths = ("/v1/payments?limit=1", "/metrics", "/nowhere")
        asks = [client.get(path, headers={"Host": host}) for path in paths for host in hosts]
        return {answer.status_code for answer in asks}

    own = ("localhost", "localhost:8082", "LOCALHOST.", "127.0.0.1:8082", "[::1]:8082")
    foreign = ("evil.example", "evil.example:8082", "127.0.0.1.evil.example", "0.0.0.0", "10.0.0.1")
    assert statuses(*own) == {200, 404}
    assert statuses(*foreign) == {400}
    assert statuses("127.0.0.2", service_host="127.0.0.2") == {200, 404}
    assert statuses("127.0.0.2") == {400}
    assert statuses("pay.example.com", allowed_hosts="pay.example.com") == {200, 404}
    assert statuses(*own, allowed_hosts="pay.example.com") == {400}
    assert statuses(*foreign, auth_mode="jwt", jwt_secret="x" * 32) == {200, 401, 404}


@pytest.mark.parametrize("host", ["10.1.2.3:8082", "payments_web", "evil.example", ""])
def test_who_watches_asks_by_any_name(make_app: MakeApp, host: str) -> None:
    """A pod's address, mostly. Metrics are told by a name of ours, or to whoever shows that he may
    read them."""
    token = "a-token-of-prometheus"
    shown = {"Authorization": f"Bearer {token}"}

    def statuses(*paths: str, headers: dict[str, str] | None = None, **settings: Any) -> list[int]:
        app, found = make_app(allowed_hosts="pay.example.com", **settings), []
        for path in paths:
            environ = {**create_environ(path, headers=headers), "HTTP_HOST": host}
            _, told, _ = run_wsgi_app(app, environ)
            found.append(int(told.split()[0]))
        return found

    probes = ("/health", "/ready", "/health/ready")
    assert statuses(*probes, "/metrics", "/openapi.json", "/nowhere") == [200] * 3 + [400] * 3
    asked = statuses(*probes, "/metrics", "/nowhere", headers=shown, metrics_token=token)
    assert asked == [200] * 4 + [400]
    assert statuses("/metrics", metrics_token=token) == [401]
    assert statuses("/metrics", metrics_port=80) == [200]  # by which the test comes


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1, nonsense, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.2, 10.0.0.3", "10.0.0.2"),
        ("203.0.113.5", "198.51.100.1", "203.0.113.5"),
        ("127.0.0.1", "198.51.100.1", "127.0.0.1"),
        # As a socket names them that takes IPv6 too.
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("::ffff:172.16.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "::ffff:203.0.113.9, ::ffff:10.0.0.2", "203.0.113.9"),
        ("::ffff:203.0.113.5", "198.51.100.1", "203.0.113.5"),
    ],
)
def test_proxies_of_ours_are_believed(
    make_app: MakeApp, peer: str, forwarded: str, client: str
) -> None:
    app = make_app(trusted_proxies="10.0.0.0/8, fd00::/8, ::ffff:172.16.0.0/108")
    seen = []
    app.before_request(lambda: seen.append((request.remote_addr, request.scheme)))
    headers = {
        "X-Forwarded-Proto": "https",
        **({"X-Forwarded-For": forwarded} if forwarded else {}),
    }
    app.test_client().get("/health", headers=headers, environ_base={"REMOTE_ADDR": peer})
    ours = peer.removeprefix("::ffff:").startswith(("10.", "172."))
    assert seen == [(client, "https" if ours else "http")]


@pytest.mark.slow
def test_so_is_one_by_ipv4_on_a_socket_of_both(start_service: StartService) -> None:
    """Each client has a count of his own, and not all of them the proxy's."""
    try:
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True).close()
    except (OSError, ValueError) as error:
        pytest.skip(f"no socket of both here: {error}")
    service = start_service(
        SERVICE_HOST="::",
        AUTH_MODE="jwt",
        JWT_SECRET="x" * 32,
        TRUSTED_PROXIES="127.0.0.0/8",
        RATE_LIMIT="7 per 7 day",
    )
    told = [
        service.get("/v1/nothing", headers={"X-Forwarded-For": f"203.0.113.{number}"})
        for number in (1, 2)
    ]
    assert [answer.headers["RateLimit-Remaining"] for answer in told] == ["6", "6"]


@pytest.mark.parametrize("peer", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_without_proxies_nobody_is_believed(make_app: MakeApp, peer: str) -> None:
    app = make_app()
    seen = []
    app.before_request(lambda: seen.append((request.remote_addr, request.scheme)))
    headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    app.test_client().get("/health", headers=headers, environ_base={"REMOTE_ADDR": peer})
    assert seen == [("127.0.0.1", "http")]


@pytest.mark.parametrize(
    ("site", "origin", "status"),
    [
        ("cross-site", "https://evil.example", 403),
        ("same-site", "http://127.0.0.1:9", 403),
        ("cross-site", None, 403),
        ("cross-site", "https://a.example", 404),
        ("same-origin", None, 404),
        ("none", None, 404),
        (None, "https://evil.example", 404),
    ],
)
def test_without_tokens_no_other_site_s_page_acts(
    make_app: MakeApp, site: str | None, origin: str | None, status: int
) -> None:
    """What no browser sends says no site, and is let through to the payment that is not there."""
    client = make_app(allowed_origins="https://a.example").test_client()
    sent = {"Sec-Fetch-Site": site, "Origin": origin}
    headers = {name: value for name, value in sent.items() if value}
    answer = client.post(
        "/v1/payments/999999999999/cancel", headers=headers | {"Idempotency-Key": "a"}
    )
    assert answer.status_code == status, answer.json
    if status == 403:
        assert answer.json["code"] == "foreign_page"
    assert client.get("/health", headers=headers).status_code == 200
