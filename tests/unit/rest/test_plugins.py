from httpx import AsyncClient

import coracle


async def test_connectors_sinks_first(client: AsyncClient) -> None:
    answer = await client.get("/connector-plugins")
    assert answer.status_code == 200
    types = [plugin["type"] for plugin in answer.json()]
    assert types == sorted(types)
    assert set(types) == {"sink", "source"}
    assert {
        "class": "io.confluent.connect.jdbc.JdbcSinkConnector",
        "type": "sink",
        "version": coracle.__version__,
    } in answer.json()


async def test_all_plugins_in_kafka_connects_order(client: AsyncClient) -> None:
    for flag in ("false", "", "no"):
        answer = await client.get("/connector-plugins", params={"connectorsOnly": flag})
        types = list(dict.fromkeys(plugin["type"] for plugin in answer.json()))
        assert types == [
            "sink",
            "source",
            "transformation",
            "predicate",
            "converter",
            "header_converter",
        ]
    headers = [p["class"] for p in answer.json() if p["type"] == "header_converter"]
    assert "org.apache.kafka.connect.storage.SimpleHeaderConverter" in headers
    assert "org.apache.kafka.connect.json.JsonConverter" in headers
