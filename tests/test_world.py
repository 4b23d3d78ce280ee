"""What `make run` sets, so that a newcomer needs no key: of all providers that the sandbox speaks,
and only where nobody else said anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from payment_service import config, read_settings
from payment_service.providers.registry import Registry
from payment_service.sandbox.dialects.fiuu import signatures
from payment_service.sandbox.dialects.stripe import events
from payment_service.sandbox.dialects.zaincash import signing
from scripts.world import DIALECTS, SANDBOX_URLS, unset, world
from tests.fixtures import IN_PRODUCTION

PORTS = {"SERVICE_PORT": 8082, "SANDBOX_PORT": 8081}


@pytest.fixture(autouse=True)
def newcomer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is set but what make run has set before."""
    names = {name.upper() for name in config.Settings.__dataclass_fields__}
    for name in names & os.environ.keys() - {"AUTH_MODE"}:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1/payments")
    for name in ("secret_key", "encryption_keys"):
        monkeypatch.setenv(name.upper(), IN_PRODUCTION[name])


def settings_of(found: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> config.Settings:
    for name, value in unset(found).items():
        monkeypatch.setenv(name, value)
    return read_settings()


def test_all_providers_are_on_and_the_usual_routes_stay(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usual = config.look()[0].provider_routes
    found = world({**PORTS, "SANDBOX_SWISH_PORT": 8083}, tmp_path)
    settings = settings_of(found, monkeypatch)
    registry = Registry(settings)
    assert {one.name for one in registry.all()} >= {*DIALECTS, "swish", "sandbox", "cash"}
    assert settings.provider_routes == (
        f"{usual},CARD:IQD=fib,CARD:MYR=fiuu,CARD:SEK=stripe,SWISH:SEK=swish,WALLET:IQD=zaincash"
    )


def test_the_keys_are_those_of_the_sandbox() -> None:
    found = world(PORTS)
    assert found["FIUU_MERCHANT_ID"] == signatures.MERCHANT
    assert found["FIUU_VERIFY_KEY"] == signatures.VERIFY_KEY
    assert found["FIUU_SECRET_KEY"] == signatures.SECRET_KEY
    assert found["STRIPE_WEBHOOK_SECRET"] == events.SECRET
    assert found["ZAINCASH_API_KEY"] == signing.KEY


def test_without_a_port_there_is_no_swish_and_no_certificate(tmp_path: Path) -> None:
    assert not any("SWISH" in name for name in world(PORTS, tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["FIB_CLIENT_ID", "STRIPE_API_BASE_FILE", "FIUU_EXTENDED_VCODE"])
def test_of_a_provider_that_somebody_began_nothing_is_set(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    provider = name.partition("_")[0].lower()
    monkeypatch.setenv(name, "true")
    found = world(PORTS)
    begun = {one.partition("_")[0].lower() for one in found} & DIALECTS.keys()
    assert begun == DIALECTS.keys() - {provider}
    assert f"={provider}" not in found["PROVIDER_ROUTES"]


def test_routes_that_somebody_wrote_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDER_ROUTES", "CARD=sandbox")
    assert settings_of(world(PORTS), monkeypatch).provider_routes == "CARD=sandbox"


@pytest.mark.parametrize(("name", "value"), [("APP_ENV", "production"), ("ENCRYPTION_KEYS", "")])
def test_in_production_and_where_no_page_can_be_kept_there_are_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    """With a port of Swish's neither; the sandbox has its certificates there all the same."""
    usual = config.look()[0].provider_routes
    monkeypatch.setenv(name, value)
    found = world({**PORTS, "SANDBOX_SWISH_PORT": 8083}, tmp_path)
    assert found.keys() == {
        *SANDBOX_URLS, "SANDBOX_SWISH_DIR", "PROVIDER_ROUTES", "FOUR_EYES_ABOVE"
    }  # fmt: skip
    assert found["PROVIDER_ROUTES"] == usual
