"""A session by its attributes, as pynwb's users write them."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO

import nwb_dask
from nwb_dask.adapters.browse import Session
from nwb_dask.errors import MalformedFileError, PathNotFoundError
from nwb_dask.read import records
from nwb_dask.testing.files import write_session


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_session(tmp_path_factory.mktemp("browse") / "a.nwb", n_units=3, n_trials=4, n_samples=10)


@pytest.fixture
def odd(path: Path, tmp_path: Path) -> Session:
    """A session with names that clash with methods, or that are no identifiers."""
    found = tmp_path / "odd.nwb"
    found.write_bytes(path.read_bytes())
    with h5py.File(found, "r+") as file:
        file.copy("intervals/trials", "intervals/describe")
        file.copy("intervals/trials", "processing/behavior/my trials")
        file["general/read"] = "a field called like a method"
    return nwb_dask.open_nwb(found)


def replaced(path: Path, folder: Path, name: str, value: Any) -> Path:
    """Return a copy of a file in which a dataset has another value."""
    copied = folder / "copy.nwb"
    copied.write_bytes(path.read_bytes())
    with h5py.File(copied, "r+") as file:
        if name in file:
            del file[name]
        file[name] = value
    return copied


@pytest.fixture
def session(path: Path) -> Session:
    return nwb_dask.open_nwb(path)


def test_tables_are_attributes_with_rows_and_columns(path: Path, session: Session) -> None:
    with NWBHDF5IO(str(path), "r") as io:
        file = io.read()
        for name in ("units", "trials", "electrodes"):
            found: Any = getattr(session, name)
            theirs = getattr(file, name)
            assert len(found) == found.n_rows == len(theirs)
            assert [one for one in found if one != "id"] == list(theirs.colnames)
        assert session.units.read("polars")["depth"].to_list() == list(file.units["depth"].data)
        assert session.units["depth"].read("arrow").to_pylist() == list(file.units["depth"].data)
        assert session.units.quality.read().tolist() == list(file.units["quality"].data)
    assert "depth" in session.units
    assert repr(session.units.depth) == "/units/depth: int16"
    assert session.units.depth.read("polars").name == "depth"


def test_groups_and_series_are_attributes_and_items(path: Path, session: Session) -> None:
    speed: Any = session.processing["behavior"]["running_speed"]
    assert speed.path == "/processing/behavior/running_speed"
    assert speed.describe() == session["/processing/behavior/running_speed"].describe()
    assert session.processing["behavior/running_speed"] == speed
    with h5py.File(path) as file:
        assert speed.read()["data"].tolist() == file[f"{speed.path}/data"][()].tolist()
    assert list(session.acquisition) == ["lfp"]
    assert "1250 Hz" in repr(session.acquisition["lfp"])
    assert list(session.stimulus) == []
    assert not len(session.stimulus)
    assert "no tables or series" in repr(session.stimulus)
    found: Any = session.general
    assert found.extracellular_ephys.electrodes == session.electrodes


def test_metadata_fields_are_values(session: Session) -> None:
    assert session.session_id == session.metadata["session_id"] == "session-0"
    assert session.experimenter == ["Doe, Jane", "Müller, Jörg"]
    assert session.subject.age == session.subject["age"] == "P90D"
    assert session.subject.weight is session.pharmacology is None
    assert "weight" not in session.subject
    assert dict(session.subject) == session.metadata["subject"]
    assert "P90D" in repr(session.subject)


def test_attributes_read_nothing_until_they_are_asked_for_values(path: Path) -> None:
    session = nwb_dask.open_nwb(path)
    with nwb_dask.trace() as trace:
        for found in (session.units, session.units.spike_times, session.acquisition["lfp"], session.processing):
            assert repr(found)
        assert {"units", "trials", "session_id", "subject", "acquisition"} <= set(dir(session))
        assert session.subject is not None
        assert not hasattr(session, "shape")
        assert not hasattr(session, "epochs")
    assert trace.requests == 0


def test_metadata_is_read_once(path: Path) -> None:
    session = nwb_dask.open_nwb(path)
    with nwb_dask.trace() as trace:
        assert session.identifier
    assert trace.requests
    with nwb_dask.trace() as trace:
        assert session.lab
        assert session.subject.sex == "F"
    assert trace.requests == 0


def test_completion_lists_what_is_there_and_nothing_else(session: Session) -> None:
    names = dir(session)
    assert {"units", "trials", "electrodes", "processing", "lab", "read"} <= set(names)
    assert not {"epochs", "invalid_times", "sweep_table"} & set(names)
    assert all(name.isidentifier() for name in names)
    assert {"depth", "spike_times", "read"} <= set(dir(session.units))
    assert {"running_speed", "names"} <= set(dir(session.processing["behavior"]))
    assert {"age", "sex", "weight"} <= set(dir(session.subject))


def test_names_that_clash_or_are_no_identifiers_are_reachable_by_path(odd: Session) -> None:
    assert odd["/processing/behavior/my trials"].n_rows == 4
    found: Any = odd.processing["behavior"]["my trials"]
    assert found.n_rows == 4
    assert callable(odd.intervals.describe)
    assert odd["/intervals/describe"] == odd.intervals["describe"]
    assert odd.metadata["read"] == "a field called like a method"
    assert odd.read("/units").shape[0] == 3
    assert "my trials" not in dir(odd.processing["behavior"])


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda s: s.unit, "nothing called 'unit' in .*; did you mean 'units'"),
        (lambda s: s.epochs, "no table /intervals/epochs in .*; the tables are /"),
        (lambda s: s.units.dept, "no column 'dept' in /units of .*; did you mean 'depth'"),
        (lambda s: s.acquisition.lpf, "nothing at /acquisition/lpf of .*; did you mean 'lfp'"),
        (lambda s: s.subject.agee, "no field 'agee' in /general/subject of .*; did you mean 'age'"),
    ],
    ids=["session", "absent table", "table", "group", "subject"],
)
def test_attributes_that_are_not_there_say_what_may_be_meant(session: Session, ask: Any, message: str) -> None:
    with pytest.raises(AttributeError, match=message):
        ask(session)


def test_items_that_are_not_there_are_not_found(session: Session) -> None:
    for ask in (lambda: session["/nothing"], lambda: session.units["nothing"], lambda: session.processing["nothing"]):
        with pytest.raises(PathNotFoundError, match="nothing"):
            ask()


def test_a_field_that_cannot_be_read_is_an_error_where_it_is_asked_for(path: Path, tmp_path: Path) -> None:
    session = nwb_dask.open_nwb(replaced(path, tmp_path, "general/lab", np.bytes_(b"\xff")))
    assert session.session_id == "session-0"
    with pytest.raises(MalformedFileError, match="lab"):
        session.lab  # noqa: B018  # the error is wanted


def test_describe_has_metadata_tables_and_series(session: Session) -> None:
    found: Any = session.describe()
    assert set(found) == {"file", "nwb_version", "metadata", "tables", "series"}
    assert found["metadata"]["subject"]["sex"] == "F"
    assert set(found["tables"]) == set(session.tables)
    assert found["tables"]["/units"]["n_rows"] == 3
    assert found["tables"]["/units"]["columns"]["depth"] == "int16"
    assert found["series"]["/acquisition/lfp"]["neurodata_type"] == "ElectricalSeries"


def test_a_session_and_its_parts_can_be_copied(session: Session) -> None:
    assert copy.copy(session).units == session.units
    assert copy.copy(session.units).path == "/units"
    assert copy.copy(session.processing).names == ("behavior",)


def test_a_session_and_its_parts_travel_to_other_processes_and_folders(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(path.parent)
    session = nwb_dask.open_nwb(path.name)
    assert session.session_id == "session-0"
    parts = [session, session.units, session.processing, session.subject, session.units.depth]
    monkeypatch.chdir(tmp_path)
    for travel in (lambda one: pickle.loads(pickle.dumps(one)), copy.deepcopy, copy.copy):
        again, units, processing, subject, depth = map(travel, parts)
        assert again.units == units == session.units
        assert processing["behavior"].names == session.processing["behavior"].names
        assert subject.age == session.subject.age
        assert depth.read().tolist() == session.units.depth.read().tolist()


def test_what_was_opened_with_secrets_is_copied_and_not_pickled(path: Path) -> None:
    session = nwb_dask.open_nwb(path, storage_options={"key": "k", "secret": "hush"})
    for one in (session, session.units, session.processing, session.subject, session.units.depth):
        assert repr(copy.deepcopy(one)) == repr(copy.copy(one)) == repr(one)
        with pytest.raises(TypeError, match="secrets"):
            pickle.dumps(one)


def test_a_session_is_asked_for_paths_and_lists_them(session: Session) -> None:
    assert list(session) == list(session.contents)
    assert "/units" in session
    assert "units" in session
    assert "/nothing" not in session
    assert 5 not in session
    ask: Any
    for ask in (session, session.units, session.processing):
        with pytest.raises(TypeError, match="not by 5"):
            ask[5]
    with pytest.raises(PathNotFoundError, match="it is a group with /processing/behavior/running_speed"):
        session["/processing"]
    with pytest.raises(PathNotFoundError, match="did you mean '/units'"):
        session["unit"]


def test_a_field_of_the_subject_that_cannot_be_read_is_an_error_too(path: Path, tmp_path: Path) -> None:
    subject = nwb_dask.open_nwb(replaced(path, tmp_path, "general/subject/age", np.bytes_(b"\xff"))).subject
    assert subject.sex == "F"
    with pytest.raises(MalformedFileError, match="/general/subject/age cannot be read"):
        subject.age  # noqa: B018  # the error is wanted
    with pytest.raises(MalformedFileError, match="/general/subject/age cannot be read"):
        subject["age"]


def test_lists_of_metadata_may_be_changed_without_changing_what_is_read_next(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "is_settled", lambda _: True)
    copied = replaced(path, tmp_path, "general/subject/pairs", [[1, 2], [3, 4]])
    expected = nwb_dask.read_metadata(copied, "arrow")
    session: Any = nwb_dask.open_nwb(copied)
    session.experimenter.append("nobody")
    session.subject.pairs[0].append(5)
    assert nwb_dask.read_metadata(copied, "arrow").equals(expected)
    assert "nobody" not in nwb_dask.open_nwb(copied).metadata["experimenter"]  # type: ignore[operator]  # a list
