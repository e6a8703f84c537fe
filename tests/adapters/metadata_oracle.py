"""What h5py and pynwb say of the metadata of a file, by the names of the columns of `read_metadata`."""

from __future__ import annotations

import warnings
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from pynwb import NWBHDF5IO, TimeSeries

GROUPS = ("/", "/general", "/general/subject")
LISTS = {"file_create_date", "experimenter", "keywords", "related_publications"}
DATES = {"session_start_time", "timestamps_reference_time", "file_create_date", "date_of_birth"}
_OTHER_NAMES = {"stimulus_notes": "stimulus"}


def stored(path: Path) -> dict[str, Any]:
    """Return every dataset of the three groups as h5py reads it: text as `str`, arrays as nested lists."""
    found: dict[str, Any] = {}
    with h5py.File(path) as file:
        for group in GROUPS:
            if isinstance(file.get(group, getlink=True) if group != "/" else None, h5py.ExternalLink):
                continue
            members = file.get(group, {})
            for name in members:
                link = members.get(name, getlink=True)
                item = None if isinstance(link, h5py.ExternalLink) else members[name]
                if isinstance(item, h5py.Dataset):
                    found[column(group, name)] = plain(item[()])
        version = file.attrs.get("nwb_version")
        if version is not None:
            found.setdefault("nwb_version", plain(version))
    return found


def column(group: str, name: str) -> str:
    """Return the column of a field, where no name is taken twice."""
    return f"subject_{name}" if group.endswith("subject") and not name.startswith("subject_") else name


def plain(value: Any) -> Any:
    """Return text as `str` and arrays as lists."""
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in (value.tolist() if isinstance(value, np.ndarray) else value)]
    return value.item() if isinstance(value, np.generic) else value


def shown(path: Path) -> dict[str, Any] | None:
    """Return every field of the session and its subject that pynwb shows; None if it does not open the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            io = NWBHDF5IO(str(path), "r")
            file = io.read()
        except Exception:  # noqa: BLE001  # whatever pynwb raises, it shows nothing
            return None
        with io:
            found = _fields(file, "/general")
            if file.subject is not None:
                found.update(_fields(file.subject, "/general/subject"))
    return found


def _fields(item: Any, group: str) -> dict[str, Any]:
    values = {}
    for name in item.__nwbfields__:
        value = getattr(item, name)
        value = value[()] if isinstance(value, h5py.Dataset) else value
        is_text = isinstance(value, str | bytes | date | float | int | np.generic | np.ndarray)
        is_list = isinstance(value, list | tuple) and not any(isinstance(one, TimeSeries) for one in value)
        if is_text or (is_list and len(value)):
            values[column(group, _OTHER_NAMES.get(name, name))] = plain(value)
    return values


def as_ours(name: str, value: Any) -> Any:
    """Return a value of an oracle as a column shows it: lists where there are lists, moments in UTC."""
    short = name.removeprefix("subject_")
    if short in LISTS and value is not None and not isinstance(value, list):
        value = [value]
    if isinstance(value, list) and len(value) == 1 and short not in LISTS | {"generated_by", "was_generated_by"}:
        value = value[0]
    return as_moment(value) if short in DATES else value


def as_moment(value: Any) -> Any:
    if isinstance(value, list):
        return [as_moment(item) for item in value]
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime(value.year, value.month, value.day, tzinfo=UTC) if isinstance(value, date) else value
