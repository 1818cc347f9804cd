"""Trust and key stores as Java's tools write them, opened and shown."""

import os
import ssl
import subprocess
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from coracle.api import ConfigError, Password
from coracle.kafka.security import security_arguments, stores
from tests.servers.certificates import Certificates, make_certificates

Props = dict[str, str]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def tls(props: Props) -> ssl.SSLContext:
    return security_arguments({"security.protocol": "SSL"} | props)["ssl_context"]


def subjects(context: ssl.SSLContext) -> list[str]:
    names = [dict(part[0] for part in ca["subject"]) for ca in context.get_ca_certs()]  # type: ignore[index]
    return [name.get("commonName", "") for name in names]


def keytool(*arguments: str) -> None:
    done = subprocess.run(["keytool", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def trust(files: Certificates, kind: str, folder: Path) -> Props:
    """The authority in a store of a kind."""
    if kind == "inline PEM":
        pem = files.ca.read_text()
        return {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": pem}
    if kind == "inline PEM in one line":
        pem = files.ca.read_text().strip().replace("\n", " ")
        return {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": pem}
    if kind == "PEM":
        return {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(files.ca)}
    if kind.startswith("PKCS12"):
        location = files.trust_p12
    else:
        location = folder / "trust.jks"
        keytool(
            *("-importcert", "-noprompt", "-alias", "ca", "-file", str(files.ca)),
            *("-keystore", str(location), "-storepass", files.password, "-storetype", "JKS"),
        )
    props = {
        "ssl.truststore.location": str(location),
        "ssl.truststore.password": Password(files.password),
    }
    # Java opens either with either type; JKS is the default one.
    return props if "default" in kind else props | {"ssl.truststore.type": kind.split()[0]}


KINDS = ("PEM", "inline PEM", "inline PEM in one line", "PKCS12", "PKCS12 by default", "JKS")


@pytest.mark.parametrize("kind", [*KINDS, "JKS by default"])
def test_a_trust_store_is_all_that_is_trusted(
    files: Certificates, kind: str, tmp_path: Path
) -> None:
    assert subjects(tls(trust(files, kind, tmp_path))) == ["Coracle test authority"]


def test_without_a_trust_store_the_system_decides() -> None:
    system = ssl.create_default_context()
    assert sorted(subjects(tls({}))) == sorted(subjects(system))


def test_a_jks_trust_store_opens_without_its_password(files: Certificates, tmp_path: Path) -> None:
    props = trust(files, "JKS", tmp_path)
    del props["ssl.truststore.password"]
    assert subjects(tls(props)) == ["Coracle test authority"]


def key(files: Certificates, kind: str, folder: Path) -> Props:
    """The client's key in a store of a kind."""
    if kind == "PEM":
        return {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(files.client)}
    if kind == "encrypted PEM":
        both = folder / "both.pem"
        both.write_bytes(
            files.client_key_encrypted.read_bytes() + files.client_certificate.read_bytes()
        )
        return {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(both),
            "ssl.key.password": files.password,
        }
    if kind.startswith("inline"):
        secret = files.client_key_encrypted if "encrypted" in kind else files.client_key
        props = {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.key": secret.read_text(),
            "ssl.keystore.certificate.chain": files.client_certificate.read_text(),
        }
        return props | ({"ssl.key.password": files.password} if "encrypted" in kind else {})
    location = files.client_p12
    props = {"ssl.keystore.type": kind.split()[0], "ssl.keystore.password": files.password}
    if kind.startswith("JKS"):
        location = folder / "client.jks"
        own = "another-secret" if "own password" in kind else files.password
        keytool(
            *("-importkeystore", "-noprompt", "-srckeystore", str(files.client_p12)),
            *("-srcstorepass", files.password, "-srcalias", "coracle-client"),
            *("-destkeystore", str(location), "-deststorepass", files.password),
            *("-destkeypass", own, "-deststoretype", "JKS"),
        )
        if own != files.password:
            props["ssl.key.password"] = own
    return props | {"ssl.keystore.location": str(location)}


KEYS = (
    "PEM",
    "encrypted PEM",
    "inline PEM",
    "inline encrypted PEM",
    "PKCS12",
    "JKS",
    "JKS with own password",
)


def plain(pem: bytes, password: str | None) -> bytes:
    block = pem[: pem.index(b"-----BEGIN CERTIFICATE")]
    opened = load_pem_private_key(block, password.encode() if password else None)
    return opened.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_store_gives_key_and_certificate(
    files: Certificates, kind: str, tmp_path: Path
) -> None:
    props = key(files, kind, tmp_path)
    shown = stores.key_store(props)
    assert shown is not None
    expected = plain(files.client.read_bytes(), None)
    assert plain(shown.pem, shown.password.reveal if shown.password else None) == expected
    assert ssl.PEM_cert_to_DER_cert(
        shown.pem[shown.pem.index(b"-----BEGIN CERTIFICATE") :].decode().split("-----END CERT")[0]
        + "-----END CERTIFICATE-----"
    ) == ssl.PEM_cert_to_DER_cert(files.client_certificate.read_text())
    assert "PRIVATE" not in repr(shown)
    tls(props)


def test_a_private_key_leaves_nothing_on_disk(
    files: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither where memory can be a file nor where it cannot."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    modes: list[int] = []
    load = ssl.SSLContext.load_cert_chain

    def looking(context: ssl.SSLContext, path: str, **options: object) -> None:
        modes.append(os.stat(path).st_mode & 0o777)
        modes.append(len(list(tmp_path.iterdir())))
        load(context, path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", looking)
    props = key(files, "inline PEM", tmp_path)
    tls(props)
    assert modes[1] == 0
    monkeypatch.delattr(os, "memfd_create")
    tls(props)
    assert modes[2:] == [0o600, 1]
    assert list(tmp_path.iterdir()) == []


LOCATION, WORD = "ssl.keystore.location", "ssl.keystore.password"
TRUST, TRUST_WORD = "ssl.truststore.location", "ssl.truststore.password"


@pytest.mark.parametrize(
    ("kind", "changes", "field", "words"),
    [
        ("PEM", {TRUST: "/no/such/file"}, TRUST, "/no/such/file cannot be read: No such file"),
        ("PEM", {TRUST_WORD: "x"}, TRUST_WORD, "PEM store has no password"),
        ("inline PEM", {"ssl.truststore.type": "JKS"}, "ssl.truststore.type", "type=PEM"),
        ("inline PEM", {TRUST: "/x"}, TRUST, "both set"),
        ("PEM", {"ssl.truststore.type": "BCFKS"}, "ssl.truststore.type", "JKS, PKCS12, PEM"),
        ("PKCS12", {TRUST_WORD: "wrong-one"}, TRUST, "cannot be opened"),
        ("JKS", {TRUST_WORD: "wrong-one"}, TRUST, "password is wrong"),
        ("PKCS12", {TRUST: __file__}, TRUST, "cannot be opened"),
        ("PEM", {TRUST: __file__}, TRUST, "holds no certificate in PEM"),
        ("none", {TRUST_WORD: "x"}, TRUST, "Missing"),
    ],
)
def test_trust_stores_that_cannot_be_used(
    files: Certificates, tmp_path: Path, kind: str, changes: Props, field: str, words: str
) -> None:
    props = {} if kind == "none" else trust(files, kind, tmp_path)
    with pytest.raises(ConfigError, match=words) as caught:
        tls(props | changes)
    assert caught.value.field == field
    assert "wrong-one" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "changes", "field", "words"),
    [
        ("PEM", {WORD: "x"}, WORD, "PEM store has no password"),
        ("encrypted PEM", {"ssl.key.password": "wrong-one"}, LOCATION, "cannot be used"),
        ("encrypted PEM", {"ssl.key.password": ""}, LOCATION, "cannot be used"),
        ("inline PEM", {"ssl.keystore.type": "PKCS12"}, "ssl.keystore.type", "type=PEM"),
        ("inline PEM", {"ssl.keystore.key": ""}, "ssl.keystore.key", "Missing"),
        (
            "inline PEM",
            {"ssl.keystore.certificate.chain": ""},
            "ssl.keystore.certificate.chain",
            "Missing",
        ),
        ("inline PEM", {LOCATION: "/x"}, LOCATION, "both set"),
        ("PKCS12", {WORD: ""}, WORD, "Missing"),
        ("PKCS12", {WORD: "wrong-one"}, LOCATION, "cannot be opened"),
        ("JKS", {WORD: "wrong-one"}, LOCATION, "password is wrong"),
        ("JKS", {"ssl.key.password": "wrong-one"}, LOCATION, "ssl.key.password is not"),
    ],
)
def test_key_stores_that_cannot_be_used(
    files: Certificates, tmp_path: Path, kind: str, changes: Props, field: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        tls(key(files, kind, tmp_path) | changes)
    assert caught.value.field == field
    assert "wrong-one" not in str(caught.value)


def test_a_damaged_jks_file(files: Certificates, tmp_path: Path) -> None:
    props = trust(files, "JKS", tmp_path)
    location = Path(props["ssl.truststore.location"])
    whole = location.read_bytes()
    del props["ssl.truststore.password"]
    for length in (4, 8, 12, 40, 60, 200, len(whole) - 21):
        location.write_bytes(whole[:length])
        with pytest.raises(ConfigError):
            tls(props)


def test_a_pattern_stands_for_all_the_files_it_matches(files: Certificates, tmp_path: Path) -> None:
    for name in ("a.crt", "b.crt", "not-pem.p12"):
        (tmp_path / name).write_bytes(files.ca.read_bytes() if "crt" in name else b"\x00")
    props = {"ssl.truststore.type": "PEM", "ssl.truststore.location": f"{tmp_path}/*.crt"}
    assert subjects(tls(props)) == subjects(tls(trust(files, "PEM", tmp_path)))
    props["ssl.truststore.location"] = f"{files.ca},{tmp_path}/a.crt"
    assert subjects(tls(props))
    props["ssl.truststore.location"] = f"{tmp_path}/*.pem"
    with pytest.raises(ConfigError, match=r"\*\.pem matches no file"):
        tls(props)
