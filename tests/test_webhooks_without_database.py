"""PostgreSQL goes while providers call: they hear 503 and come again, and then it is as if it had
never gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from payment_service import embedded
from tests.clusters import copied
from tests.conftest import _migrate
from tests.fixtures import MakeApp
from tests.hooked import an_app, an_event, pending, send, signed_body
from tests.sandbox_server import Sandbox

pytestmark = pytest.mark.slow  # a PostgreSQL of its own


def test_what_can_not_be_kept_is_503_and_applied_when_it_comes_again(
    make_app: MakeApp,
    sandbox: Sandbox,
    cluster: Path,
    tmp_path: Path,
) -> None:
    directory = copied(cluster, tmp_path / "db")
    postgres = embedded.start_postgres(directory)
    try:
        _migrate(postgres.url)
        client = an_app(make_app, sandbox, database_url=postgres.url).test_client()
        payment = pending(client)
        body = signed_body(an_event(f"{payment['reference']}-1"))
        postgres.stop()
        answer = send(client, body)
        assert (answer.status_code, answer.json["code"]) == (503, "database_unavailable")
        assert send(client, b"nonsense").status_code == 400  # what is refused needs none
        postgres = embedded.start_postgres(directory)
        assert send(client, body).status_code == 202
        found = client.get(f"/v1/payments/{payment['payment_id']}").json
        assert found["status"] == "SUCCESS"
    finally:
        postgres.stop()
