"""Label selectors, as Kubernetes evaluates them.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

from __future__ import annotations

from collections.abc import Mapping

from coracle.kube.model.pods import Selector


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether labels fulfil every requirement."""
    if any(labels.get(key) != value for key, value in selector.match_labels.items()):
        return False
    for one in selector.match_expressions:
        value = labels.get(one.key)
        fulfilled = {
            "In": value in one.values,
            "NotIn": value not in one.values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not fulfilled.get(one.operator, False):
            return False
    return True
