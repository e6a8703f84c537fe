"""A script as the README of lazynwb 1.0.0 has it runs with its import replaced, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nwb_dask.compat import lazynwb
from tests.compat.test_answers import TRIALS, write_session

SCRIPT = """
import lazynwb
import polars as pl

df = lazynwb.get_df('my_file.nwb', '/intervals/trials')
paths = lazynwb.get_internal_paths('my_file.nwb')
ts = lazynwb.get('my_file.nwb', '/processing/behavior/running_speed', exact_path=True)
as_df = lazynwb.get('my_file.nwb', '/processing/behavior/running_speed', exact_path=True, as_df=True)
as_polars = lazynwb.get_df('my_file.nwb', '/units', as_polars=True)
some = lazynwb.get_df('my_file.nwb', '/units', include_column_names=['unit_id', 'location'])
others = lazynwb.get_df('my_file.nwb', '/units', exclude_column_names=['waveform_mean'])
every = lazynwb.get_df('my_file.nwb', '/units', exclude_array_columns=False)
trials = lazynwb.get_df(['file_1.nwb', 'file_2.nwb', 'file_3.nwb'], '/intervals/trials')

lf = lazynwb.scan_nwb('my_file.nwb', '/units')
good = (
    lf
    .filter(pl.col('presence_ratio') >= 0.9)
    .select('unit_id', 'location', 'spike_times')
    .collect()
)
nwb_paths = ['file_1.nwb', 'file_2.nwb']
of_many = (
    lazynwb.scan_nwb(nwb_paths, '/units')
    .filter(
        pl.col('amplitude_cutoff') <= 0.1,
        pl.col('isi_violations_ratio') <= 0.5,
    )
    .select('unit_id', 'location', 'spike_times', '_nwb_path')
    .collect()
)
lf = lazynwb.scan_nwb(nwb_paths, '/units', single_file_batches=True)
lf = lazynwb.scan_nwb(
    nwb_paths,
    '/units',
    infer_schema_length=5,
    schema_overrides={'unit_id': pl.Int64},
)
read = lazynwb.read_nwb(nwb_paths, '/units')

nwb = lazynwb.LazyNWB('my_file.nwb')
tables = (nwb.trials, nwb.units)
facts = (nwb.session_id, nwb.session_description, nwb.identifier, nwb.experimenter, nwb.keywords, nwb.subject.age)
polars_units = nwb.get_df('/units', as_polars=True)
result = nwb.get('/processing/behavior/running_speed', exact_path=True)
described = nwb.describe()

speed = lazynwb.get_timeseries('my_file.nwb', search_term='running_speed')
shown = (speed.data[:10], speed.timestamps[:10], speed.unit, speed.rate, speed.description)
all_ts = lazynwb.get_timeseries('my_file.nwb', match_all=True)
found = nwb.get_timeseries('running_speed')
metadata = lazynwb.get_metadata_df(nwb_paths)
path_info = lazynwb.get_internal_path_info('my_file.nwb')
schema = lazynwb.get_table_schema(nwb_paths, '/intervals/trials')

output_paths = lazynwb.convert_nwb_tables(
    nwb_paths,
    output_dir='./output',
    output_format='parquet',
)
lazynwb.convert_nwb_tables(nwb_paths, './output', output_format='parquet', compression='zstd')
lazynwb.convert_nwb_tables(nwb_paths, './output', output_format='json')
lazynwb.convert_nwb_tables(nwb_paths, './output', min_file_count=len(nwb_paths))
ctx = lazynwb.get_sql_context(nwb_paths)
sql = ctx.execute("SELECT unit_id, location FROM units WHERE presence_ratio > 0.9").collect()

from lazynwb import config

polars_by_default = config.use_polars
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for number, name in enumerate(("my_file", "file_1", "file_2", "file_3")):
        write_session(tmp_path / f"{name}.nwb", number % 2)
        with h5py.File(tmp_path / f"{name}.nwb", "a") as file:
            file.move("acquisition/speed", "processing/behavior/running_speed")
            units = file["units"]
            more: dict[str, Any] = {
                "unit_id": np.arange(3) + 10 * number,
                "location": np.array([b"CA1", b"VISp", b"CA1"]),
                "presence_ratio": np.array([0.95, 0.5, 0.99]),
                "amplitude_cutoff": np.array([0.05, 0.05, 0.2]),
                "isi_violations_ratio": np.array([0.1, 0.7, 0.1]),
                "waveform_mean": np.arange(12.0).reshape(3, 4),
            }
            for column, values in more.items():
                units[column] = values
            names = [*units.attrs["colnames"], *more]
            units.attrs["colnames"] = np.array(names, h5py.string_dtype())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_script_of_lazynwb_runs_with_its_import_replaced(folder: Path) -> None:
    script = SCRIPT.replace("import lazynwb\n", "import nwb_dask.compat.lazynwb as lazynwb\n")
    script = script.replace("from lazynwb import", "from nwb_dask.compat.lazynwb import")
    said: dict[str, Any] = {}
    exec(compile(script, "script", "exec"), said)
    assert sorted(said["paths"]) == [TRIALS, "/processing/behavior/running_speed", "/units"]
    assert said["df"]["start_time"].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert isinstance(said["ts"], lazynwb.TimeSeries)
    assert said["as_df"]["data"].tolist() == list(range(50))
    assert "spike_times" not in said["as_polars"].columns
    assert {"spike_times", "waveform_mean"} <= set(said["every"].columns)
    assert said["some"]["location"].tolist() == ["CA1", "VISp", "CA1"]
    assert len(said["trials"]) == 12
    assert said["good"]["spike_times"].to_list() == [[0.1, 0.2], [1.1, 2.2, 3.3]]
    assert said["of_many"]["unit_id"].to_list() == [10, 20]
    assert said["sql"]["unit_id"].to_list() == [10, 12, 20, 22]
    assert said["facts"][:3] == ("session 0", "a session", "my_file")
    assert said["metadata"]["identifier"].tolist() == ["file_1", "file_2"]
    assert set(said["output_paths"]) == {"/general", TRIALS, "/units"}
    assert (folder / "output" / "units.parquet").exists()
