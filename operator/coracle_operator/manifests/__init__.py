"""What a KafkaConnector or KafkaConnect means as objects of Kubernetes. All of it is pure.

``connector_manifests`` and ``connect_manifests`` say what there shall be; ``reconcile.py`` makes it
so. A module each for pods, access, autoscalers and monitors.
"""

from coracle_operator.manifests.connect import connect_manifests
from coracle_operator.manifests.connector import Plan, connector_manifests, reset_job

__all__ = ["Plan", "connect_manifests", "connector_manifests", "reset_job"]
