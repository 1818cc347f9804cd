"""The source's parts, in the order a row meets them.

config      the keys and the rules between them
tables      which tables there are, which are wanted, which task reads them
query       mode and position → one SELECT
reader      one table or query: opens the SELECT, cuts its rows into batches, knows the position
layout      result columns → value schema, and rows → values, a column at a time
types_*     what a database's type becomes
clock       zoneless times ↔ UTC, granularities of timestamps
offsets     positions as Kafka Connect stores them
"""
