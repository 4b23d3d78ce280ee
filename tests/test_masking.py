"""Nothing secret or personal gets through the log's mask, however deep it lies and what stands
beside it; what is neither stays as it is."""

from __future__ import annotations

import base64
import json
import runpy
import string
from typing import Any
from urllib.parse import quote

import pytest
from gunicorn.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st

from payment_service.domain import cards
from payment_service.telemetry import masking
from tests.sandbox_server import ROOT

mask = masking.event_mask(cards.masked)
BASE64URL = string.ascii_letters + string.digits + "-_"


def masked(**event: Any) -> Any:
    return mask(None, "info", event)


def in_base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def with_luhn(digits: str) -> str:
    return next(digits + last for last in string.digits if cards.luhn(digits + last))


text_of = st.text(BASE64URL, min_size=20, max_size=60)
headers = st.sampled_from(
    [b'{"alg":"RS256"}', b'{ "typ":"JWT"}', b'{\n"alg": "none"}', b'{\t"kid":"1"}', b'{\r\n"x":1}']
)
jwts = st.builds(
    lambda head, rest: ".".join([in_base64(head), *rest]),
    headers,
    st.lists(text_of, min_size=2, max_size=4),
)
visas = st.text(string.digits, min_size=14, max_size=14).map(lambda rest: with_luhn("4" + rest))
grouped = visas.map(lambda number: " ".join(number[at : at + 4] for at in range(0, 16, 4)))
phones = st.builds(
    lambda first, rest: f"+{first}{rest}",
    st.sampled_from("123456789"),
    st.text(string.digits, min_size=6, max_size=14),
)
keys = st.builds(
    str.__add__, st.sampled_from(["whsec_", "sk_live_", "sk_test_", "rk_live_"]), text_of
)
BY_ITS_FORM = st.one_of(jwts, visas, grouped, phones, keys, st.emails())
BY_ITS_NAME = st.text(BASE64URL + "äß ", min_size=24, max_size=60)  # longer than what is harmless
NAMES = st.sampled_from(
    [
        *("authorization", "Authorization", "cookie", "Set-Cookie", "token", "payment_token"),
        *("paymentToken", "client_secret", "SECRET", "password", "db_password", "code", "api-key"),
    ]
)
around = st.sampled_from(
    ["{}", "sent {} there", '"{}"', "<{}>", "a\n{}\nb", "({})", "x={}", "ä {}"]
)
harmless = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20))
plain_names = st.sampled_from(["event", "path", "detail", "rider_id", "more"])


def nested(leaf: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """`leaf` within dicts, lists, tuples and other things, with harmless values beside it."""
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.builds(lambda a, b: [a, b], harmless, inner),
            st.builds(lambda a, b: (b, a), harmless, inner),
            st.builds(lambda name, a, b: {name: b, "beside": a}, plain_names, harmless, inner),
            st.builds(lambda a: {str(a): 1}, leaf),
            st.builds(lambda a: {1: a}, inner),
            st.builds(ValueError, inner),
        ),
        max_leaves=4,
    )


@pytest.mark.parametrize("host", ["mq", "mq.example.com", "mq for a@b.com"])
def test_a_password_of_an_address_may_have_any_character(host: str) -> None:
    for password in ("Ab9%2FxYz%40Q7", "Ab9%252FxYz", "Ab9xYzQ7"):
        told = json.dumps(masked(event=f"amqp://payments:{password}@{host}"))
        assert not any(part in told for part in ("Ab9", "xYz", "Q7")), told


def test_no_text_takes_for_ever() -> None:
    """What is looked at again from each of its characters would take hours."""
    for endless in ("a@[", "a@", "eyJ.", "token=", "+1", "://a"):
        masked(event=endless * 100_000)
        masked(event="%2525" + endless * 10_000)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_secret_gets_through(data: st.DataObject) -> None:
    none_gets_through(data)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(st.data())
def test_no_secret_of_two_thousand_gets_through(data: st.DataObject) -> None:
    none_gets_through(data)


def none_gets_through(data: st.DataObject) -> None:
    secret = data.draw(BY_ITS_FORM)
    encoded = data.draw(st.sampled_from([str, quote, lambda text: quote(quote(text))]))
    said = data.draw(around).format(encoded(secret))
    event = {data.draw(plain_names): data.draw(nested(st.just(said)))}
    told = json.dumps(masked(**event), ensure_ascii=False)
    for form in (secret, encoded(secret)):
        assert form not in told
        assert json.dumps(form)[1:-1] not in told


@settings(max_examples=100, deadline=None)
@given(NAMES, BY_ITS_NAME, st.data())
def test_no_value_of_a_secret_s_name_gets_through(
    name: str, secret: str, data: st.DataObject
) -> None:
    within = data.draw(nested(st.just({name: secret})))
    for event in ({name: secret}, {name: [secret]}, {"more": within}):
        assert secret not in json.dumps(masked(**event), ensure_ascii=False)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Authorization: Basic dXNlcjpodW50ZXIy", "Authorization=[secret]"),
        ("bearer hunter2 was sent", "bearer [secret] was sent"),
        ("{'password': 'hunter2, or so'}", "{'password'=[secret]}"),
        ('{"client_secret": "hunter\\"2"}', '{"client_secret"=[secret]}'),
        ("GET /x?token=hunter2&page=1", "GET /x?token=[secret]&page=1"),
        ("Cookie: a=hunter2; b=hunter2", "Cookie=[secret]"),
        ("postgresql://u:hunt@er2@db.example/x", "postgresql://[secret]@db.example/x"),
        ("call +4915112345678 or jane@example.com", "call [telephone number] or [e-mail]"),
        ("whsec_aHVudGVyMg==", "[secret]"),
        (
            "at https://pay.example/admin/invite/hunter2-hunter2 now",
            "at https://pay.example/admin/invite/[secret] now",
        ),
    ],
)
def test_what_a_text_becomes(said: str, told: str) -> None:
    assert masked(event=said) == {"event": told}


@pytest.mark.parametrize(
    "event",
    [
        {"event": "request", "method": "POST", "path": "/v1/payments/charge", "status": 201},
        {"event": "provider_call", "reference": "PAY-20260102-7K2M9QX4TB3A-1", "seconds": 0.25},
        {"event": "audit_digest", "line": "2026-01-02T00:00:00Z 351 " + "0af1" * 16},
        {"event": "x", "exception": "File a/task_score.py, line 3, in monkeys.a_b\n  x = y + 1.0"},
        {"event": "psk_ and disk_12345678 +123 4+5 at 12:30+02:00", "payment_id": 4111111111111111},
    ],
)
def test_what_is_no_secret_stays(event: dict[str, Any]) -> None:
    assert masked(**event) == event


def test_gunicorn_s_own_lines_are_masked(capsys: pytest.CaptureFixture[str]) -> None:
    config = Config()
    config.set("logger_class", runpy.run_path(str(ROOT / "gunicorn.conf.py"))["MaskedLog"])
    log = config.logger_class(config)
    try:
        raise ValueError("hidden@example.com sent whsec_hidden")
    except ValueError:
        log.exception("an answer of %s broke off", "Authorization: hidden")
    told = capsys.readouterr().err
    assert "an answer of Authorization=[secret] broke off" in told
    assert "ValueError: [e-mail] sent [secret]" in told
    assert "hidden" not in told


def test_what_contains_itself_ends() -> None:
    endless: list[Any] = ["jane@example.com"]
    endless.append(endless)
    assert "jane" not in json.dumps(masked(event=endless))


@pytest.mark.parametrize(
    "piece", ["a", "1", "a.", "+1", "a@", "%25", "token ", "eyJ", "a:'", "://a", "=\\"]
)
def test_a_long_text_takes_no_time_that_grows_with_its_square(piece: str) -> None:
    """A rule that goes back over a text of a megabyte takes many minutes for it."""
    masked(event=piece * (1_000_000 // len(piece)))
