import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from coracle_operator.certificates import (
    RENEWAL,
    VALIDITY,
    Certificates,
    host_names,
    is_usable,
    issue,
)

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOSTS = host_names("coracle-webhook", "coracle")


def test_the_hosts_are_those_the_api_server_asks_for() -> None:
    assert HOSTS[0] == "coracle-webhook.coracle.svc"


def test_what_is_issued_is_usable_until_renewal_is_due() -> None:
    issued = issue(HOSTS, NOW)
    assert is_usable(issued, HOSTS, NOW)
    assert is_usable(issued, HOSTS, NOW + VALIDITY - RENEWAL - timedelta(seconds=1))
    assert not is_usable(issued, HOSTS, NOW + VALIDITY - RENEWAL)


def test_another_service_needs_another_certificate() -> None:
    assert not is_usable(issue(HOSTS, NOW), host_names("other", "coracle"), NOW)


def test_what_does_not_belong_together_is_not_usable() -> None:
    one, other = issue(HOSTS, NOW), issue(HOSTS, NOW)
    for mixed in (
        Certificates(other.bundle, one.certificate, one.key),
        Certificates(one.bundle, one.certificate, other.key),
        Certificates(b"", one.certificate, one.key),
        Certificates(one.bundle, b"nonsense", one.key),
        Certificates(b"", b"", b""),
    ):
        assert not is_usable(mixed, HOSTS, NOW)


def test_a_renewal_trusts_the_old_authority_until_it_ends() -> None:
    first = issue(HOSTS, NOW)
    second = issue(HOSTS, NOW + timedelta(days=250), first.bundle)
    assert first.bundle in second.bundle
    assert is_usable(second, HOSTS, NOW + timedelta(days=250))
    third = issue(HOSTS, NOW + timedelta(days=500), second.bundle)
    assert first.bundle not in third.bundle
    assert len(x509.load_pem_x509_certificates(third.bundle)) == 2


def test_a_bundle_that_is_none_does_not_stand_in_the_way() -> None:
    assert is_usable(issue(HOSTS, NOW, b"nonsense"), HOSTS, NOW)


def test_tls_accepts_it(tmp_path: Path) -> None:
    """Through a renewal: a client that trusts the new bundle still accepts the old certificate."""
    old = issue(HOSTS, datetime.now(UTC) - timedelta(days=1))
    new = issue(HOSTS, datetime.now(UTC), old.bundle)
    for served in (old, new):
        (tmp_path / "tls.crt").write_bytes(served.certificate)
        (tmp_path / "tls.key").write_bytes(served.key)
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
        client = ssl.create_default_context(cadata=new.bundle.decode())
        _handshake(client, server, HOSTS[0])


def _handshake(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname=host)
    other = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (one, other):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert one.version() == "TLSv1.3"
    assert one.getpeercert()
