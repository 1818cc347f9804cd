"""kubectl and helm, for tests: they fail a test with what the command said."""

import json
import os
import shlex
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


class CommandError(AssertionError):
    """A command that ended with an error; the message is what it said."""


class Command:
    """A program on a cluster.

    Attributes:
        kubeconfig: How it connects.
        namespace: Where it acts unless told otherwise.
    """

    def __init__(self, program: str, kubeconfig: Path, namespace: str = "default") -> None:
        self._program = program
        self.kubeconfig = kubeconfig
        self.namespace = namespace

    def __call__(self, *arguments: str, text: str = "", seconds: float = 90) -> str:
        """Run it.

        Args:
            arguments: Its arguments.
            text: Its standard input.
            seconds: How long it may take.

        Returns:
            What it said on standard output, without white space around it.

        Raises:
            CommandError: It ended with an error.
        """
        done = subprocess.run(
            [self._program, f"--namespace={self.namespace}", *arguments],
            env=os.environ | {"KUBECONFIG": str(self.kubeconfig)},
            input=text,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise CommandError(f"{self._program} {shlex.join(arguments)}: {said}")
        return done.stdout.strip()


class Kubectl(Command):
    """kubectl."""

    def __init__(self, kubeconfig: Path, namespace: str = "default", program: str = "") -> None:
        super().__init__(program or "kubectl", kubeconfig, namespace)

    def within(self, namespace: str) -> "Kubectl":
        """The same, in another namespace."""
        return Kubectl(self.kubeconfig, namespace, self._program)

    def apply(self, *manifests: Mapping[str, Any] | str) -> str:
        """Apply objects, or manifests as YAML, on the server's side."""
        texts = [each if isinstance(each, str) else json.dumps(each) for each in manifests]
        return self("apply", "--server-side", "-f", "-", text="\n---\n".join(texts))

    def get(self, resource: str) -> dict[str, Any]:
        """An object, as `kind/name`, or a list of a kind's."""
        return json.loads(self("get", resource, "--output=json"))

    def run_pod(
        self, name: str, image: str, *command: str, seconds: float = 60, **spec: Any
    ) -> str:
        """Run a pod to its end as strictly as the level `restricted` asks, and return its log.

        Args:
            name: Of the pod.
            image: Its image.
            command: What it runs; the image's own without any.
            seconds: How long that may take.
            spec: More of the pod's spec.

        Raises:
            CommandError: It failed, or took longer; the message has its log.
        """
        self.apply(pod(name, image, *command, **spec))
        deadline = time.monotonic() + seconds
        while (phase := self("get", "pod", name, "-o", "jsonpath={.status.phase}")) != "Succeeded":
            if phase == "Failed" or time.monotonic() > deadline:
                log = self("logs", name, "--all-containers", "--ignore-errors")
                described = self("describe", "pod", name)
                raise CommandError(f"pod {name}: {phase}\n{described}\n{log}")
            time.sleep(0.1)
        return self("logs", name)


class Helm(Command):
    """helm."""

    def __init__(self, kubeconfig: Path, namespace: str = "default") -> None:
        super().__init__("helm", kubeconfig, namespace)


def pod(name: str, image: str, *command: str, **spec: Any) -> dict[str, Any]:
    """A pod that runs once, as the level `restricted` of the Pod Security Standards asks."""
    container = {
        "name": "main",
        "image": image,
        "securityContext": {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    if command:
        container["command"] = list(command)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            **spec,
        },
    }


def server_address(kubeconfig: Path) -> str:
    """URL of the API server that a kubeconfig's current context names."""
    config = yaml.safe_load(kubeconfig.read_text())
    contexts = {each["name"]: each["context"] for each in config["contexts"]}
    clusters = {each["name"]: each["cluster"] for each in config["clusters"]}
    return clusters[contexts[config["current-context"]]["cluster"]]["server"]
