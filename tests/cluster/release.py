"""kubectl and helm on an API server, for the tests of the chart."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.commands import CommandError

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "coracle"
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Question:
    """Whether somebody may do this.

    Attributes:
        verb: such as `get`.
        resource: in plural and with its group, such as `deployments.apps`, or `pods/exec`.
        namespace: where; everywhere when empty.
        name: of one object.
    """

    verb: str
    resource: str
    namespace: str = ""
    name: str = ""

    def attributes(self) -> dict[str, str]:
        """As the API asks it."""
        resource, _, subresource = self.resource.partition("/")
        resource, _, group = resource.partition(".")
        return {
            "verb": self.verb,
            "resource": resource,
            "group": group,
            "version": "*",
            "subresource": subresource,
            "namespace": self.namespace,
            "name": self.name,
        }


class Api:
    """An API server, and the programs that talk to it.

    Attributes:
        kubeconfig: of the administrator.
    """

    def __init__(self, programs: Path, kubeconfig: Path, folder: Path) -> None:
        """Use the programs of a folder; `folder` is for helm's and kubectl's caches."""
        self._programs = programs
        self.kubeconfig = kubeconfig
        self._environment = os.environ | {"KUBECONFIG": str(kubeconfig), "HOME": str(folder)}

    def program(self, name: str) -> str:
        """The path of kubectl or helm."""
        return str(self._programs / name)

    def helm(self, *arguments: str) -> str:
        """What helm says; raises `CommandError`."""
        return self._run([self.program("helm"), *arguments])

    def kubectl(self, *arguments: str, text: str = "", patience: float = 60) -> str:
        """What kubectl says, given `text` on its standard input; raises `CommandError`."""
        return self._run([self.program("kubectl"), *arguments], text, patience)

    def apply(self, text: str, namespace: str = "") -> None:
        """Apply manifests; a kind that was just defined is waited for."""
        for attempt in range(40):
            try:
                where = ["-n", namespace] if namespace else []
                self.kubectl("apply", "--server-side", *where, "-f-", text=text)
            except CommandError as error:
                if "no matches for kind" not in str(error) or attempt == 39:
                    raise
                time.sleep(0.25)
            else:
                return

    def get(self, resource: str, namespace: str = "default") -> dict[str, Any]:
        """A resource, named `kind/name`."""
        return json.loads(self.kubectl("get", resource, "-n", namespace, "-o", "json"))

    def allows(self, account: str, *questions: Question) -> list[bool]:
        """Whether a ServiceAccount, as `namespace/name`, has rights."""
        reviews = [
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {
                    "user": "system:serviceaccount:" + account.replace("/", ":"),
                    "resourceAttributes": question.attributes(),
                },
            }
            for question in questions
        ]
        text = "---\n".join(json.dumps(review) + "\n" for review in reviews)
        answers = self.kubectl("create", "-f-", "-o", "jsonpath={.status.allowed} ", text=text)
        return [answer == "true" for answer in answers.split()]

    def until(self, *arguments: str, shows: str = "", fails: str = "", text: str = "") -> None:
        """Run kubectl until its output has `shows` in it, or its error `fails`; 20 seconds."""
        deadline = time.monotonic() + 20
        while True:
            try:
                said, failed = self.kubectl(*arguments, text=text), ""
            except CommandError as error:
                said, failed = "", str(error)
            if (fails and fails in failed) or (shows and shows in said):
                return
            assert time.monotonic() < deadline, said or failed
            time.sleep(0.25)

    def install(self, namespace: str, *arguments: str) -> str:
        """`helm install coracle`."""
        return self.helm("install", "coracle", str(CHART), "-n", namespace, *arguments)

    def upgrade(self, namespace: str, *arguments: str) -> str:
        """`helm upgrade coracle`; values that were set before are forgotten."""
        return self.helm("upgrade", "coracle", str(CHART), "-n", namespace, *arguments)

    def new_namespace(self, *, name: str = "", exist: bool = False, **labels: str) -> str:
        """Make a namespace; one that may `exist` already is left as it is."""
        name = name or f"try-{os.getpid()}-{next(_NUMBERS)}"
        metadata = {"name": name, "labels": labels}
        manifest = json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        try:
            self.kubectl("create", "-f-", text=manifest)
        except CommandError as error:
            if not exist or "already exists" not in str(error):
                raise
        return name

    def define(self, group: str, version: str, kind: str, versions: tuple[str, ...] = ()) -> None:
        """Define a kind of somebody else's by its name alone; `versions` are older ones."""
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        plural = kind.lower() + "s"
        crd = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {
                "group": group,
                "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                "scope": "Namespaced",
                "versions": [
                    {
                        "name": each,
                        "served": True,
                        "storage": each == version,
                        "schema": {"openAPIV3Schema": schema},
                        "subresources": {"status": {}},
                    }
                    for each in (version, *versions)
                ],
            },
        }
        if f"{plural}.{group}" not in self.kubectl("get", "crd", "-o", "name"):
            self.kubectl("apply", "--server-side", "-f-", text=json.dumps(crd))
        self.kubectl("wait", "--for=condition=Established", f"crd/{plural}.{group}")

    def remove_crds(self) -> None:
        """Remove our kinds and all of their resources, for which no operator is left."""
        kinds = ["kafkaconnectors.coracle.dev", "kafkaconnects.coracle.dev"]
        self.kubectl("delete", "--ignore-not-found", "--wait=false", *(f"crd/{k}" for k in kinds))
        place = "{range .items[*]}{.metadata.namespace} {.metadata.name}{'\\n'}{end}"
        for kind in kinds:
            with contextlib.suppress(CommandError):  # the kind has gone already
                found = self.kubectl("get", kind, "-A", "-o", f"jsonpath={place}")
                for namespace, name in map(str.split, found.splitlines()):
                    patch = '{"metadata": {"finalizers": null}}'
                    self.kubectl("patch", kind, name, "-n", namespace, "--type=merge", "-p", patch)
            self.kubectl("wait", f"crd/{kind}", "--for=delete", "--timeout=30s")

    def certificate_authority(self) -> str:
        """Some authority's certificate, as the API server takes it: base64 of PEM."""
        config = yaml.safe_load(self.kubeconfig.read_text())["clusters"][0]["cluster"]
        if data := config.get("certificate-authority-data"):
            return data
        return base64.b64encode(Path(config["certificate-authority"]).read_bytes()).decode()

    def account(self, namespace: str, name: str) -> Path:
        """A kubeconfig with the rights of a ServiceAccount."""
        config = yaml.safe_load(self.kubeconfig.read_text())
        token = self.kubectl("create", "token", name, "-n", namespace).strip()
        config["users"] = [
            {"name": user["name"], "user": {"token": token}} for user in config["users"]
        ]
        path = Path(self._environment["HOME"]) / f"{namespace}-{name}.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    def python(self, *arguments: str, kubeconfig: Path) -> str:
        """Run Python with other rights than the administrator's."""
        return self._run([sys.executable, *arguments], environment={"KUBECONFIG": str(kubeconfig)})

    def _run(
        self,
        command: list[str],
        text: str = "",
        patience: float = 60,
        environment: dict[str, str] | None = None,
    ) -> str:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            timeout=patience,
            check=False,
            env=self._environment | (environment or {}),
        )
        if done.returncode:
            raise CommandError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return done.stdout
