"""Connectors as KafkaConnector resources: what the REST API of a KafkaConnect reads and writes.

The resource is the truth and nothing else is kept. Reads come from a ``Mirror``; writes go to the
API server, which tells the operator and the pods. A write that depends on what was there carries
its ``resourceVersion`` and is made again on what is there now when somebody else was faster.
A resource that the operator made from one of Strimzi's is changed there, where it comes from.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pydantic

from coracle import __version__
from coracle.api import ConfigError, ConfigErrors, ConnectError
from coracle.config.worker import WorkerConfig
from coracle.kube.client import connector_resource, status_code
from coracle.kube.mirror import Mirror, Resource
from coracle.kube.model import KafkaConnector
from coracle.kube.names import (
    CLUSTER_LABEL,
    GROUP,
    KAFKA_CONNECTOR,
    MANAGED_BY_LABEL,
    RESTART,
    RESTART_TASK,
    resource_name,
)
from coracle.kube.references import Kind, provider_kinds
from coracle.kube.validation import Verdict, check
from coracle.kube.view import Withheld, config_of, info_of, spec_of, status_of, withheld
from coracle.store import (
    AlreadyExistsError,
    ConflictError,
    ConnectorInfo,
    ConnectorStatus,
    NotFoundError,
    State,
    TargetState,
    WorkerInfo,
)

if TYPE_CHECKING:
    from lightkube import AsyncClient

logger = logging.getLogger(__name__)

FIELD_MANAGER = "coracle-api"
"""Who managed fields name for what was written over REST."""

SALT = f"{GROUP}/password-salt"
"""Annotation: what the names of the resource's password Secrets are made with."""

_STRIMZI_GROUP = "kafka.strimzi.io/"

_ATTEMPTS = 8
_PENDING_SECONDS = 5.0
_POD_SECONDS = 5.0


@dataclass(frozen=True)
class _Found:
    """A connector, and the resource that says what is wanted of it."""

    kind: Any
    resource: Resource
    connector: KafkaConnector

    @property
    def cr_name(self) -> str:
        return self.resource["metadata"]["name"]


class KubernetesStore:
    """The connectors of one KafkaConnect, in its namespace: a ``ConnectorStore``.

    Args:
        client: for the API server.
        namespace: of the KafkaConnect and its connectors.
        connect: the KafkaConnect's name.
        worker: whose settings configurations are checked against.
        cluster_id: tells the id of the Kafka cluster.
    """

    def __init__(
        self,
        client: AsyncClient,
        namespace: str,
        connect: str,
        worker: WorkerConfig,
        *,
        cluster_id: Callable[[], Awaitable[str]],
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._connect = connect
        self._worker = worker
        self._cluster_id = cluster_id
        self._kind = connector_resource()
        self._mirror = Mirror(client, self._kind, namespace)

    async def run(self) -> None:
        """Keep up with the API server, for ever."""
        await self._mirror.run()

    # -- ConnectorStore --------------------------------------------------------------------------

    async def worker_info(self) -> WorkerInfo:
        """Version and Kafka cluster; the cluster's id is empty while Kafka cannot be reached."""
        return WorkerInfo(__version__, "unknown", await self._cluster_id())

    async def ready(self) -> bool:
        """Whether all connectors are known."""
        return self._mirror.synced.is_set()

    async def names(self) -> Sequence[str]:
        """The connectors' names, in order."""
        return sorted(
            {_name(each) for each in self._mirror.resources.values() if self._is_ours(each)}
        )

    async def info(self, name: str) -> ConnectorInfo:
        """Configuration and task ids."""
        return info_of(self._find(name).connector)

    async def status(self, name: str) -> ConnectorStatus:
        """States of connector and tasks, as its pods reported them."""
        return status_of(self._find(name).connector)

    async def task_configs(self, name: str) -> Sequence[Mapping[str, str]]:
        """The configuration of each task by id, which the pod that leads the connector knows.

        Raises:
            ConnectError: when that pod does not answer.
        """
        status = status_of(self._find(name).connector)
        if not status.tasks or not status.worker_id:
            return []
        import httpx2

        url = f"http://{status.worker_id}/connectors/{quote(name, safe='')}/tasks"
        try:
            async with httpx2.AsyncClient(timeout=_POD_SECONDS, trust_env=False) as pod:
                answer = await pod.get(url)
            answer.raise_for_status()
            return [task["config"] for task in answer.json()]
        except (httpx2.HTTPError, ValueError, LookupError, TypeError) as error:
            raise ConnectError(
                f"The pod at {status.worker_id}, which runs the connector {name}, did not tell its "
                f"tasks' configurations: {error or type(error).__name__}.",
                fix="Look at the pod's state and log, and try again.",
            ) from error

    async def create(
        self, name: str, config: Mapping[str, str], target: TargetState = TargetState.RUNNING
    ) -> ConnectorInfo:
        """Add a KafkaConnector.

        Raises:
            AlreadyExistsError: when there is one of that name.
            ConflictError: when its resource is another connector's, or still being deleted.
            ConfigErrors: when the configuration is wrong; nothing was changed.
        """
        verdict = await self._checked(name, config)
        if name in await self.names():
            raise AlreadyExistsError(f"Connector {name} already exists")
        cr_name = resource_name(name)
        metadata: dict[str, Any] = {
            "name": cr_name,
            "namespace": self._namespace,
            "labels": {MANAGED_BY_LABEL: FIELD_MANAGER},
        }
        kept = None
        if verdict.passwords:
            salt = secrets.token_hex(8)
            metadata["annotations"] = {SALT: salt}
            kept = await self._withheld(config, verdict.passwords, cr_name, salt)
        spec = {"connect": {"name": self._connect}, **spec_of(kept.config if kept else config)}
        if cr_name != name:
            spec["name"] = name
        if target is not TargetState.RUNNING:
            spec["state"] = target.value.lower()
        with _explained(name):
            try:
                created = await self._client.create(
                    self._kind(metadata=metadata, spec=spec), field_manager=FIELD_MANAGER
                )
            except Exception as error:
                if status_code(error) == 409:
                    raise await self._occupied(name, cr_name) from error
                raise
        if kept:
            try:
                await self._keep(kept, created)
            except Exception:
                await self._client.delete(self._kind, cr_name, namespace=self._namespace)
                raise
        await self._mirror.put(created)
        return replace(info_of(_parsed(created)), tasks=())

    async def put_config(
        self,
        name: str,
        config: Mapping[str, str],
        *,
        instead_of: Mapping[str, str] | None = None,
    ) -> tuple[ConnectorInfo, bool]:
        """Create a connector or replace its configuration; the flag says it was created.

        Raises:
            ConfigErrors: when the configuration is wrong; nothing was changed.
            ConflictError: when the connector's is not, or no longer, ``instead_of``, and when
                others keep changing it at the same time.
        """
        try:
            found = self._find(name)
        except NotFoundError:
            return await self.create(name, config), True
        verdict = await self._checked(name, config)

        async def change(found: _Found) -> dict[str, Any]:
            if instead_of is not None and config_of(found.connector) != instead_of:
                raise ConflictError.changed(name)
            metadata: dict[str, Any] = {}
            wanted = config
            if verdict.passwords:
                annotations = found.resource["metadata"].get("annotations") or {}
                salt = annotations.get(SALT)
                if not salt:
                    salt = secrets.token_hex(8)
                    metadata["annotations"] = {SALT: salt}
                kept = await self._withheld(config, verdict.passwords, found.cr_name, salt)
                await self._keep(kept, found.resource)
                wanted = kept.config
            return {"metadata": metadata, "spec": spec_of(wanted, found.connector)}

        changed = await self._change(await self._origin(found), change)
        return info_of(changed.connector), False

    async def delete(self, name: str) -> None:
        """Delete the KafkaConnector; its pods stop. Its offsets stay, unless it says otherwise."""
        found = self._find(name)
        origin = await self._origin(found)
        with _explained(name):
            await self._client.delete(origin.kind, origin.cr_name, namespace=self._namespace)
        known = self._mirror.resources.get(found.cr_name)
        if known is not None:  # until the watch tells the same
            gone = {**known["metadata"], "deletionTimestamp": datetime.now(UTC).isoformat()}
            self._mirror.resources[found.cr_name] = {**known, "metadata": gone}

    async def set_target(self, name: str, target: TargetState) -> None:
        """Say which state is wanted; the pods get there by themselves."""
        origin = await self._origin(self._find(name))
        await self._patch(origin, {"spec": {"state": target.value.lower(), "pause": None}})

    async def restart(
        self, name: str, *, include_tasks: bool = False, only_failed: bool = False
    ) -> ConnectorStatus:
        """Restart the connector and, if asked, its tasks; returns states with RESTARTING marks."""
        options = {"includeTasks": include_tasks, "onlyFailed": only_failed}
        wish = ",".join(option for option, wanted in options.items() if wanted) or "true"
        found = await self._ask(self._find(name), RESTART, wish)
        status = status_of(found.connector)

        def restarting(state: State) -> State:
            return State.RESTARTING if not only_failed or state is State.FAILED else state

        tasks = [
            replace(task, state=restarting(task.state)) if include_tasks else task
            for task in status.tasks
        ]
        return replace(status, state=restarting(status.state), tasks=tasks)

    async def restart_task(self, name: str, task: int) -> None:
        """Restart one task."""
        found = self._find(name)
        if task not in info_of(found.connector).tasks:
            raise NotFoundError(f"Connector {name} has no task {task}")
        await self._ask(found, RESTART_TASK, str(task))

    # -- reading ---------------------------------------------------------------------------------

    def _is_ours(self, resource: Resource) -> bool:
        """Whether it is this KafkaConnect's, and not on its way out."""
        if resource["metadata"].get("deletionTimestamp"):
            return False
        connect = resource["spec"].get("connect")
        if connect is None:
            labels = resource["metadata"].get("labels") or {}
            return labels.get(CLUSTER_LABEL) == self._connect
        return (
            connect["name"] == self._connect
            and connect.get("namespace", self._namespace) == self._namespace
        )

    def _find(self, name: str) -> _Found:
        resources = self._mirror.resources
        likely = resources.get(resource_name(name))
        for resource in chain([likely] if likely else [], resources.values()):
            if _name(resource) == name and self._is_ours(resource):
                return _Found(self._kind, resource, _parsed(resource))
        raise NotFoundError(f"Connector {name} not found")

    # -- writing ---------------------------------------------------------------------------------

    async def _origin(self, found: _Found) -> _Found:
        """Where a change has to be made: the resource itself, or Strimzi's that it is made from."""
        owner = next(
            (
                owner
                for owner in found.resource["metadata"].get("ownerReferences") or ()
                if owner["apiVersion"].startswith(_STRIMZI_GROUP) and owner.get("controller")
            ),
            None,
        )
        if owner is None:
            return found
        kind = _strimzi_resource(owner["apiVersion"])
        with _explained(found.connector.connector_name):
            resource = await self._client.get(kind, owner["name"], namespace=self._namespace)
        return _Found(kind, resource, _parsed(resource))

    async def _checked(self, name: str, config: Mapping[str, str]) -> Verdict:
        verdict = await asyncio.to_thread(
            check, name, config, None, worker=self._worker, namespace=self._namespace
        )
        if verdict.errors:
            raise ConfigErrors(verdict.errors)
        return verdict

    async def _patch(self, found: _Found, patch: Mapping[str, Any]) -> _Found:
        """Merge into the resource (RFC 7386); returns the result."""
        from lightkube.types import PatchType

        with _explained(found.connector.connector_name):
            changed = await self._client.patch(
                found.kind,
                found.cr_name,
                patch,
                namespace=self._namespace,
                patch_type=PatchType.MERGE,
                field_manager=FIELD_MANAGER,
            )
        await self._seen(changed)
        return replace(found, resource=changed, connector=_parsed(changed))

    async def _change(
        self, found: _Found, change: Callable[[_Found], Awaitable[dict[str, Any]]]
    ) -> _Found:
        """Patch what the patch was made for, or make it anew for what is there by now."""
        for _ in range(_ATTEMPTS):
            patch = await change(found)
            version = found.resource["metadata"]["resourceVersion"]
            patch["metadata"] = {**patch.get("metadata", {}), "resourceVersion": version}
            try:
                return await self._patch(found, patch)
            except ConflictError:
                with _explained(found.connector.connector_name):
                    current = await self._client.get(
                        found.kind, found.cr_name, namespace=self._namespace
                    )
                await self._seen(current)
                found = replace(found, resource=current, connector=_parsed(current))
        raise ConflictError(
            "Cannot complete request momentarily due to stale configuration (typically caused by a "
            "concurrent config change)"
        )

    async def _seen(self, resource: Resource) -> None:
        if str(resource["apiVersion"]).startswith(GROUP):
            await self._mirror.put(resource)

    async def _ask(self, found: _Found, annotation: str, wish: str) -> _Found:
        """Have the operator do something once. One wish of a kind at a time: it takes them off."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _PENDING_SECONDS

        async def change(found: _Found) -> dict[str, Any]:
            while True:
                known = self._mirror.resources.get(found.cr_name, found.resource)
                pending = (known["metadata"].get("annotations") or {}).get(annotation)
                if pending in (None, wish):
                    return {"metadata": {"annotations": {annotation: wish}}}
                if loop.time() >= until:
                    raise ConflictError(
                        "Cannot complete request because of a conflicting operation: the operator "
                        f"has not yet taken up {annotation}: {pending}"
                    )
                await self._mirror.change(until - loop.time())

        return await self._change(found, change)

    async def _occupied(self, name: str, cr_name: str) -> ConnectError:
        """Why there cannot be a resource of that name."""
        try:
            there = await self._client.get(self._kind, cr_name, namespace=self._namespace)
        except Exception as error:
            if status_code(error) == 404:
                return ConflictError(f"The KafkaConnector {cr_name} was just deleted.")
            raise
        if there["metadata"].get("deletionTimestamp"):
            return ConflictError(
                f"The connector {name} is still being deleted.", fix="Try again in a moment."
            )
        if _name(there) == name and self._is_ours(there):
            return AlreadyExistsError(f"Connector {name} already exists")
        return ConflictError(
            f"The namespace {self._namespace} has a KafkaConnector {cr_name} already: the connector"
            f" {_name(there)}, which is not of the KafkaConnect {self._connect}.",
            fix="Give the new connector another name.",
        )

    async def _withheld(
        self, config: Mapping[str, str], passwords: frozenset[str], resource: str, salt: str
    ) -> Withheld:
        kinds = provider_kinds(self._worker.props)
        provider = next(name for name, kind in kinds.items() if kind is Kind.SECRET)
        return await asyncio.to_thread(
            withheld, config, passwords, resource=resource, salt=salt, provider=provider
        )

    async def _keep(self, kept: Withheld, owner: Resource) -> None:
        """Make the Secret, which goes when its owner goes; the same one may be there already."""
        from lightkube.models.meta_v1 import ObjectMeta, OwnerReference
        from lightkube.resources.core_v1 import Secret

        metadata = owner["metadata"]
        reference = OwnerReference(
            apiVersion=owner["apiVersion"],
            kind=owner["kind"],
            name=metadata["name"],
            uid=metadata["uid"],
        )
        secret = Secret(
            metadata=ObjectMeta(
                name=kept.secret,
                namespace=self._namespace,
                labels={MANAGED_BY_LABEL: FIELD_MANAGER},
                ownerReferences=[reference],
            ),
            immutable=True,
            stringData=dict(kept.data),
        )
        with _explained(metadata["name"]):
            try:
                await self._client.create(secret, field_manager=FIELD_MANAGER)
            except Exception as error:
                if status_code(error) != 409:
                    raise


def _strimzi_resource(api_version: str) -> Any:
    from lightkube.generic_resource import create_namespaced_resource

    version = api_version.removeprefix(_STRIMZI_GROUP)
    return create_namespaced_resource(
        _STRIMZI_GROUP.rstrip("/"), version, KAFKA_CONNECTOR, "kafkaconnectors"
    )


def _name(resource: Resource) -> str:
    """The connector's name, without parsing all of the resource."""
    return resource["spec"].get("name") or resource["metadata"]["name"]


def _parsed(resource: Resource) -> KafkaConnector:
    try:
        return KafkaConnector.model_validate(resource)
    except pydantic.ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
        )
        raise ConnectError(
            f"The KafkaConnector {resource['metadata']['name']} is not what this version of"
            f" Coracle understands: {problems}"
        ) from None  # the cause quotes values, secrets perhaps


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Say what a refusal of the API server means for a connector.

    Raises:
        NotFoundError: the resource is gone.
        ConflictError: somebody else has changed it.
        ConfigError: a rule of the cluster, such as an admission webhook, does not allow it.
        ConnectError: anything else.
    """
    try:
        yield
    except ConnectError:
        raise
    except Exception as error:
        text = str(error) or type(error).__name__
        match status_code(error):
            case 404:
                raise NotFoundError(f"Connector {name} not found") from error
            case 409:
                raise ConflictError.changed(name) from error
            case 400 | 422:
                raise ConfigError(f"Kubernetes refuses the connector {name}: {text}") from error
            case 401 | 403:
                raise ConnectError(
                    f"Kubernetes does not let this api change the connector {name}: {text}",
                    fix="The api's service account needs the rights that the operator gives it.",
                ) from error
            case _:
                raise ConnectError(
                    f"The Kubernetes API did not do what the connector {name} needs: {text}",
                    fix="Try again.",
                ) from error
