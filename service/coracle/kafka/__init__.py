"""The only place that talks to Kafka, and the only importer of aiokafka.

settings.py       Java client properties → aiokafka arguments
security.py       TLS and SASL from Java client properties
consume.py        a group member that hands out record batches, bounded in bytes
task_consumer.py  the same for a task whose process is the member
membership.py     a process's place in the group that shares out a connector's tasks
assignor.py       who gets which task: the decision of the group's leader
trouble.py        what a broker's refusals mean
produce.py        record batches to topics: partitions, acknowledgements, deadlines
partitioner.py    which partition a record goes to, as Java's default producer would choose
offsets.py        the source offsets topic
admin.py          topics, brokers, cluster id
"""
