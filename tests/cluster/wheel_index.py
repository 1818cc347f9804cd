"""A package index inside the cluster with one wheel in it, which brings plugins.

An index is folders of files (https://packaging.python.org/specifications/simple-repository-api/),
and the list that `python -m http.server` makes of a folder is one of its pages.
"""

import base64
import io
import zipfile

from tests.cluster.commands import Kubectl, pod

PACKAGE = "acme-plugins"
SHOUT = "com.acme.Shout"
SINK = "com.acme.MoodySinkConnector"
PORT = 8080

_WHEEL = "acme_plugins-1.4.2-py3-none-any.whl"
_CODE = '''
from coracle.api import ConnectError, Transform
from coracle.connectors.file.sink import FileStreamSinkConnector, FileStreamSinkTask


class Shout(Transform):
    """Makes texts capital."""

    def configure(self, config):
        pass

    def apply(self, batch):
        return batch.with_(values=[value.upper() for value in batch.values])


class MoodySinkTask(FileStreamSinkTask):
    """Fails the first time that it is started in a process."""

    in_the_mood = False

    async def start(self, context, config):
        if not MoodySinkTask.in_the_mood:
            MoodySinkTask.in_the_mood = True
            raise ConnectError("Not in the mood yet.")
        await super().start(context, config)


class MoodySinkConnector(FileStreamSinkConnector):
    task_class = MoodySinkTask
'''
_ENTRY_POINTS = f"""
[coracle.transforms]
{SHOUT} = acme_plugins:Shout
[coracle.connectors]
{SINK} = acme_plugins:MoodySinkConnector
"""


def wheel() -> bytes:
    """The wheel: see https://packaging.python.org/specifications/binary-distribution-format/."""
    files = {
        "acme_plugins.py": _CODE,
        "acme_plugins-1.4.2.dist-info/METADATA": (
            f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.4.2\n"
        ),
        "acme_plugins-1.4.2.dist-info/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
        "acme_plugins-1.4.2.dist-info/entry_points.txt": _ENTRY_POINTS,
    }
    record = "acme_plugins-1.4.2.dist-info/RECORD"
    files[record] = "".join(f"{name},,\n" for name in [*files, record])
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return data.getvalue()


def serve(kubectl: Kubectl, image: str) -> str:
    """Start the index; returns its URL."""
    served = pod("index", image, "python3", "-m", "http.server", str(PORT), "--directory", "/srv")
    served["metadata"]["labels"] = {"app": "index"}
    (container,) = served["spec"]["containers"]
    container["volumeMounts"] = [{"name": "files", "mountPath": "/srv"}]
    probe = {"tcpSocket": {"port": PORT}, "periodSeconds": 1}
    container["readinessProbe"] = probe
    path = f"simple/{PACKAGE}/{_WHEEL}"
    served["spec"]["volumes"] = [
        {"name": "files", "configMap": {"name": "index", "items": [{"key": "wheel", "path": path}]}}
    ]
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "index"},
            "binaryData": {"wheel": base64.b64encode(wheel()).decode()},
        },
        served,
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "index"},
            "spec": {"selector": {"app": "index"}, "ports": [{"port": PORT}]},
        },
    )
    kubectl("wait", "pod/index", "--for=condition=Ready", "--timeout=60s")
    return f"http://index.{kubectl.namespace}.svc:{PORT}/simple"
