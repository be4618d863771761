"""What we sign, others can verify; what was not signed with the secret, or not now, is noticed."""

from __future__ import annotations

import base64
import datetime as dt
import json

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from integrations.kit.signing import (
    ID,
    SIGNATURE,
    TIMESTAMP,
    TOLERANCE,
    BadSecret,
    BadSignature,
    secret_key,
    secret_new,
    signed_headers,
    verify,
)

OLD, NEW, OTHER = secret_new(), secret_new(), secret_new()
BODY = json.dumps({"type": "lead", "data": {"name": "Zoë 李"}}, ensure_ascii=False).encode()
NOW = dt.datetime(2026, 3, 4, 10, 20, 30, tzinfo=dt.UTC)

ids = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="."), min_size=1, max_size=60)
keys = st.binary(min_size=24, max_size=64).map(lambda key: "whsec_" + base64.b64encode(key).decode())
moments = st.integers(1_500_000_000, 4_000_000_000).map(lambda number: dt.datetime.fromtimestamp(number, dt.UTC))

# The first text that hypothesis makes on a machine takes it seconds.
unhurried = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def seconds(number: float) -> dt.timedelta:
    return dt.timedelta(seconds=number)


def test_the_standard_s_own_library_takes_what_we_sign() -> None:
    headers = signed_headers([NEW], "0190f5e2b7c47a3d", dt.datetime.now(dt.UTC), BODY)
    assert Webhook(NEW).verify(BODY, headers) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY, headers)


def test_while_a_secret_is_changed_a_receiver_may_have_either() -> None:
    headers = signed_headers([NEW, OLD], "m1", dt.datetime.now(dt.UTC), BODY)
    assert headers[SIGNATURE].count("v1,") == 2
    for secret in (NEW, OLD):
        Webhook(secret).verify(BODY, headers)
        assert verify([secret], headers, BODY, dt.datetime.now(dt.UTC)) == "m1"
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY, headers)


def test_one_secret_twice_is_one_signature() -> None:
    assert signed_headers([NEW, NEW], "m1", NOW, BODY) == signed_headers([NEW], "m1", NOW, BODY)


def test_we_take_what_the_standard_s_own_library_signs() -> None:
    headers = {ID: "m1", TIMESTAMP: str(int(NOW.timestamp())), SIGNATURE: Webhook(NEW).sign("m1", NOW, BODY.decode())}
    assert verify([OLD, NEW], headers, BODY, NOW) == "m1"


@unhurried
@given(secret=keys, message_id=ids, at=moments, body=st.binary(max_size=200), late=st.floats(-299, 299))
def test_what_is_signed_is_verified(secret: str, message_id: str, at: dt.datetime, body: bytes, late: float) -> None:
    headers = signed_headers([secret], message_id, at, body)
    assert verify([secret], headers, body, at + seconds(late)) == message_id


@unhurried
@given(secret=keys, body=st.binary(max_size=60), place=st.integers(0), bit=st.integers(0, 7))
def test_one_bit_changed_is_noticed(secret: str, body: bytes, place: int, bit: int) -> None:
    headers = signed_headers([secret], "m1", NOW, body)
    if body:
        changed = bytearray(body)
        changed[place % len(body)] ^= 1 << bit
        with pytest.raises(BadSignature):
            verify([secret], headers, bytes(changed), NOW)
    for name, value in ((ID, "m2"), (TIMESTAMP, str(int(NOW.timestamp()) + 1))):
        with pytest.raises(BadSignature):
            verify([secret], headers | {name: value}, body, NOW)


@unhurried
@given(
    headers=st.dictionaries(
        st.sampled_from([ID, TIMESTAMP, SIGNATURE]),
        st.text(max_size=40) | st.sampled_from(["m1", "1", "v1,", "v1,é ,"]),
    )
)
def test_whatever_is_in_the_headers_nothing_but_a_no_comes_out(headers: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        verify([NEW], headers, BODY, NOW)


def test_a_message_of_another_time_is_refused_though_it_is_signed() -> None:
    headers = signed_headers([NEW], "m1", NOW, BODY)
    for edge in (-TOLERANCE, TOLERANCE):
        assert verify([NEW], headers, BODY, NOW + edge) == "m1"
    for beyond in (-TOLERANCE - seconds(1), TOLERANCE + seconds(1)):
        with pytest.raises(BadSignature, match="five minutes"):
            verify([NEW], headers, BODY, NOW + beyond)


def test_another_version_s_signature_counts_for_nothing() -> None:
    headers = signed_headers([NEW], "m1", NOW, BODY)
    with pytest.raises(BadSignature):
        verify([NEW], headers | {SIGNATURE: headers[SIGNATURE].replace("v1,", "v1a,")}, BODY, NOW)
    assert verify([NEW], headers | {SIGNATURE: f"v1a,xyz {headers[SIGNATURE]}"}, BODY, NOW) == "m1"


def test_an_id_can_t_be_lengthened_by_what_follows_it() -> None:
    """ "m.1" with the body "x" would be signed as "m" at the time 1 is with a longer body."""
    with pytest.raises(ValueError, match="full stop"):
        signed_headers([NEW], "m.1", NOW, BODY)
    headers = signed_headers([NEW], "m1", NOW, BODY)
    with pytest.raises(BadSignature):
        verify([NEW], headers | {ID: "m.1"}, BODY, NOW)


def test_a_new_secret_is_one_and_no_two_are_the_same() -> None:
    assert len({secret_new() for _ in range(50)}) == 50
    assert len(secret_key(secret_new())) == 32


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "whsec_c2hvcnQ=", "hunter2hunter2hunter2", "whsec_!!!!" + "A" * 40, NEW.removeprefix("whsec_")]
    + ["whsec_" + base64.b64encode(b"x" * 65).decode(), NEW + "é"],
    ids=["nothing", "no key", "short", "no prefix", "no base64", "key alone", "long", "accent"],
)
def test_what_is_no_secret_is_named_without_being_repeated(secret: str) -> None:
    with pytest.raises(BadSecret) as caught:
        secret_key(secret)
    assert len(secret) < 8 or secret not in str(caught.value)
