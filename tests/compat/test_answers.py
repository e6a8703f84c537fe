"""What the functions under lazynwb's names answer, measured against h5py, pandas and polars in memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pytest

from nwb_dask.compat import lazynwb
from nwb_dask.errors import PathNotFoundError

TRIALS = "/intervals/trials"


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return two sessions, the second of which has a series and a note more."""
    folder = tmp_path_factory.mktemp("sessions")
    found = [folder / "a.nwb", folder / "b.nwb"]
    for number, path in enumerate(found):
        write_session(path, number)
    return found


def write_session(path: Path, number: int) -> None:
    text = h5py.string_dtype()
    with h5py.File(path, "w") as file:
        file.attrs.update({"neurodata_type": "NWBFile", "namespace": "core", "nwb_version": "2.7.0"})
        file["identifier"], file["session_description"] = path.stem, "a session"
        file["session_start_time"] = "2024-01-02T03:04:05+00:00"
        general = file.create_group("general")
        general["session_id"] = f"session {number}"
        general["experimenter"] = np.array(["Doe, J."], text)
        for kind, name, columns in (
            ("TimeIntervals", TRIALS, {"start_time": np.arange(4.0), "stop_time": np.arange(4.0) + 0.5}),
            ("Units", "/units", {"rate": np.arange(3.0) + number}),
        ):
            table = file.create_group(name)
            names = np.array([*columns, *(["spike_times"] if name == "/units" else [])], text)
            table.attrs.update({"neurodata_type": kind, "namespace": "core", "colnames": names, "description": "."})
            for column, values in ({"id": np.arange(len(next(iter(columns.values()))))} | columns).items():
                table[column] = values
        units = file["units"]
        spikes = units.create_dataset("spike_times", data=np.array([0.1, 0.2, 1.1, 2.2, 3.3]))
        index = units.create_dataset("spike_times_index", data=np.array([2, 2, 5]))
        index.attrs.update({"neurodata_type": "VectorIndex", "namespace": "hdmf-common", "target": spikes.ref})
        series = file.create_group("acquisition/speed")
        series.attrs.update({"neurodata_type": "TimeSeries", "namespace": "core", "description": "of the wheel"})
        data = series.create_dataset("data", data=np.arange(50, dtype=np.int16), chunks=(10,), compression="gzip")
        data.attrs.update({"unit": "m/s", "conversion": 0.5, "resolution": -1.0})
        if number:
            series["timestamps"] = np.arange(50) / 5.0
            series["timestamps"].attrs["unit"] = "seconds"
        else:
            series.create_dataset("starting_time", data=2.0).attrs.update({"rate": 10.0, "unit": "seconds"})


# --- config and environment


def test_config_decides_what_frames_are(sessions: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(lazynwb.get_df(sessions[0], TRIALS), pd.DataFrame)
    monkeypatch.setitem(lazynwb.config.__dict__, "use_polars", True)
    assert isinstance(lazynwb.get_df(sessions[0], TRIALS), pl.DataFrame)
    assert isinstance(lazynwb.get_metadata_df(sessions), pl.DataFrame)
    assert isinstance(lazynwb.get_df(sessions[0], TRIALS, as_polars=False), pd.DataFrame)


def test_config_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAZYNWB_USE_POLARS", "yes")
    monkeypatch.setenv("LAZYNWB_FILE_IO_ANON", "true")
    monkeypatch.setenv("LAZYNWB_FSSPEC_STORAGE_OPTIONS", '{"key": "k"}')
    config = lazynwb.Config()
    assert (config.use_polars, config.anon, config.fsspec_storage_options) == (True, True, {"key": "k"})
    assert "'k'" not in repr(config)


def test_config_has_no_other_settings() -> None:
    with pytest.raises(AttributeError, match="use_polar'"):
        lazynwb.Config(use_polar=True)


def test_a_setting_that_changes_nothing_says_so() -> None:
    with pytest.warns(UserWarning, match="use_remfile changes nothing"):
        lazynwb.Config(use_remfile=False)


def test_dotenv_sets_what_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["# a comment", "export SIDE_A='one # two'", "SIDE_B=three # four", "SIDE_C=new", "no line"]
    (tmp_path / ".env").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    for name in ("SIDE_A", "SIDE_B"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("SIDE_C", "old")
    lazynwb.load_dotenv()
    assert [os.environ[name] for name in ("SIDE_A", "SIDE_B", "SIDE_C")] == ["one # two", "three", "old"]


# --- Files


def test_a_file_is_used_as_one_of_h5py(sessions: list[Path]) -> None:
    ours: Any
    with h5py.File(sessions[1]) as file, lazynwb.FileAccessor(sessions[1]) as ours:
        assert sorted(ours) == sorted(file)
        assert list(ours["/units"].keys()) == list(file["units"])
        assert ours["units/spike_times"][1:4].tolist() == file["units/spike_times"][1:4].tolist()
        assert ours["acquisition"]["speed/data"][[0, 3]].tolist() == file["acquisition/speed/data"][[0, 3]].tolist()
        assert ours["identifier"][()] == file["identifier"][()]
        assert ours["identifier"].asstr()[()] == file["identifier"].asstr()[()]
        stored = ours["acquisition/speed/data"]
        assert (stored.shape, stored.chunks, stored.dtype) == ((50,), (10,), np.dtype(np.int16))
        assert (stored.compression, stored.compression_opts) == ("gzip", 4)
        assert dict(stored.attrs) == dict(file["acquisition/speed/data"].attrs)
        assert "trials" in ours
        assert "nowhere" not in ours
        assert ours.get("nowhere", 7) == 7
        assert lazynwb.is_group(ours["units"])
        assert not lazynwb.is_group(stored)
        with pytest.raises(KeyError):
            ours["nowhere"]


def test_paths_of_a_file_are_its_tables_and_series(sessions: list[Path]) -> None:
    assert sorted(lazynwb.get_internal_paths(sessions[0])) == ["/acquisition/speed", TRIALS, "/units"]
    info = lazynwb.get_internal_path_info(sessions[0], include_child_datasets=True)
    assert info["/acquisition/speed/data"]["shape"] == (50,)
    assert [path for path, facts in info.items() if facts["is_timeseries"]] == ["/acquisition/speed"]


# --- Attributes


def test_attributes_are_those_of_h5py(sessions: list[Path]) -> None:
    with h5py.File(sessions[0]) as file:
        wanted = {name: _plain(value) for name, value in file["units"].attrs.items() if name != "namespace"}
        assert lazynwb.get_attrs(sessions[0], "units") == wanted
        every = lazynwb.get_attrs(sessions[0], "/units/spike_times_index", exclude_private=False)
        assert every["target"] == file[file["units/spike_times_index"].attrs["target"]].name
    with pytest.raises(PathNotFoundError):
        lazynwb.get_attrs(sessions[0], "/nowhere")


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def test_attributes_below_a_path_leave_out_indexes(sessions: list[Path]) -> None:
    found = lazynwb.get_sub_attrs(sessions[0], "/units")
    assert {path.rpartition("/")[2] for path in found} == {"units"}
    assert set(lazynwb.get_sub_attrs(sessions[0], "/acquisition")) == {
        f"acquisition/speed{name}" for name in ("", "/data", "/starting_time")
    }
    assert lazynwb.get_sub_attrs(sessions[0], "/nowhere") == {}


def test_attributes_of_many_files_are_the_common_ones_and_those_that_differ(tmp_path: Path) -> None:
    files = []
    for number, unit in enumerate(("m/s", "m/s", "cm/s")):
        write_session(tmp_path / f"{number}.nwb", 0)
        with h5py.File(tmp_path / f"{number}.nwb", "a") as file:
            file["acquisition/speed/data"].attrs["unit"] = unit
        files.append(str(tmp_path / f"{number}.nwb"))
    found = lazynwb.consolidate_attrs(files, "/acquisition/speed/data")["acquisition/speed/data"]
    assert found["unit"] == {"common": "m/s", files[2]: "cm/s"}
    assert found["conversion"] == {"common": 0.5}


# --- Series


@pytest.mark.parametrize("number", [0, 1])
def test_series_has_what_h5py_has(sessions: list[Path], number: int) -> None:
    series = lazynwb.get_timeseries(sessions[number], "speed")
    with h5py.File(sessions[number]) as file:
        data = file["acquisition/speed/data"]
        times = np.arange(50) / 10.0 + 2.0 if number == 0 else file["acquisition/speed/timestamps"][:]
        assert series.data[5:9].tolist() == data[5:9].tolist()
        assert series.timestamps[5:9].tolist() == times[5:9].tolist()
        assert np.asarray(series.timestamps).tolist() == times.tolist()
        facts = (series.unit, series.conversion, series.resolution, series.offset, series.timestamps_unit)
        assert facts == ("m/s", 0.5, -1.0, None, "seconds")
        assert (series.starting_time, series.description) == (times[0], "of the wheel")
        assert series.rate == (10.0 if number == 0 else None)
    with pytest.raises(AttributeError, match="electrode"):
        _ = series.electrodes


def test_series_are_found_by_a_part_of_their_path(sessions: list[Path]) -> None:
    assert list(lazynwb.get_timeseries(sessions[0], match_all=True)) == ["/acquisition/speed"]
    assert isinstance(lazynwb.get(sessions[0], "speed"), lazynwb.TimeSeries)
    frame = lazynwb.get(sessions[0], "/acquisition/speed", as_df=True)
    assert isinstance(frame, pd.DataFrame)
    assert frame["data"].tolist() == list(range(50))
    with pytest.raises(PathNotFoundError):
        lazynwb.get_timeseries(sessions[0], "spee", exact_path=True)
    with pytest.raises(ValueError, match="search_term"):
        lazynwb.get_timeseries(sessions[0])


@pytest.fixture
def below_table(tmp_path: Path) -> Path:
    """Return a file with a series inside a table, as images that a PlaneSegmentation refers to are."""
    path = tmp_path / "below.nwb"
    write_session(path, 0)
    with h5py.File(path, "a") as file:
        file.copy("acquisition/speed", "units/reference_images/speed_below")
    return path


def test_series_below_a_table_is_a_series(below_table: Path) -> None:
    where = "/units/reference_images/speed_below"
    found = lazynwb.get(below_table, where, exact_path=True)
    assert isinstance(found, lazynwb.TimeSeries)
    assert found.data[:3].tolist() == [0, 1, 2]
    assert where in lazynwb.get_timeseries(below_table, match_all=True)


def test_series_below_a_table_is_not_written_as_a_table(below_table: Path, tmp_path: Path) -> None:
    written = lazynwb.convert_nwb_tables(below_table, tmp_path / "out", disable_progress=True)
    assert sorted(written) == ["/general", TRIALS, "/units"]
    assert "speed_below" not in lazynwb.get_sql_context(below_table, exclude_timeseries=True).tables()
    assert "speed_below" in lazynwb.get_sql_context(below_table).tables()


# --- Spikes


def test_spikes_in_intervals_are_those_that_numpy_finds(sessions: list[Path]) -> None:
    units: Any = lazynwb.get_df(sessions, "units", as_polars=True)
    bounds = {"early": (pl.col("start_time"), pl.col("start_time") + 0.15)}
    found = lazynwb.get_spike_times_in_intervals(units, bounds, apply_obs_intervals=False, as_polars=True)
    wanted = []
    for path in sessions:
        with h5py.File(path) as file:
            times, ends = file["units/spike_times"][:], file["units/spike_times_index"][:]
            for row in np.split(times, ends[:-1]):
                wanted += [row[(row >= t) & (row < t + 0.15)].tolist() for t in file[f"{TRIALS}/start_time"][:]]
    assert found["early"].to_list() == wanted


@pytest.mark.parametrize("condition", ["start_time > 99", pl.col("start_time") > 99])
def test_no_interval_gives_no_spikes(sessions: list[Path], condition: Any) -> None:
    units: Any = lazynwb.get_df(sessions, "units", as_polars=True)
    bounds = {"early": (pl.col("start_time"), pl.col("stop_time"))}
    more: Any
    for more in ({}, {"as_counts": True}, {"keep_only_necessary_cols": True}):
        found = lazynwb.get_spike_times_in_intervals(
            units,
            bounds,
            intervals_df_filter=condition,
            apply_obs_intervals=False,
            as_polars=True,
            **more,
        )
        assert found.shape[0] == 0
        assert {"early", "_nwb_path", "_units_table_index", "_intervals_table_index"} <= set(found.columns)


# --- Conversion and SQL


@pytest.mark.parametrize(("kind", "suffix"), [("parquet", "parquet"), ("arrow", "arrow"), ("json", "json")])
def test_tables_read_back_from_a_folder_are_those_of_the_files(
    sessions: list[Path], tmp_path: Path, kind: Any, suffix: str
) -> None:
    written = lazynwb.convert_nwb_tables(sessions, tmp_path, output_format=kind, disable_progress=True)
    assert sorted(written) == ["/general", TRIALS, "/units"]
    assert sorted(one.name for one in tmp_path.iterdir()) == [f"{n}.{suffix}" for n in ("general", "trials", "units")]
    readers: dict[str, Any] = {"parquet": pl.read_parquet, "arrow": pl.read_ipc, "json": pl.read_json}
    read = readers[kind](written["/units"])
    assert read["rate"].to_list() == [0.0, 1.0, 2.0, 1.0, 2.0, 3.0]
    assert read["spike_times"].to_list() == [[0.1, 0.2], [], [1.1, 2.2, 3.3]] * 2
    assert read["_nwb_path"].to_list() == [str(path) for path in sessions for _ in range(3)]


def test_tables_without_lists_go_into_csv(sessions: list[Path], tmp_path: Path) -> None:
    written = lazynwb.convert_nwb_tables(
        sessions, tmp_path, output_format="csv", exclude_array_columns=True, full_path=True, separator=";"
    )
    assert pd.read_csv(written[TRIALS], sep=";")["start_time"].tolist() == [0.0, 1.0, 2.0, 3.0] * 2
    assert written[TRIALS].name == "intervals_trials.csv"


def test_one_folder_for_each_session(sessions: list[Path], tmp_path: Path) -> None:
    written = lazynwb.convert_nwb_tables(sessions, tmp_path, session_subdirs=True)
    for number in (0, 1):
        rates = pl.read_parquet(written[f"session {number}/units"])["rate"].to_list()
        assert rates == [0.0 + number, 1.0 + number, 2.0 + number]


def test_tables_of_few_files_are_left_out(sessions: list[Path], tmp_path: Path) -> None:
    with h5py.File(sessions[0]) as file, h5py.File(tmp_path / "c.nwb", "w") as other:
        for name in ("identifier", "general", "session_start_time", "session_description"):
            file.copy(name, other)
        other.attrs.update(dict(file.attrs))
    files = [*sessions, tmp_path / "c.nwb"]
    assert sorted(lazynwb.convert_nwb_tables(files, tmp_path / "out", min_file_count=3)) == ["/general"]
    with pytest.raises(ValueError, match="xlsb"):
        lazynwb.convert_nwb_tables(files, tmp_path / "out", output_format="xlsb")  # type: ignore[arg-type]  # on purpose


def test_a_file_whose_table_is_elsewhere_costs_the_others_nothing(sessions: list[Path], tmp_path: Path) -> None:
    linked = tmp_path / "linked.nwb"
    with h5py.File(sessions[0]) as file, h5py.File(linked, "w") as other:
        for name in ("identifier", "general", "session_start_time", "session_description"):
            file.copy(name, other)
        other.attrs.update(dict(file.attrs))
        other["units"] = h5py.ExternalLink(str(sessions[1]), "/units")
    with pytest.warns(UserWarning, match=r"linked\.nwb"):
        read = lazynwb.scan_nwb([linked, sessions[1]], "/units", ignore_errors=True).collect()
    assert read["rate"].to_list() == [1.0, 2.0, 3.0]
    written = lazynwb.convert_nwb_tables([linked, sessions[1]], tmp_path / "out")
    assert pl.read_parquet(written["/units"])["rate"].to_list() == [1.0, 2.0, 3.0]


def test_sql_answers_as_polars_does_in_memory(sessions: list[Path]) -> None:
    context = lazynwb.get_sql_context(sessions, disable_progress=True)
    assert {"session", "trials", "units", "speed"} <= set(context.tables())
    query = "SELECT rate, count(*) AS n FROM units GROUP BY rate ORDER BY rate"
    rates = []
    for path in sessions:
        with h5py.File(path) as file:
            rates += file["units/rate"][:].tolist()
    wanted = pl.SQLContext(units=pl.DataFrame({"rate": rates})).execute(query, eager=True)
    assert context.execute(query, eager=True).equals(wanted)
    assert set(lazynwb.get_sql_context(sessions, table_names=["units"]).tables()) == {"units"}
    full = lazynwb.get_sql_context(sessions, full_path=True, exclude_timeseries=True).tables()
    assert {"intervals/trials", "units", "session"} <= set(full)
    assert "acquisition/speed" not in full
    with pytest.raises(ValueError, match="nothing"):
        lazynwb.get_sql_context(sessions, table_names=["nothing"])
