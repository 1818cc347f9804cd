"""A throwaway certificate authority, with a certificate for a server here and one for a client."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

STORE_PASSWORD = "store-secret"
CLIENT_NAME = "coracle-client"


@dataclass(frozen=True)
class Certificates:
    """Files in one folder. PEM unless the name says otherwise.

    Attributes:
        ca: The authority's certificate.
        other_ca: Another authority's certificate, which signed nothing here.
        server: Private key and certificate of the server, for 127.0.0.1 and localhost.
        client: Private key and certificate of a client, in one file.
        client_certificate: The client's certificate alone.
        client_key: The client's private key alone, PKCS#8, not encrypted.
        client_key_encrypted: The same, encrypted with `password`.
        client_p12: The client's key and certificate as a PKCS#12 store.
        trust_p12: The authority's certificate as a PKCS#12 trust store that Java reads.
        password: The password of the stores and of the encrypted key.
    """

    ca: Path
    other_ca: Path
    server: Path
    client: Path
    client_certificate: Path
    client_key: Path
    client_key_encrypted: Path
    client_p12: Path
    trust_p12: Path
    password: str


def make_certificates(folder: Path) -> Certificates:
    """Make an authority and what it signs, as files in a folder."""
    authority, authority_key = _authority("Coracle test authority")
    other, _ = _authority("Another authority")
    server, server_key = _signed("localhost", authority, authority_key, server=True)
    client, client_key = _signed(CLIENT_NAME, authority, authority_key, server=False)
    encrypted = serialization.BestAvailableEncryption(STORE_PASSWORD.encode())
    name = CLIENT_NAME.encode()
    contents = {
        "ca": _pem(authority),
        "other_ca": _pem(other),
        "server": _key_pem(server_key) + _pem(server),
        "client": _key_pem(client_key) + _pem(client),
        "client_certificate": _pem(client),
        "client_key": _key_pem(client_key),
        "client_key_encrypted": _key_pem(client_key, encrypted),
        "client_p12": pkcs12.serialize_key_and_certificates(
            name, client_key, client, [authority], encrypted
        ),
        "trust_p12": pkcs12.serialize_java_truststore(
            [pkcs12.PKCS12Certificate(authority, b"authority")], encrypted
        ),
    }
    files: dict[str, Path] = {}
    for key, content in contents.items():
        stem, is_store = key.removesuffix("_p12"), key.endswith("_p12")
        files[key] = folder / f"{stem.replace('_', '-')}.{'p12' if is_store else 'pem'}"
        files[key].write_bytes(content)
    return Certificates(**files, password=STORE_PASSWORD)


def _authority(name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_signs_certificates(), critical=True)
    )
    return builder.sign(key, hashes.SHA256()), key


def _signs_certificates() -> x509.KeyUsage:
    return x509.KeyUsage(
        key_cert_sign=True,
        crl_sign=True,
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(
    name: str,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    *,
    server: bool,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = str(authority.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
    # From Python 3.13 on a default context is strict about RFC 5280: the issuer's key is named.
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    builder = (
        _builder(name, issuer, key)
        .add_extension(signer, critical=False)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    )
    if server:
        names = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.IPv4Address("127.0.0.1")),
        ]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(authority_key, hashes.SHA256()), key


def _builder(name: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(
    key: ec.EllipticCurvePrivateKey,
    encryption: serialization.KeySerializationEncryption | None = None,
) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        encryption or serialization.NoEncryption(),
    )
