"""What the pods, the api and the operator share about Kubernetes.

The custom resources' typed model, names, and how state gets into a resource's status. Of Coracle it
imports only ``coracle.config``, ``coracle.store``, ``coracle.java`` and ``coracle.api``.
"""
