"""`helm test`: the kinds are served, their rules hold, the webhook answers. Only dry runs."""

import json
import os
import ssl
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
API = (
    "https://kubernetes.default.svc/apis/coracle.dev/v1/namespaces/" + os.environ["TEST_NAMESPACE"]
)
CONNECT = os.environ["TEST_CONNECT"]
WEBHOOK = os.environ["TEST_WEBHOOK"] == "true"


@dataclass(frozen=True)
class Answer:
    """What the API server says."""

    status: int
    warning: str
    text: str


def ask(path: str, body: object = None) -> Answer:
    """GET, or POST with a body."""
    headers = {
        "Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}",
        "Content-Type": "application/json",
    }
    data = None if body is None else json.dumps(body).encode()
    request = Request(API + path, data, headers)  # noqa: S310
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    try:
        answer = urlopen(request, timeout=30, context=context)  # noqa: S310
    except HTTPError as error:
        answer = error
    with answer:
        return Answer(answer.status, answer.headers.get("Warning", ""), answer.read().decode())


def create(connect: str, class_name: str, **config: str) -> Answer:
    """The answer to a KafkaConnector that is not kept."""
    return ask(
        "/kafkaconnectors?dryRun=All",
        {
            "apiVersion": "coracle.dev/v1",
            "kind": "KafkaConnector",
            "metadata": {"name": "coracle-helm-test"},
            "spec": {"connect": {"name": connect}, "class": class_name, "config": config},
        },
    )


def check(what: str, right: bool, answer: Answer) -> None:
    """Print what was found; ends the test when it is wrong."""
    print(f"{'ok' if right else 'WRONG'}: {what}", flush=True)
    if not right:
        sys.exit(f"The API server said {answer.status}, warning {answer.warning!r}:\n{answer.text}")


for kind in ("kafkaconnects", "kafkaconnectors"):
    answer = ask(f"/{kind}")
    check(f"{kind} are served", answer.status == 200, answer)

answer = create("nobody", "FileStreamSink", **{"topics": "a", "topics.regex": "a.*"})
refused = answer.status == 422 and "mutually exclusive" in answer.text
check("both topics and topics.regex are refused", refused, answer)

if WEBHOOK:
    answer = create("nobody", "FileStreamSink", topics="a", file="a")
    admitted = answer.status == 201 and "nobody" in answer.warning
    check("the webhook warns of a KafkaConnect that is not there", admitted, answer)

if WEBHOOK and CONNECT:
    # Its api may have been started a moment ago, by the same `helm install`.
    deadline = time.monotonic() + 60
    while True:
        answer = create(CONNECT, "NoSuchConnector")
        refused = answer.status >= 400 and "NoSuchConnector" in answer.text
        if refused or time.monotonic() > deadline:
            break
        time.sleep(1)
    check("the webhook refuses a class that does not exist", refused, answer)
