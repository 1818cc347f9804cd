"""`helm test`: the kinds are served, their rules hold, the webhook answers. All of it is a dry run."""

import os
import ssl
import sys
import time
from pathlib import Path

import httpx

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NAMESPACE = os.environ["TEST_NAMESPACE"]
CONNECT = os.environ["TEST_CONNECT"]
WEBHOOK = os.environ["TEST_WEBHOOK"] == "true"

api = httpx.Client(
    base_url=f"https://kubernetes.default.svc/apis/coracle.dev/v1/namespaces/{NAMESPACE}",
    headers={"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"},
    verify=ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt")),
    timeout=30,
)


def create(connect: str, **spec: object) -> httpx.Response:
    """The API server's answer to a KafkaConnector of this spec."""
    connector = {
        "apiVersion": "coracle.dev/v1",
        "kind": "KafkaConnector",
        "metadata": {"name": "coracle-helm-test"},
        "spec": {"connect": {"name": connect}, **spec},
    }
    return api.post("/kafkaconnectors", params={"dryRun": "All"}, json=connector)


def check(what: str, right: bool, answer: httpx.Response) -> None:
    """Print what was found; ends the test when it is wrong."""
    print(f"{'ok' if right else 'WRONG'}: {what}", flush=True)
    if not right:
        sys.exit(f"{answer.status_code} {dict(answer.headers)}\n{answer.text}")


for kind in ("kafkaconnects", "kafkaconnectors"):
    answer = api.get(f"/{kind}")
    check(f"{kind} are served", answer.status_code == 200, answer)

answer = create(
    "nobody", **{"class": "FileStreamSink", "config": {"topics": "a", "topics.regex": "a.*"}}
)
check("both topics and topics.regex are refused", answer.status_code == 422, answer)

if WEBHOOK:
    answer = create("nobody", **{"class": "FileStreamSink", "config": {"topics": "a", "file": "a"}})
    admitted = answer.status_code == 201 and "nobody" in answer.headers.get("warning", "")
    check("the webhook warns of a KafkaConnect that is not there", admitted, answer)
    if CONNECT:
        # Its api may have been started a moment ago, by the same `helm install`.
        deadline = time.monotonic() + 60
        refused = False
        while not refused and time.monotonic() < deadline:
            answer = create(CONNECT, **{"class": "NoSuchConnector", "config": {}})
            refused = answer.status_code >= 400 and "NoSuchConnector" in answer.text
            time.sleep(0 if refused else 1)
        check("the webhook refuses a class that does not exist", refused, answer)
