import pytest

from coracle.api import ConfigError, ConfigErrors
from coracle.config.providers import BUILT_IN, from_worker, referenced, resolve


@pytest.fixture
def secrets(tmp_path):
    (tmp_path / "db.properties").write_text("user=bob\npassword = s3cr\\u00e9t\n")
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "token").write_text("abc\n")
    return tmp_path


def test_kafkas_three_providers_need_no_declaration(secrets, monkeypatch):
    monkeypatch.setenv("CORACLE_TEST_HOST", "db.example")
    props = {
        "url": f"jdbc:x://${{env:CORACLE_TEST_HOST}}/x?u=${{file:{secrets}/db.properties:user}}",
        "password": f"${{file:{secrets}/db.properties:password}}",
        "token": f"${{directory:{secrets}/dir:token}}",
        "plain": "text",
    }
    resolved = resolve(props, from_worker({}))
    assert resolved.values == {
        "url": "jdbc:x://db.example/x?u=bob",
        "password": "s3crét",
        "token": "abc\n",
        "plain": "text",
    }
    assert resolved.referenced == {"url", "password", "token"}
    assert "s3cr" not in repr(resolved)


@pytest.mark.parametrize(
    "text",
    [
        "${topic}-${timestamp}",
        "${vault:secret:key}",
        "${unknown:x}",
        "$ {env:x}",
        "${env}",
        "{a:b}",
    ],
)
def test_text_that_names_no_provider_stays_as_it_is(text):
    resolved = resolve({"k": text}, from_worker({}))
    assert resolved.values == {"k": text}
    assert resolved.referenced == frozenset()


def test_what_a_provider_returns_is_not_resolved_again(monkeypatch):
    monkeypatch.setenv("CORACLE_TEST_A", "${env:CORACLE_TEST_B}")
    monkeypatch.setenv("CORACLE_TEST_B", "b")
    resolved = resolve({"k": "${env:CORACLE_TEST_A}"}, from_worker({}))
    assert resolved.values == {"k": "${env:CORACLE_TEST_B}"}


def test_all_references_that_fail_are_reported_together(secrets):
    props = {
        "a": "${env:CORACLE_TEST_UNSET}",
        "b": f"${{file:{secrets}/none.properties:x}}",
        "c": f"${{file:{secrets}/db.properties:nope}}",
        "d": f"${{directory:{secrets}/dir:nope}}",
        "e": "${env:PATH:HOME}",
        "f": "${file:user}",
    }
    with pytest.raises(ConfigErrors) as caught:
        resolve(props, from_worker({}))
    messages = {error.field: str(error) for error in caught.value.errors}
    assert messages == {
        "a": "The reference ${env:CORACLE_TEST_UNSET} in configuration a cannot be resolved: "
        "the environment variable CORACLE_TEST_UNSET is not set.",
        "b": f"The reference ${{file:{secrets}/none.properties:x}} in configuration b cannot be "
        f"resolved: There is no file {secrets}/none.properties.",
        "c": f"The reference ${{file:{secrets}/db.properties:nope}} in configuration c cannot be "
        f"resolved: the file {secrets}/db.properties has no key nope.",
        "d": f"The reference ${{directory:{secrets}/dir:nope}} in configuration d cannot be "
        f"resolved: the directory {secrets}/dir has no file nope.",
        "e": "The reference ${env:PATH:HOME} in configuration e cannot be resolved: an environment "
        "variable has no path, but 'PATH' is given as one. Write ${env:HOME}.",
        "f": "The reference ${file:user} in configuration f cannot be resolved: the reference "
        "names no path.",
    }
    assert {error.code for error in caught.value.errors} == {"missing"}
    assert "bob" not in str(caught.value)
    assert "s3cr" not in str(caught.value)


def test_an_allowlist_limits_the_variables(monkeypatch):
    monkeypatch.setenv("CORACLE_TEST_A", "a")
    monkeypatch.setenv("XCORACLE_TEST_A", "hidden")
    found = from_worker({"config.providers.env.param.allowlist.pattern": "CORACLE_.*"})
    assert resolve({"k": "${env:CORACLE_TEST_A}"}, found).values == {"k": "a"}
    with pytest.raises(ConfigErrors, match=r"XCORACLE_TEST_A does not match allowlist\.pattern"):
        resolve({"k": "${env:XCORACLE_TEST_A}"}, found)


@pytest.mark.parametrize(
    ("provider", "reference"),
    [
        ("file", "{root}/other/x.properties:k"),
        ("file", "{root}/db/../other/x.properties:k"),
        ("file", "{root}/dbx/x.properties:k"),
        ("file", "relative.properties:k"),
        ("directory", "{root}/other:x.properties"),
        ("directory", "{root}/db/..:x"),
    ],
)
def test_paths_outside_the_allowed_ones_are_refused(tmp_path, provider, reference):
    for folder in ("db", "dbx", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.properties").write_text("k=hidden\n")
    found = from_worker({f"config.providers.{provider}.param.allowed.paths": f"{tmp_path}/db"})
    with pytest.raises(ConfigErrors, match=r"is not within allowed\.paths") as caught:
        resolve({"k": f"${{{provider}:{reference.format(root=tmp_path)}}}"}, found)
    assert "hidden" not in str(caught.value)


def test_allowed_paths_allow(tmp_path):
    (tmp_path / "x.properties").write_text("k=v\n")
    found = from_worker({"config.providers.file.param.allowed.paths": f"/nowhere,{tmp_path}/"})
    assert resolve({"k": f"${{file:{tmp_path}/x.properties:k}}"}, found).values == {"k": "v"}


@pytest.mark.parametrize("key", ["../db.properties", "..", ".", "", "sub/token"])
def test_a_directory_gives_only_its_own_files(secrets, key):
    (secrets / "dir" / "sub").mkdir()
    (secrets / "dir" / "sub" / "token").write_text("hidden")
    with pytest.raises(ConfigErrors, match="has no file"):
        resolve({"k": f"${{directory:{secrets}/dir:{key}}}"}, from_worker({}))


def test_a_mounted_secret_is_read_through_its_links(tmp_path):
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "password").write_text("p")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "password").symlink_to("..data/password")
    found = from_worker({"config.providers.directory.param.allowed.paths": str(tmp_path)})
    assert resolve({"k": f"${{directory:{tmp_path}:password}}"}, found).values == {"k": "p"}


def test_a_worker_declares_providers_of_its_own():
    found = from_worker(
        {
            "config.providers": "vault, strimzienv",
            "config.providers.vault.class": "com.example.VaultProvider",
            "config.providers.vault.param.token": "t0ken",
            "config.providers.strimzienv.class": "org.apache.kafka.common.config.provider."
            "EnvVarConfigProvider",
        }
    )
    assert set(found) == {*BUILT_IN, "vault", "strimzienv"}
    assert resolve({"k": "${vault:secret/db:pw}"}, found).values == {"k": "secret/db/pw"}


def test_wrong_declarations_are_reported_together():
    with pytest.raises(ConfigErrors) as caught:
        from_worker(
            {
                "config.providers": "a,b,c,d",
                "config.providers.b.class": "com.example.NoProvider",
                "config.providers.c.class": "com.example.VaultProvider",
                "config.providers.d.class": "FileConfigProvider",
                "config.providers.d.param.allowed.paths": "relative",
            }
        )
    assert [(error.field, error.code) for error in caught.value.errors] == [
        ("config.providers.a.class", "missing"),
        ("config.providers.b.class", "unknown_class"),
        ("config.providers.c.param.token", "missing"),
        ("config.providers.d.param.allowed.paths", "invalid"),
    ]


def test_referenced_looks_nothing_up():
    props = {"a": "x${env:NOPE}", "b": "${nope:x}", "c": "c", "d": "${file:/nowhere:x}"}
    assert referenced(props, from_worker({}).keys()) == {"a", "d"}


def test_redacting_hides_values_in_errors_of_other_keys(monkeypatch):
    monkeypatch.setenv("CORACLE_TEST_A", "s3cret\n")
    resolved = resolve({"k": "a ${env:CORACLE_TEST_A}", "j": "x"}, from_worker({}))
    own, other = resolved.redact(
        [
            ConfigError("Invalid value s3cret for configuration k: no", field="k"),
            ConfigError("k is s3cret but j is x", field="j", fix="not s3cret"),
        ]
    )
    assert str(own) == (
        "Invalid value for configuration 'k': the value resolved from the config provider "
        "reference failed validation"
    )
    assert str(other) == "k is [hidden] but j is x not [hidden]"
