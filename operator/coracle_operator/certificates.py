"""The certificate that the API server trusts the admission webhook by.

The operator issues it, keeps it in a Secret that the webhook's pods mount, and writes who signed it
into the ``caBundle`` of the ValidatingWebhookConfiguration. Every issue has a certificate authority
of its own, whose key is forgotten at once: nobody can sign anything in its name later. A renewal
puts the new authority beside the old one, so it does not matter that pods see their Secret change a
minute later: the API server trusts what they show before and after.
https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from lightkube import ApiError, AsyncClient
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.admissionregistration_v1 import ValidatingWebhookConfiguration
from lightkube.resources.core_v1 import Secret
from lightkube.types import PatchType

from coracle.kube.names import (
    APP_NAME,
    COMPONENT_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    NAME_LABEL,
)

logger = logging.getLogger(__name__)

VALIDITY = timedelta(days=365)
"""How long a certificate is valid."""

RENEWAL = VALIDITY / 3
"""A certificate that is valid for less than this is replaced."""

CERTIFICATE_FILE = "tls.crt"
KEY_FILE = "tls.key"
BUNDLE_FILE = "ca.crt"
"""The keys of the Secret, and so the names of the files in the webhook's pods."""

_CLOCK_SKEW = timedelta(hours=1)
_MAX_RETRY_SECONDS = 30.0


@dataclass(frozen=True)
class Certificates:
    """What the Secret holds, in PEM.

    Attributes:
        bundle: the authorities to trust, the newest first.
        certificate: the webhook's certificate, signed by the first of them.
        key: its private key.
    """

    bundle: bytes
    certificate: bytes
    key: bytes = field(repr=False)


def host_names(service: str, namespace: str) -> list[str]:
    """The names the API server calls a Service by; the first is the one it asks for."""
    return [f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.cluster.local"]


def issue(hosts: Sequence[str], now: datetime, trusted: bytes = b"") -> Certificates:
    """A new certificate from a new authority.

    Args:
        hosts: the DNS names it is for.
        now: when its validity begins; UTC.
        trusted: the bundle to extend. Authorities that are no longer valid are dropped.
    """
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority_name = _name("Coracle webhook authority")
    authority = (
        _builder(authority_name, authority_name, authority_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(_identifier(authority_key), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_name("Coracle webhook"), authority_name, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(map(x509.DNSName, hosts)), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                _identifier(authority_key)
            ),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    still_trusted = [each for each in _parsed(trusted) if each.not_valid_after_utc > now]
    return Certificates(
        b"".join(_pem(each) for each in (authority, *still_trusted)),
        _pem(certificate),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def is_usable(held: Certificates, hosts: Sequence[str], now: datetime) -> bool:
    """Whether these are whole, for these hosts, and valid for long enough."""
    try:
        certificate = x509.load_pem_x509_certificate(held.certificate)
        authority = _parsed(held.bundle)[0]
        certificate.verify_directly_issued_by(authority)
        key = serialization.load_pem_private_key(held.key, None)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # whatever somebody put there, it is no certificate of ours
        return False
    return (
        key.public_key() == certificate.public_key()
        and names.get_values_for_type(x509.DNSName) == list(hosts)
        and certificate.not_valid_after_utc - now > RENEWAL
    )


async def keep_certificates(
    client: AsyncClient,
    namespace: str,
    service: str,
    webhook_name: str,
    *,
    secret: str,
    every: float = 60.0,
) -> None:
    """Keep the webhook's certificate valid and trusted; runs until it is cancelled.

    The operator runs it as one task of its own, for as long as it runs. Trouble is logged and tried
    again; nothing is raised. It needs the rights to create Secrets, to get and update this one, and
    to get and patch this ValidatingWebhookConfiguration.

    Args:
        client: the API server's.
        namespace: of the Service and the Secret: the operator's.
        service: the name of the webhook's Service.
        webhook_name: of the ValidatingWebhookConfiguration; while there is none, the Secret is kept
            all the same.
        secret: the name of the Secret: keys ``ca.crt``, ``tls.crt`` and ``tls.key``.
        every: seconds between two looks.
    """
    hosts = host_names(service, namespace)
    retry = 1.0
    while True:
        try:
            held = await _keep_secret(client, namespace, secret, hosts)
            await _trust(client, webhook_name, held.bundle)
            retry = 1.0
            await asyncio.sleep(every)
        except (ApiError, httpx2.HTTPError) as error:
            logger.warning(
                "the webhook's certificate (Secret %s, ValidatingWebhookConfiguration %s) could "
                "not be looked after: %s; trying again in %.0f s",
                secret,
                webhook_name,
                error or type(error).__name__,
                retry,
            )
            await asyncio.sleep(retry)
            retry = min(retry * 2, _MAX_RETRY_SECONDS)


async def _keep_secret(
    client: AsyncClient, namespace: str, name: str, hosts: Sequence[str]
) -> Certificates:
    """What the Secret holds, after it was made or renewed if that was due.

    A conflict with somebody else who does the same is an ``ApiError``; the next attempt sees what
    they made.
    """
    now = datetime.now(UTC)
    try:
        found = await client.get(Secret, name, namespace=namespace)
    except ApiError as error:
        if error.status.code != 404:
            raise
        issued = issue(hosts, now)
        await client.create(_secret(name, namespace, issued))
        logger.info("issued a certificate for %s", hosts[0])
        return issued
    held = _held(found.data or {})
    if is_usable(held, hosts, now):
        return held
    issued = issue(hosts, now, held.bundle)
    assert found.metadata
    renewed = _secret(name, namespace, issued)
    assert renewed.metadata
    renewed.metadata.resourceVersion = found.metadata.resourceVersion
    await client.replace(renewed)
    logger.info("issued a new certificate for %s", hosts[0])
    return issued


async def _trust(client: AsyncClient, webhook_name: str, bundle: bytes) -> None:
    """Have the API server trust these authorities in every webhook of the configuration."""
    try:
        configuration = await client.get(ValidatingWebhookConfiguration, webhook_name)
    except ApiError as error:
        if error.status.code != 404:
            raise
        logger.debug("there is no ValidatingWebhookConfiguration %s", webhook_name)
        return
    wanted = base64.b64encode(bundle).decode()
    patch: list[dict[str, str]] = []
    for index, webhook in enumerate(configuration.webhooks or []):
        if webhook.clientConfig.caBundle != wanted:
            path = f"/webhooks/{index}"
            patch += [
                {"op": "test", "path": f"{path}/name", "value": webhook.name},
                {"op": "add", "path": f"{path}/clientConfig/caBundle", "value": wanted},
            ]
    if patch:
        await client.patch(
            ValidatingWebhookConfiguration, webhook_name, patch, patch_type=PatchType.JSON
        )
        logger.info("the API server trusts the webhook %s", webhook_name)


def _secret(name: str, namespace: str, certificates: Certificates) -> Secret:
    labels = {NAME_LABEL: APP_NAME, MANAGED_BY_LABEL: MANAGED_BY, COMPONENT_LABEL: "webhook"}
    texts = {
        BUNDLE_FILE: certificates.bundle,
        CERTIFICATE_FILE: certificates.certificate,
        KEY_FILE: certificates.key,
    }
    return Secret(
        metadata=ObjectMeta(name=name, namespace=namespace, labels=labels),
        type="kubernetes.io/tls",
        data={key: base64.b64encode(text).decode() for key, text in texts.items()},
    )


def _held(data: Mapping[str, str]) -> Certificates:
    return Certificates(
        *(base64.b64decode(data.get(key, "")) for key in (BUNDLE_FILE, CERTIFICATE_FILE, KEY_FILE))
    )


def _parsed(bundle: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(bundle)
    except ValueError:
        return []


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + VALIDITY)
    )


def _identifier(key: ec.EllipticCurvePrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
