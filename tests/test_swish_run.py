"""make run with SANDBOX_SWISH_PORT: certificates, routes and settings come by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from tests.fixtures import a_key
from tests.patience import PATIENCE
from tests.sandbox_calls import eventually
from tests.sandbox_server import reserved_port
from tests.whole_service import whole_service


@pytest.mark.slow
def test_a_payer_pays_by_swish(tmp_path: Path) -> None:
    with reserved_port() as reserved:
        port = str(reserved.getsockname()[1])
        env = {"SANDBOX_SWISH_PORT": port, "RESOLUTION_FIRST_LOOKUP_SECONDS": "0.5"}
        with whole_service(tmp_path, **env) as addresses:
            ready = requests.get(f"{addresses.service}/health/ready", timeout=PATIENCE).json()
            assert "warnings" not in ready
            answer = requests.post(
                f"{addresses.service}/v1/payments/charge",
                json={"order_id": 7, "amount": "104.86", "currency": "SEK", "method": "SWISH"},
                headers={"Idempotency-Key": a_key()},
                timeout=PATIENCE,
            )
            assert answer.status_code == 202, answer.text
            asked = answer.json()
            assert asked["status"] == "REQUIRES_ACTION"
            assert asked["next_action"]["token"]
            phone = f"{addresses.sandbox}/swish/phones/{asked['next_action']['token']}"
            assert "Say nothing" in requests.get(phone, timeout=PATIENCE).text
            said = requests.post(phone, data={"outcome": "approve"}, timeout=PATIENCE)
            assert "nothing left to decide" in said.text
            url = f"{addresses.service}/v1/payments/{asked['payment_id']}"
            eventually(lambda: requests.get(url, timeout=PATIENCE).json()["status"] == "SUCCESS")
