"""Which tokens are good: forged ones in all spellings, by each kind of key; what is remembered."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from payment_service import config
from payment_service.config import Settings
from payment_service.domain.callers import Scope
from payment_service.domain.errors import InvalidToken
from payment_service.identity import key_sets
from payment_service.identity.claims import Bearer
from payment_service.identity.keys import FetchedKeys
from payment_service.identity.tokens import REMEMBERED, Tokens, tokens_of
from tests.fixtures import MakeApp
from tests.tokens import SECRET, SECURED, a_token, bearing, claims

ISSUER = "https://login.example"
RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
P256 = ec.generate_private_key(ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()


def pem(private: Any) -> str:
    public = private.public_key()
    return str(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def jwk(private: Any, kid: str | None, **members: Any) -> dict[str, Any]:
    kinds = {rsa.RSAPrivateKey: "RSA", ec.EllipticCurvePrivateKey: "EC"}
    kind = next((name for cls, name in kinds.items() if isinstance(private, cls)), "OKP")
    reader: Any = {"RSA": jwt.algorithms.RSAAlgorithm, "EC": jwt.algorithms.ECAlgorithm}.get(
        kind, jwt.algorithms.OKPAlgorithm
    )
    made: dict[str, Any] = reader.to_jwk(private.public_key(), as_dict=True)
    return made | ({"kid": kid} if kid else {}) | members


def settings(**changes: Any) -> Settings:
    given: dict[str, Any] = {"database_url": "postgresql://h/d", "auth_mode": "jwt"}
    return config.load(**given | changes)


def tokens(**changes: Any) -> Tokens:
    found = tokens_of(settings(**changes))
    assert found is not None
    return found


def signed(
    private: Any = RSA,
    algorithm: str = "RS256",
    headers: dict[str, Any] | None = None,
    **changes: Any,
) -> str:
    given = good_claims(**changes)
    return jwt.encode(given, private, algorithm=algorithm, headers=headers)


def b64(data: bytes | dict[str, Any]) -> str:
    whole = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(whole).rstrip(b"=").decode()


def by_hand(header: dict[str, Any] | bytes, payload: dict[str, Any] | bytes, key: bytes) -> str:
    """Signed with HS256, whatever it says."""
    signing = f"{b64(header)}.{b64(payload)}"
    return f"{signing}.{b64(hmac.digest(key, signing.encode(), hashlib.sha256))}"


def good_claims(**changes: Any) -> dict[str, Any]:
    return claims(**{"iss": ISSUER, **changes})


def unsigned(algorithm: str) -> str:
    return f"{b64({'alg': algorithm, 'typ': 'JWT'})}.{b64(good_claims())}."


def raw(*more: str) -> bytes:
    """A payload with these members once more."""
    return (json.dumps(good_claims())[:-1] + "".join(f", {text}" for text in more) + "}").encode()


HOUR = 3600
NOW = int(time.time())
JWKS = {
    "keys": [
        jwk(OTHER, "enc", use="enc", alg="RSA-OAEP"),
        {"kty": "quantum", "kid": "new", "use": "sig"},
        {"kty": "oct", "kid": "shared", "k": b64(b"x" * 32), "alg": "HS256"},
        jwk(RSA, "ours", use="sig", alg="RS256"),
    ]
}

FORGED: dict[str, tuple[Callable[[], str], str]] = {
    **{
        f"unsigned, {spelling}": (lambda spelling=spelling: unsigned(spelling), "malformed")
        for spelling in ("none", "None", "NONE", "nOnE")
    },
    "unsigned, with some signature": (lambda: f"{unsigned('none')}AAAA", "untrusted"),
    "no algorithm": (lambda: by_hand({"typ": "JWT"}, good_claims(), b"x"), "untrusted"),
    "HS256 with the public key as secret": (
        lambda: by_hand({"alg": "HS256", "kid": "ours"}, good_claims(), pem(RSA).encode()),
        "untrusted",
    ),
    "HS256 with a shared key of the set": (
        lambda: by_hand({"alg": "HS256", "kid": "shared"}, good_claims(), b"x" * 32),
        "untrusted",
    ),
    "another algorithm of the same key": (lambda: signed(algorithm="PS256"), "untrusted"),
    "another key": (lambda: signed(OTHER, headers={"kid": "ours"}), "untrusted"),
    "another key without a name": (lambda: signed(OTHER), "untrusted"),
    "a key from elsewhere": (lambda: signed(OTHER, headers={"kid": "theirs"}), "untrusted"),
    "a kid that is a path": (lambda: signed(OTHER, headers={"kid": "../../dev/null"}), "untrusted"),
    "a kid that is a number": (
        lambda: by_hand({"alg": "RS256", "kid": 7}, good_claims(), b"x"),
        "untrusted",
    ),
    "the key for encryption": (lambda: signed(OTHER, headers={"kid": "enc"}), "untrusted"),
    "jku": (
        lambda: signed(OTHER, headers={"kid": "ours", "jku": "http://127.0.0.1:9/keys"}),
        "untrusted",
    ),
    "x5u": (
        lambda: signed(OTHER, headers={"kid": "ours", "x5u": "http://127.0.0.1:9/cert"}),
        "untrusted",
    ),
    "jwk": (lambda: signed(OTHER, headers={"jwk": jwk(OTHER, "ours")}), "untrusted"),
    "crit": (lambda: signed(headers={"kid": "ours", "crit": ["exp"]}), "malformed"),
    "a payload that is not encoded": (
        lambda: by_hand({"alg": "RS256", "b64": False}, good_claims(), b"x"),
        "malformed",
    ),
    "a changed payload": (
        lambda: ".".join(
            part if place != 1 else b64(good_claims(sub="somebody-else"))
            for place, part in enumerate(signed().split("."))
        ),
        "untrusted",
    ),
    "another audience": (lambda: signed(aud="ledger"), "audience"),
    "audiences without ours": (lambda: signed(aud=["ledger", "payment-service-2"]), "audience"),
    "no audience": (lambda: signed(aud=None), "claims"),
    "an audience that is an object": (lambda: signed(aud={"payment-service": 1}), "audience"),
    "another issuer": (lambda: signed(iss="https://login.example.evil"), "issuer"),
    "the issuer with a slash": (lambda: signed(iss=f"{ISSUER}/"), "issuer"),
    "no issuer": (lambda: signed(iss=None), "claims"),
    "expired": (lambda: signed(exp=NOW - 120), "expired"),
    "not good yet": (lambda: signed(nbf=NOW + 24 * HOUR), "early"),
    "issued tomorrow": (lambda: signed(iat=NOW + 24 * HOUR), "early"),
    "without end": (lambda: signed(exp=None), "claims"),
    "an end beyond all years": (lambda: signed(exp=10**30), "claims"),
    "an end in words": (lambda: signed(exp="tomorrow"), "claims"),
    "an end that is a text of digits": (lambda: signed(exp=str(NOW + HOUR)), "claims"),
    "an end that is true": (lambda: signed(exp=True), "claims"),
    "an end that is a list": (lambda: signed(exp=[NOW + HOUR]), "claims"),
    "no sub": (lambda: signed(sub=None), "claims"),
    "an empty sub": (lambda: signed(sub=""), "subject"),
    "a sub with a blank": (lambda: signed(sub="a b"), "subject"),
    "a sub of two lines": (lambda: signed(sub="a\nb"), "subject"),
    "a long sub": (lambda: signed(sub="a" * 256), "subject"),
    **{
        f"the name {name}": (lambda name=name: signed(sub=name), "subject")
        for name in ("local", "import", "worker", "operator:ann", "cli:root", "Worker", "CLI:1")
    },
    "an ID token by its typ": (lambda: signed(typ="ID"), "type"),
    "an ID token by its nonce": (lambda: signed(nonce="n"), "type"),
    "an ID token by its at_hash": (lambda: signed(at_hash="h"), "type"),
    "a token of another kind": (lambda: signed(headers={"typ": "logout+jwt"}), "type"),
    "a refresh token": (lambda: signed(headers={"typ": "refresh+jwt"}), "type"),
    "64 KB": (lambda: signed(padding="x" * 65536), "malformed"),
    "not base64": (lambda: signed().replace(".", "!.", 1), "malformed"),
    "with padding": (lambda: signed() + "==", "malformed"),
    "two parts": (lambda: signed().rpartition(".")[0], "malformed"),
    "four parts": (lambda: signed() + ".AAAA", "malformed"),
    "five parts, encrypted": (lambda: "a.b.c.d.e", "malformed"),
    "letters of another alphabet": (lambda: "é.é.é", "malformed"),
    "a header that is a list": (lambda: by_hand(b"[]", good_claims(), b"x"), "malformed"),
    "a header that says alg twice": (
        lambda: by_hand(b'{"alg":"RS256","alg":"none"}', good_claims(), b"x"),
        "malformed",
    ),
    "a header that is no text": (lambda: by_hand(b"\xff\xfe", good_claims(), b"x"), "malformed"),
    "nothing": (lambda: "", "malformed"),
}


@pytest.fixture(scope="module")
def asymmetric() -> Tokens:
    """Those of an issuer that serves JWKS."""
    found = key_sets.of_jwks(JWKS, ["RS256", "PS256", "ES256", "EdDSA"])
    keys = FetchedKeys(lambda: found, 86400.0)
    return Tokens(settings(jwt_issuer=ISSUER), keys)


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_token(asymmetric: Tokens, name: str) -> None:
    forge, reason = FORGED[name]
    token = forge()
    for _ in range(2):
        with pytest.raises(InvalidToken) as refusal:
            asymmetric.bearer(token)
        assert refusal.value.members["reason"] == reason


def test_there_are_enough_forged_ones(asymmetric: Tokens) -> None:
    assert len(FORGED) > 50
    assert asymmetric.bearer(signed(headers={"kid": "ours"})).name == "trip-service"


@pytest.mark.parametrize("more", ['"sub": "admin"', '"aud": "payment-service"', '"scope": "x"'])
def test_a_claim_that_stands_twice(more: str) -> None:
    by_secret = tokens(jwt_secret=SECRET)
    token = by_hand({"alg": "HS256"}, raw(more), SECRET.encode())
    with pytest.raises(InvalidToken):
        by_secret.bearer(token)
    assert by_secret.bearer(by_hand({"alg": "HS256"}, raw('"more": 1'), SECRET.encode()))


@pytest.mark.parametrize(
    "payload", [b"[]", b"null", b"7", b'{"exp": NaN}', b"{" * 9, b"[" * 5000, b"\xff", b""]
)
def test_a_signed_payload_that_is_none(payload: bytes) -> None:
    with pytest.raises(InvalidToken):
        tokens(jwt_secret=SECRET).bearer(by_hand({"alg": "HS256"}, payload, SECRET.encode()))


def test_a_number_as_sub() -> None:
    with pytest.raises(InvalidToken) as refusal:
        tokens(jwt_secret=SECRET).bearer(
            by_hand({"alg": "HS256"}, good_claims(sub=101), SECRET.encode())
        )
    assert refusal.value.members["reason"] == "subject"


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "application/at+jwt", None])
def test_types_that_are_taken(typ: str | None) -> None:
    by_key = tokens(jwt_public_key=pem(RSA))
    assert by_key.bearer(signed(headers={"typ": typ})).scopes == frozenset(Scope)


@pytest.mark.parametrize(
    ("private", "algorithm"),
    [(RSA, "RS256"), (RSA, "PS256"), (P256, "ES256"), (ED25519, "EdDSA")],
    ids=["RS256", "PS256", "ES256", "EdDSA"],
)
def test_each_algorithm_by_its_key(private: Any, algorithm: str) -> None:
    token = signed(private, algorithm)
    assert tokens(jwt_public_key=pem(private)).bearer(token).name == "trip-service"
    narrowed = {"RS256": "ES256", "PS256": "RS256", "ES256": "RS256", "EdDSA": "RS256"}[algorithm]
    other = RSA if narrowed == "RS256" else P256
    refusing = tokens(jwt_public_key=pem(other), jwt_algorithms=(narrowed,))
    with pytest.raises(InvalidToken):
        refusing.bearer(token)


def test_keys_that_are_passed_over() -> None:
    weak = rsa.generate_private_key(65537, 1024)
    wrong = [
        jwk(weak, "weak"),
        jwk(ec.generate_private_key(ec.SECP384R1()), "curve"),
        jwk(RSA, "encrypts", use="enc"),
        jwk(RSA, "signs", key_ops=["sign"]),
        jwk(RSA, "other", alg="RS512"),
        {**jwk(RSA, "broken"), "n": "!"},
        {**jwk(RSA, "named"), "kid": 7},
        {"kty": "oct", "k": "eA"},
        {},
        None,
        "key",
    ]
    good = jwk(P256, "good")
    found = key_sets.of_jwks({"keys": [*wrong, good]}, key_sets.ALL)
    assert [key.kid for key in found.keys] == ["good"]
    for document in ({"keys": wrong}, {"keys": []}, {"keys": None}, {}, [], {"keys": [good] * 101}):
        with pytest.raises(ValueError):
            key_sets.of_jwks(document, key_sets.ALL)


def test_a_token_of_keycloaks_shape() -> None:
    """As its realm makes one for a service, with an audience mapper."""
    token = jwt.encode(
        {
            "exp": NOW + 24 * HOUR,
            "iat": NOW,
            "jti": "trrtcc:2f9a",
            "iss": ISSUER,
            "aud": ["payment-service", "account"],
            "sub": "6f1d6f0e-5d0c-4c55-9d53-0f6d1f6a7b11",
            "typ": "Bearer",
            "azp": "trip-service",
            "client_id": "trip-service",
            "acr": "1",
            "realm_access": {"roles": ["offline_access", "finance"]},
            "resource_access": {"account": {"roles": ["view-profile"]}},
            "scope": "email profile",
        },
        RSA,
        algorithm="RS256",
        headers={"kid": "ours"},
    )
    found = tokens(
        jwt_public_key=pem(RSA),
        jwt_scope_claims=("scope", "realm_access.roles"),
        jwt_role_scopes="finance=payments:read refunds:write",
    ).bearer(token)
    assert found == Bearer(
        "6f1d6f0e-5d0c-4c55-9d53-0f6d1f6a7b11", frozenset({Scope.READ, Scope.REFUND})
    )


@pytest.mark.parametrize(
    ("said", "scopes"),
    [
        ({"scope": "payments:read payments:write"}, {"payments:read", "payments:write"}),
        ({"scp": ["refunds:write", "openid"]}, {"refunds:write"}),
        ({"roles": ["payments:admin"]}, {"payments:admin"}),
        ({"scope": "payments:*", "role": "admin"}, set()),
        ({"scope": "payments:admin,payments:read"}, set()),
        ({"scope": None, "roles": None, "scp": ""}, set()),
        ({"scope": "riders:read payments:read", "role": "overrider"}, {"payments:read"}),
        ({"permissions": ["payments:read"]}, set()),
    ],
)
def test_where_scopes_stand(said: dict[str, Any], scopes: set[str]) -> None:
    found = tokens(jwt_secret=SECRET).bearer(a_token(**{"scope": None, **said}))
    assert {str(scope) for scope in found.scopes} == scopes


@pytest.mark.parametrize(
    "said",
    [
        *({"role": role} for role in ("rider", "RIDER", "Rider", "ROLE_RIDER", "driver rider")),
        *({"roles": [role]} for role in ("rider", "Role_Rider", "role:rider")),
        *({name: "rider payments:write"} for name in ("scope", "scp", "role")),
    ],
)
def test_a_rider_by_any_spelling_is_one(said: dict[str, Any]) -> None:
    found = tokens(jwt_secret=SECRET).bearer(a_token(**{"sub": "7", **said}))
    assert found == Bearer("7", frozenset({Scope.READ}), True, 7)


@pytest.mark.parametrize(
    "said",
    [
        *({"role": role} for role in ({"name": "rider"}, {"rider": True}, {}, 7, True, 0, False)),
        *({"roles": [role]} for role in (["rider"], {"name": "rider"}, 7, None)),
        *({"role": role} for role in ("rider,driver", "driver;RIDER", "rider-app", "/rider")),
        *({"roles": [role]} for role in ("rider driver", "app:rider", "ROLE_APP_RIDER", " rider")),
        *({"scope": said} for said in ("payments:read,rider", {"rider": 1}, 7, [["rider"]])),
        {"realm": ["rider"]},
        {"realm": {"roles": {"rider": True}}},
        {"realm": {"roles": [["rider"]]}},
        {"realm": "rider"},
    ],
)
def test_a_role_that_is_not_understood_opens_nothing(said: dict[str, Any]) -> None:
    """It may have been a rider's, who must not pass for a service."""
    where = ("scope", "scp", "realm.roles")
    for places in (where, (*where, "roles", "role")):
        with pytest.raises(InvalidToken) as refusal:
            tokens(jwt_secret=SECRET, jwt_scope_claims=places).bearer(a_token(**said))
        assert refusal.value.members["reason"] == "claims"


def test_a_role_with_rider_in_its_name_may_have_scopes() -> None:
    """What JWT_ROLE_SCOPES names is understood."""
    knows = tokens(jwt_secret=SECRET, jwt_role_scopes="rider-support=payments:read")
    found = knows.bearer(a_token(scope=None, roles=["rider-support"]))
    assert found == Bearer("trip-service", frozenset({Scope.READ}))


def test_a_token_that_passed_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a minute, and never past its end."""
    now = [1000.0]
    kept = tokens(jwt_secret=SECRET)
    by_clock = Tokens(settings(jwt_secret=SECRET), kept.keys, clock=lambda: now[0])
    verified = []
    decode = jwt.PyJWT.decode

    def counting(*args: Any, **kwargs: Any) -> Any:
        verified.append(args[1])
        return decode(*args, **kwargs)

    monkeypatch.setattr(jwt.PyJWT, "decode", counting)
    long, short = a_token(), a_token(exp=int(time.time()) + 27)
    for seconds, times in ((0, 2), (15, 2), (30, 3), (59.9, 4), (61, 5), (100, 6)):
        now[0] = 1000.0 + seconds
        by_clock.bearer(long)
        by_clock.bearer(short)
        assert len(verified) == times, seconds


def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    import payment_service.identity.tokens as module

    monkeypatch.setattr(module, "REMEMBERED", 3)
    assert REMEMBERED == 10_000
    kept = tokens(jwt_secret=SECRET)
    made = [a_token(sub=f"service-{number}") for number in range(5)]
    for token in made:
        kept.bearer(token)
    verified = []
    decode = jwt.PyJWT.decode
    monkeypatch.setattr(
        jwt.PyJWT, "decode", lambda *a, **k: verified.append(a[1]) or decode(*a, **k)
    )
    for token in reversed(made):
        kept.bearer(token)
    assert verified == [made[1], made[0]]


def test_what_is_remembered_goes_with_its_keys() -> None:
    first = key_sets.of_jwks({"keys": [jwk(RSA, "one")]}, key_sets.ALL)
    second = key_sets.of_jwks({"keys": [jwk(OTHER, "two")]}, key_sets.ALL)
    served = [first]
    now = [0.0]
    keys = FetchedKeys(lambda: served[0], 86400.0, clock=lambda: now[0])
    kept = Tokens(settings(jwt_jwks_url=ISSUER), keys, clock=lambda: now[0])
    old = signed(headers={"kid": "one"})
    assert kept.bearer(old) is kept.bearer(old)
    served[0] = second
    with pytest.raises(InvalidToken):  # by a key that is not known, so that all are fetched
        kept.bearer(signed(OTHER, headers={"kid": "three"}))
    with pytest.raises(InvalidToken):
        kept.bearer(old)


def test_forged_tokens_over_http(make_app: MakeApp) -> None:
    client = make_app(**SECURED).test_client()
    for token in ("x" * 7000, unsigned("none"), a_token(aud="x"), a_token(sub="worker"), "\x7f"):
        answer = client.get("/v1/payments", headers=bearing(token))
        assert (answer.status_code, answer.json["code"]) == (401, "invalid_token"), token
        assert token[:20] not in answer.text
