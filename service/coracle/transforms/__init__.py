"""Apache Kafka's single message transforms and predicates, a batch at a time.

``chain`` runs the transforms of a connector. ``fields`` is what transforms of keys and values
share: functions compiled once per schema. ``routes`` is the same for topics. Every other module is
one transform.

What each transform does with schemas, nulls and defaults is Kafka 4.3's:
https://kafka.apache.org/43/documentation.html#connect_transforms
"""
