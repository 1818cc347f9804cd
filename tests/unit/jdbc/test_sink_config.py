import pytest

from coracle.api import ConfigErrors
from coracle.connectors.jdbc.sink import JdbcSinkConnector
from coracle.connectors.jdbc.sinks.config import InsertMode, PrimaryKeyMode
from coracle.connectors.jdbc.sinks.routing import Router
from tests.unit.jdbc.sink_case import MYSQL, POSTGRES, dialect, settings


def wrong(**more: str) -> str:
    props = {key.replace("_", "."): value for key, value in more.items()}
    with pytest.raises(ConfigErrors) as caught:
        JdbcSinkConnector.spec.parse({"connection.url": POSTGRES, **props})
    return str(caught.value)


def test_defaults_are_the_jdbc_connectors():
    found = settings()
    assert found.insert_mode is InsertMode.INSERT
    assert found.pk_mode is PrimaryKeyMode.NONE
    assert (found.batch_size, found.max_retries, found.retry_backoff) == (3000, 10, 3.0)
    assert found.table_name_format == "${topic}"
    assert found.table_types == {"TABLE"}
    assert [found.auto_create, found.auto_evolve, found.delete_enabled] == [False] * 3


@pytest.mark.parametrize("mode", ["upsert", "UPSERT"])
def test_modes_may_be_upper_case(mode: str):
    found = settings(insert_mode=mode, pk_mode="RECORD_KEY".lower())
    assert found.insert_mode is InsertMode.UPSERT


def test_aivens_multi_is_insert():
    assert settings(insert_mode="multi").insert_mode is InsertMode.INSERT


def test_the_url_is_required():
    with pytest.raises(ConfigErrors, match=r"connection\.url"):
        JdbcSinkConnector.spec.parse({})


def test_deletes_need_the_record_key():
    message = "Primary key mode must be 'record_key' when delete support is enabled"
    assert message in wrong(delete_enabled="true", pk_mode="record_value")


def test_upserts_need_a_key():
    assert "pk.mode is none" in wrong(insert_mode="upsert")


def test_kafkas_key_has_three_columns():
    assert "no or three columns" in wrong(pk_mode="kafka", pk_fields="a,b")


def test_a_wrong_value_names_what_is_allowed():
    message = wrong(insert_mode="replace")
    assert "insert.mode" in message
    assert "replace" in message
    assert "'upsert'" in message
    assert "PARTITIONED TABLE" in wrong(table_types="INDEX")
    assert "topic:table" in wrong(topics_to_tables_mapping="orders")


@pytest.mark.parametrize(
    ("props", "parts"),
    [
        ({}, ("asgard", "demo", "orders")),
        ({"table_name_format": "kafka_${topic}"}, ("kafka_asgard", "demo", "orders")),
        ({"table_name_format": "s.t"}, ("s", "t")),
        ({"table_name_normalize": "true"}, ("asgard_demo_orders",)),
        ({"topics_to_tables_mapping": "asgard.demo.orders:x.y, b:c"}, ("x", "y")),
    ],
)
def test_topics_to_tables(props: dict[str, str], parts: tuple[str, ...]):
    database = dialect()
    router = Router(settings(**props), database)
    assert router.table("asgard.demo.orders") == database.table_id(parts)


def test_a_mysql_table_may_name_its_database():
    table = Router(settings(), dialect(MYSQL)).table("shop.orders")
    assert (table.catalog, table.name) == ("shop", "orders")


def test_unquoted_names_are_folded_as_postgresql_folds_them():
    router = Router(settings(), dialect(quote_sql_identifiers="never"))
    assert router.table("Demo.Orders").parts == ("demo", "orders")
