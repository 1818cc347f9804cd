"""The operator: makes the pods of KafkaConnector resources, and whatever else these need.

``main.py`` puts the parts together. Events come in through ``watches.py`` (custom resources, by
kopf) and ``informer.py`` (what was made for them), fill ``cache.py`` and name a key to
``queue.py``, which has ``reconcile.py`` bring that resource a step closer to its spec:
``manifests/`` says what there shall be, ``objects.py`` makes it so, ``conditions.py`` says how it
goes. ``cluster.py`` is all that these know of Kubernetes. The webhook is a process of its own
(``webhook.py``).
"""
