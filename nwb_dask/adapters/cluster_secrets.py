"""Secrets for the workers of a cluster, over a channel of their own: they travel in no graph and stand in no log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dask.distributed import Client, WorkerPlugin
from distributed.core import clean_exception
from distributed.protocol import pickle
from distributed.protocol.serialize import Serialize, Serialized, deserialize, to_serialize

from nwb_dask.storage import Access, export_secrets, import_secrets


class SecretsPlugin(WorkerPlugin):
    """Puts secrets into the registry of each worker, present and future."""

    def __init__(self, exported: Mapping[str, Mapping[str, str]]) -> None:
        self._exported = exported
        self.name = "nwb-dask-secrets-" + "-".join(sorted(exported))

    def setup(self, worker: Any) -> None:  # noqa: ANN401, ARG002  # distributed's interface
        """Store the secrets in the worker's process."""
        import_secrets(self._exported)

    def __repr__(self) -> str:
        return f"SecretsPlugin({self.name})"


def share_secrets(access: object) -> bool:
    """Send the secrets of `access` to the workers of the current dask client; tell whether any were sent.

    Without secrets or without a client this does nothing. Call it again after connecting to another cluster.
    """
    exported = export_secrets(access) if isinstance(access, Access) else {}
    if not exported:
        return False
    try:
        client = Client.current(allow_global=True)
    except ValueError:
        return False
    plugin = SecretsPlugin(exported)
    client.sync(_register, client, plugin)
    client.run_on_scheduler(_keep_for_later, plugin.name)
    return True


async def _register(client: Client, plugin: SecretsPlugin) -> None:
    # `Client.register_plugin` sends pickled bytes, which schedulers and workers of distributed 2026.8 write into their
    # logs at level DEBUG. What is marked to be serialized is logged by its repr, or as an object without one.
    scheduler: Any = client.scheduler
    answers = await scheduler.register_worker_plugin(plugin=to_serialize(plugin), name=plugin.name, idempotent=False)
    for answer in answers.values():
        if answer["status"] == "error":
            _, error, trace = clean_exception(answer["exception"], answer["traceback"])
            raise RuntimeError(f"{plugin!r} failed on a worker") if error is None else error.with_traceback(trace)


def _keep_for_later(name: str, dask_scheduler: Any) -> None:  # noqa: ANN401  # distributed's interface
    """Keep the plugin as bytes, which is what workers that come later can be told; that answer is in no log."""
    held = dask_scheduler.worker_plugins[name]
    if isinstance(held, Serialized):
        held = deserialize(held.header, held.frames)
    elif isinstance(held, Serialize):
        held = held.data
    if not isinstance(held, bytes):
        dask_scheduler.worker_plugins[name] = pickle.dumps(held)
