"""Coracle, JVM Kafka Connect and a bare script side by side: ``python -m bench --help``.

All move the same records from the same broker into the same PostgreSQL, one after another:

    load.py          fills a topic with JSON records that carry their schema
    shapes.py        what the records look like: one schema, two interleaved, many partitions
    contestants.py   how each contestant is started
    bare_script.py   the contestant that is no framework: what an engineer would write in an hour
    trial.py         one contestant on one topic: starts it, watches the table, reads its CPU and
    memory report.py        the tables, the targets, and docs/benchmarks.md

Servers are those of the tests (``tests/servers``).
"""
