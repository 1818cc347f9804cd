"""Renders k8s/base/coracle.yaml from the Helm chart, for those who use kustomize.

`make manifests` runs it:

python k8s/render.py [HELM]
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BASE = ROOT / "k8s" / "base" / "coracle.yaml"
_HEAD = "# Made from helm/coracle by `make manifests`; change the chart instead.\n"


def rendered(helm: str = "helm") -> str:
    """The chart's objects with its default values, less the CRDs and what only Helm needs.

    Raises:
        subprocess.CalledProcessError: if the chart cannot be rendered; its ``stderr`` says why.
    """
    command = [helm, "template", "coracle", str(ROOT / "helm" / "coracle"), "--no-hooks"]
    command += ["--namespace", "coracle-system", "--set", "crds.install=false"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
    text = re.sub(r"^ +helm\.sh/chart: .*\n", "", text, flags=re.M)
    text = text.replace(
        "app.kubernetes.io/managed-by: Helm", "app.kubernetes.io/managed-by: kustomize"
    )
    return _HEAD + text


if __name__ == "__main__":
    BASE.write_text(rendered(*sys.argv[1:]))
