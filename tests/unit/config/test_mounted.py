import os
from uuid import uuid4

import pytest

from coracle.config.mounted import MountWatch, hide_secrets
from coracle.config.providers import check, from_worker, resolve
from coracle.config.validation import validate
from coracle.config.worker import load_worker


@pytest.fixture
def mounts(tmp_path, monkeypatch):
    monkeypatch.setenv("CORACLE_MOUNTS", str(tmp_path))
    monkeypatch.setenv("CORACLE_NAMESPACE", "shop")
    return tmp_path


def put(mounts, kind, name, files):
    """Files as the kubelet lays them out: everything behind one symbolic link that is swapped."""
    folder = mounts / kind / name
    folder.mkdir(parents=True, exist_ok=True)
    version = f"..{uuid4()}"
    (folder / version).mkdir()
    for key, text in files.items():
        (folder / version / key).write_text(text)
        if not (folder / key).is_symlink():
            (folder / key).symlink_to(f"..data/{key}")
    (folder / "..new").symlink_to(version)
    os.replace(folder / "..new", folder / "..data")


def test_keys_of_secrets_and_config_maps_are_read_without_any_declaration(mounts):
    put(mounts, "secrets", "orders-db", {"password": "s3crét\n"})
    put(mounts, "configmaps", "orders.settings", {"url": "jdbc:postgresql://db/x"})
    props = {
        "connection.password": "${secrets:orders-db:password}",
        "long": "${secrets:shop/orders-db:password}",
        "connection.url": "${configmaps:orders.settings:url}",
    }
    resolved = resolve(props, from_worker({}))
    assert resolved.values == {
        "connection.password": "s3crét\n",
        "long": "s3crét\n",
        "connection.url": "jdbc:postgresql://db/x",
    }
    assert "s3cr" not in repr(resolved)


def test_strimzis_declaration_of_the_same_providers_is_taken(mounts):
    put(mounts, "secrets", "db", {"password": "x"})
    worker = {
        "config.providers": "vault,secrets",
        "config.providers.vault.class": "io.strimzi.kafka.KubernetesSecretConfigProvider",
        "config.providers.secrets.class": "io.strimzi.kafka.KubernetesSecretConfigProvider",
        "config.providers.secrets.param.separator": ",",
    }
    props = {"a": "${vault:db:password}", "b": "${secrets:db:password}"}
    assert resolve(props, from_worker(worker)).values == {"a": "x", "b": "x"}


def message_of(reference):
    try:
        resolve({"k": reference}, from_worker({}))
    except Exception as error:
        return str(error).removeprefix(
            f"The reference {reference} in configuration k cannot be resolved: "
        )
    return ""


def test_what_is_missing_is_named_with_the_command_that_makes_it(mounts):
    put(mounts, "secrets", "orders-db", {"password": "hush"})
    assert message_of("${secrets:orders-db:user}") == (
        "the Secret orders-db has no key user, in namespace shop. Create it (kubectl create secret "
        "generic orders-db --from-file=user); it is read as soon as Kubernetes has mounted it, "
        "which takes up to two minutes."
    )
    (mounts / "configmaps" / "settings").mkdir(parents=True)
    assert message_of("${configmaps:settings:url}").startswith(
        "there is no ConfigMap settings, or it has no key url, in namespace shop. Create it "
        "(kubectl create configmap settings --from-file=url); "
    )


@pytest.mark.parametrize(
    "reference",
    ["${secrets:orders-db:../x}", "${secrets:../etc:passwd}", "${secrets:/x:y}", "${secrets:a:..}"],
)
def test_a_reference_never_leaves_the_mounts(mounts, reference):
    assert "is not the name and a key of a Secret. Write ${secrets:NAME:KEY}." in message_of(
        reference
    )


def test_another_namespace_is_refused_offline_with_the_fix(mounts):
    wrong = check({"k": "${secrets:bank/db:password}"}, from_worker({}))
    assert [(e.field, e.code, str(e)) for e in wrong] == [
        (
            "k",
            "forbidden",
            "The reference ${secrets:bank/db:password} in configuration k cannot be resolved: the "
            "Secret db is in namespace bank, and a pod can mount only what is in its own "
            "namespace, shop. Copy it to shop and write ${secrets:db:password}.",
        )
    ]
    assert check({"k": "${secrets:shop/db:password} ${env:X}"}, from_worker({})) == []


def test_validation_leaves_references_open_but_not_wrong_ones(mounts):
    props = {
        "name": "orders",
        "connector.class": "com.example.TableSinkConnector",
        "topics": "t",
        "connection.url": "${secrets:db:url}",
    }
    worker = load_worker()
    assert validate(props, worker).errors == []
    found = validate(props | {"connection.url": "${secrets:other/db:url}"}, worker)
    assert [error.field for error in found.errors] == ["connection.url"]
    shown = {value.name: value for value in found.configs}["connection.url"]
    assert "own namespace" in shown.errors[0]


def test_outside_of_kubernetes_it_says_what_to_use_instead(tmp_path, monkeypatch):
    monkeypatch.setenv("CORACLE_MOUNTS", str(tmp_path / "none"))
    monkeypatch.delenv("CORACLE_NAMESPACE", raising=False)
    assert message_of("${secrets:orders-db:password}") == (
        "Secrets are mounted into pods on Kubernetes, and this process is not in one. Use "
        "${file:…}, ${directory:…} or ${env:…} outside of Kubernetes."
    )
    # A namespace that nobody can compare is nothing to refuse.
    assert check({"k": "${secrets:bank/db:password}"}, from_worker({})) == []


def test_nothing_that_a_secret_says_is_shown(mounts):
    put(mounts, "secrets", "db", {"url": "jdbc:x://u:p4ss@db/x\n", "user": "bob"})
    put(mounts, "secrets", "tls", {"key": "-----BEGIN KEY-----\nMIIEvQ==\n"})
    put(mounts, "configmaps", "settings", {"path": "/data/out"})
    text = "bob: jdbc:x://u:p4ss@db/x refused MIIEvQ== for /data/out"
    assert hide_secrets(text) == "bob: [hidden] refused [hidden] for /data/out"


def test_a_watch_sees_what_appears_and_what_changes_and_nothing_else(mounts):
    watch = MountWatch(mounts)
    assert watch.changes() == []
    put(mounts, "secrets", "db", {"password": "a", "user": "bob"})
    assert watch.changes() == ["secrets/db/password", "secrets/db/user"]
    assert watch.changes() == []
    put(mounts, "secrets", "db", {"password": "b", "user": "bob"})
    assert watch.changes() == ["secrets/db/password"]
    put(mounts, "secrets", "db", {"password": "b", "user": "bob"})
    assert watch.changes() == []
    (mounts / "secrets" / "db" / "user").unlink()
    assert watch.changes() == []
    put(mounts, "secrets", "db", {"password": "b", "user": "bob"})
    assert watch.changes() == []
    put(mounts, "secrets", "db", {"password": "b", "user": "eve"})
    assert watch.changes() == ["secrets/db/user"]
