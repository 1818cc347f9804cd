"""One task's life, and everything around it.

Where to look:

worker.py          the connectors of a process; what the REST API speaks to (store.py)
connector.py       one connector: what is wanted, and the loop that makes it so
planner.py         the connector's plugin: it finds out what tasks there are
sharing.py         which of the tasks are this process's: all, or what a Kafka group says
task_set.py        the tasks of this process
task.py            one task: states, one run after another
assembly.py        builds a run from a prepared configuration
sink.py            a run of a sink task: fetch, convert, transform, put, commit
source.py          a run of a source task: poll, transform, convert, produce, store offsets
pipeline.py        what both have: identity and stages
conversion.py      converters over whole batches
transformation.py  the chain of transforms under the error policy
tolerance.py       what happens to records that cannot be processed
failure.py         what a person reads when a task has failed
byte_queue.py      the queue between stages
topics.py          topics that a source's records make necessary
shutdown.py        stopping in bounded time
"""
