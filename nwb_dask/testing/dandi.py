"""An archive that speaks the API of DANDI, as much of it as reading needs, on two servers of this process.

::

    with DandiServer(folder) as archive:
        archive.add("000363", "sub-1/sub-1.nwb", file)
        archive.publish("000363", "0.231012.2129")
        with nwb_dask.options(dandi_api=archive.api_url), archive.api.budget(requests=3):
            nwb_dask.read_table("dandi://dandi/000363", "/units")

One server is the API, the other has the bytes and sends them only to signed links that end. Both count, delay and
fail on demand, as `RangeServer` does. Paths, parameters, fields and statuses are those of dandi-archive:
``dandiapi/urls.py`` and ``dandiapi/api/views/`` (``asset.py``, ``dandiset.py``, ``version.py``, ``serializers.py``,
``pagination.py``).
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

from nwb_dask.testing.faulty import Failure
from nwb_dask.testing.messages import Answer, Request
from nwb_dask.testing.server import RangeServer

_JSON = {"Content-Type": "application/json"}
_DRAFT = "draft"
_MOMENT = "2024-01-01T00:{:02}:{:02}.000000Z"
_ASSET = re.compile(r"(?:dandisets/(\d+)/versions/([^/]+)/)?assets/([0-9a-f-]{36})/(?:(download|info)/)?")
_ASSETS = re.compile(r"dandisets/(\d+)/versions/([^/]+)/assets/")
_DANDISET = re.compile(r"dandisets/(\d+)/")
_VERSIONS = re.compile(r"dandisets/(\d+)/versions/(?:([^/]+)/)?")


@dataclass(frozen=True, slots=True)
class Asset:
    """One asset, which never changes: another file of the same path is another asset."""

    asset_id: str
    path: str
    blob: str
    """Where its bytes are on the other server; its id is the last part."""
    size: int
    created: str
    is_zarr: bool = False


@dataclass(slots=True)
class _Dandiset:
    versions: dict[str, dict[str, Asset]] = field(default_factory=lambda: {_DRAFT: {}})
    """Version -> path -> asset, the draft first and then as they were published."""
    key: str | None = None
    """Of the owner, if it is embargoed."""


class _Api(RangeServer):
    """Answers what `reply` does, where nothing is to go wrong."""

    def __init__(self, folder: Path, reply: Callable[[Request], Answer], *, delay_seconds: float) -> None:
        super().__init__(folder, delay_seconds=delay_seconds)
        self._reply = reply

    def _answer(self, request: Request, failure: Failure | None, opened: int | None) -> Answer:
        if request.path in self._links or (failure is not None and failure.fault in {"status", "expired"}):
            return super()._answer(request, failure, opened)
        if request.method not in {"GET", "HEAD"}:
            return Answer(HTTPStatus.METHOD_NOT_ALLOWED)
        answer = self._reply(request)
        return answer if failure is None else Answer(answer.status, answer.headers, answer.body, failure)


class DandiServer:
    """An archive of dandisets while its ``with`` block lasts.

    Parameters
    ----------
    folder : Path
        Empty; links to the files are made there.
    delay_seconds : float
        Waited before each answer of both servers.
    link_seconds : float
        How long a signed link opens a file; an hour on the real one.
    page_size : int
        Most assets of one answer; 1000 on the real one.

    Attributes
    ----------
    api, storage : RangeServer
        The two servers: what was asked, budgets, faults.
    """

    def __init__(
        self, folder: Path, *, delay_seconds: float = 0.0, link_seconds: float = 3600.0, page_size: int = 1000
    ) -> None:
        self.folder = folder
        self.link_seconds = link_seconds
        self.page_size = page_size
        self.api: RangeServer = _Api(folder, self._reply, delay_seconds=delay_seconds)
        self.storage = RangeServer(folder, delay_seconds=delay_seconds)
        self._changing = threading.Lock()
        self._dandisets: dict[str, _Dandiset] = {}
        self._assets: dict[str, tuple[Asset, str]] = {}
        self._said: dict[str, bytes] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.api)
        self._stack.enter_context(self.storage)
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.close()

    @property
    def api_url(self) -> str:
        """What is ``https://api.dandiarchive.org/api`` of the real one."""
        return f"{self.api.base_url}/api"

    # --- What is in it

    def add(self, dandiset: str, path: str, file: Path, *, is_zarr: bool = False) -> str:
        """Put a file, or the folder of a Zarr store, into the draft of a dandiset, in place of what is at that path.

        Returns the id of the asset. Values of a store are sent to everybody, as from a public bucket.
        """
        blob = str(uuid.uuid4())
        place = f"zarr/{blob}" if is_zarr else f"blobs/{blob[:3]}/{blob[3:6]}/{blob}"
        (self.folder / place).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / place).symlink_to(file.resolve())
        if not is_zarr:
            self.storage.require_signature(place)
        with self._changing:
            number = len(self._assets)
            asset = Asset(
                str(uuid.uuid4()), path, place, file.stat().st_size, _MOMENT.format(*divmod(number, 60)), is_zarr
            )
            self._dandisets.setdefault(dandiset, _Dandiset()).versions[_DRAFT][path] = asset
            self._assets[asset.asset_id] = (asset, dandiset)
        return asset.asset_id

    def remove(self, dandiset: str, path: str) -> None:
        """Take an asset out of the draft; who knows its id still has it."""
        with self._changing:
            del self._dandisets[dandiset].versions[_DRAFT][path]

    def delete(self, asset_id: str) -> None:
        """Let an asset be no more, as the archive does with those that no version has had for long."""
        with self._changing:
            del self._assets[asset_id]

    def publish(self, dandiset: str, version: str) -> None:
        """Make a version of what the draft has now; the assets are the same."""
        with self._changing:
            versions = self._dandisets[dandiset].versions
            versions[version] = dict(versions[_DRAFT])

    def embargo(self, dandiset: str, key: str) -> None:
        """Show a dandiset to nobody who does not have this key."""
        with self._changing:
            self._dandisets.setdefault(dandiset, _Dandiset()).key = key

    def say(self, place: str, body: bytes) -> None:
        """Answer questions for a path below the API with this, whatever it is."""
        self._said[place] = body

    # --- Answers

    def _reply(self, request: Request) -> Answer:
        place = request.path.removeprefix("api/")
        with self._changing:
            if place in self._said:
                return Answer(HTTPStatus.OK, _JSON, self._said[place])
            if match := _ASSET.fullmatch(place):
                return self._asset(request, match[3], match[4] or "")
            if match := _ASSETS.fullmatch(place):
                return self._listing(request, match[1], match[2])
            if match := _DANDISET.fullmatch(place):
                return self._dandiset(request, match[1])
            if match := _VERSIONS.fullmatch(place):
                return self._versions(request, match[1], match[2])
            if place == "dandisets/":
                visible = [name for name in self._dandisets if self._refusal(request, name) is None]
                return self._page(request, [self._described(name) for name in sorted(visible)])
        return _detail(HTTPStatus.NOT_FOUND, "Not found.")

    def _refusal(self, request: Request, dandiset: str) -> Answer | None:
        """Return why somebody is shown nothing of a dandiset; None if it is shown."""
        said, found = request.headers.get("authorization"), self._dandisets.get(dandiset)
        keys = {f"token {one.key}" for one in self._dandisets.values() if one.key}
        if said is not None and said not in keys:
            return _detail(HTTPStatus.UNAUTHORIZED, "Invalid token.")
        if found is None:
            return _detail(HTTPStatus.NOT_FOUND, "No Dandiset matches the given query.")
        if found.key is None or said == f"token {found.key}":
            return None
        if said is None:
            return _detail(HTTPStatus.UNAUTHORIZED, "Authentication credentials were not provided.")
        return _detail(HTTPStatus.FORBIDDEN, "You do not have permission to perform this action.")

    def _dandiset(self, request: Request, dandiset: str) -> Answer:
        return self._refusal(request, dandiset) or _json(self._described(dandiset))

    def _described(self, dandiset: str) -> dict[str, object]:
        found = self._dandisets[dandiset]
        published = list(found.versions)[1:]
        return {
            "identifier": dandiset,
            "created": _MOMENT.format(0, 0),
            "modified": _MOMENT.format(0, 0),
            "contact_person": "",
            "embargo_status": "EMBARGOED" if found.key else "OPEN",
            "most_recent_published_version": self._version(dandiset, published[-1]) if published else None,
            "draft_version": self._version(dandiset, _DRAFT),
        }

    def _version(self, dandiset: str, version: str) -> dict[str, object]:
        assets = self._dandisets[dandiset].versions[version].values()
        return {
            "version": version,
            "name": f"Dandiset {dandiset}",
            "asset_count": len(assets),
            "size": sum(one.size for one in assets),
            "status": "Valid",
            "created": _MOMENT.format(0, 0),
            "modified": _MOMENT.format(0, 0),
        }

    def _versions(self, request: Request, dandiset: str, version: str | None) -> Answer:
        if refusal := self._refusal(request, dandiset):
            return refusal
        known = self._dandisets[dandiset].versions
        if version is None:
            return self._page(request, [self._version(dandiset, one) for one in known])
        if version not in known:
            return _detail(HTTPStatus.NOT_FOUND, "No Version matches the given query.")
        return _json({**self._version(dandiset, version), "metadata": {}})

    def _listing(self, request: Request, dandiset: str, version: str) -> Answer:
        if refusal := self._refusal(request, dandiset):
            return refusal
        found = self._dandisets[dandiset].versions.get(version)
        if found is None:
            return _detail(HTTPStatus.NOT_FOUND, "No Version matches the given query.")
        query, assets = request.query, list(found.values())
        if path := query.get("path"):
            exact = [one for one in assets if one.path == path]
            assets = exact or [one for one in assets if one.path.lower().startswith(path.lower())]
        if "glob" in query:
            pattern = re.compile(re.escape(query["glob"]).replace("\\*", ".*"), re.IGNORECASE)
            assets = [one for one in assets if pattern.fullmatch(one.path)]
        name, reverse = query.get("order", "created").lstrip("-"), query.get("order", "").startswith("-")
        # As a database sorts it, which is not by character.
        key: Callable[[Asset], str] = (lambda one: one.path.lower()) if name == "path" else (lambda one: one.created)
        assets.sort(key=key, reverse=reverse)
        return self._page(request, [_row(one) for one in assets])

    def _page(self, request: Request, rows: list[dict[str, object]]) -> Answer:
        query = request.query
        number, size = int(query.get("page", "1")), min(int(query.get("page_size", "100")), self.page_size)
        start, stop = (number - 1) * size, number * size
        if rows[start:] == [] and number > 1:
            return _detail(HTTPStatus.NOT_FOUND, "Invalid page.")
        following = urlencode({**query, "page": str(number + 1)})
        return _json(
            {
                "count": len(rows) if number == 1 else None,
                "next": f"{self.api.base_url}/{request.path}?{following}" if rows[stop:] else None,
                "previous": None,
                "results": rows[start:stop],
            }
        )

    def _asset(self, request: Request, asset_id: str, what: str) -> Answer:
        if asset_id not in self._assets:
            return _detail(HTTPStatus.NOT_FOUND, "No Asset matches the given query.")
        asset, dandiset = self._assets[asset_id]
        if refusal := self._refusal(request, dandiset):
            return refusal
        if what != "download" and asset.is_zarr:
            return _json({**_row(asset), **self._described_zarr(asset)})
        link = "" if asset.is_zarr else self.storage.signed_url(asset.blob, seconds=self.link_seconds)
        if what != "download":
            # Readers know the bucket by the "s3" in its name, which is a user's here.
            places = [f"{self.api_url}/assets/{asset_id}/download/", link.replace("://", "://s3@", 1)]
            return _json({**_row(asset), "contentUrl": places, "metadata": {"path": asset.path}})
        if asset.is_zarr:
            return _detail(HTTPStatus.BAD_REQUEST, "Unable to provide download link for zarr assets.")
        return Answer(HTTPStatus.FOUND, {"Location": link})

    def _described_zarr(self, asset: Asset) -> dict[str, object]:
        """Return what the metadata of a store say of its files, as they are now; the digest is none of a real one."""
        folder = self.folder / asset.blob
        files = sorted(one for one in folder.rglob("*") if one.is_file())
        sizes = [one.stat().st_size for one in files]
        told = hashlib.md5(usedforsecurity=False)
        for one in files:
            told.update(one.relative_to(folder).as_posix().encode() + one.read_bytes())
        return {
            "contentUrl": [
                f"{self.api_url}/assets/{asset.asset_id}/download/",
                f"{self.storage.base_url}/{asset.blob}/",
            ],
            "contentSize": sum(sizes),
            "digest": {"dandi:dandi-zarr-checksum": f"{told.hexdigest()}-{len(files)}--{sum(sizes)}"},
            "encodingFormat": "application/x-zarr",
        }


def _row(asset: Asset) -> dict[str, object]:
    """Return an asset as a listing has it (``AssetSerializer``, without its metadata)."""
    blob = asset.blob.rpartition("/")[2]
    return {
        "asset_id": asset.asset_id,
        "blob": None if asset.is_zarr else blob,
        "zarr": blob if asset.is_zarr else None,
        "path": asset.path,
        "size": asset.size,
        "created": asset.created,
        "modified": asset.created,
    }


def _json(fields: Mapping[str, object], status: int = HTTPStatus.OK) -> Answer:
    return Answer(status, _JSON, json.dumps(fields).encode())


def _detail(status: int, text: str) -> Answer:
    return _json({"detail": text}, status)
