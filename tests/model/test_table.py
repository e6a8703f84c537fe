from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from nwb_dask.index import (
    ArrayEntry,
    AttributeValue,
    ElementType,
    FileIndex,
    FilePath,
    GroupEntry,
    Identity,
    Link,
    Reference,
    Source,
    Url,
    join,
)
from nwb_dask.model import Table, build_table, find_tables, table_kind

FLOAT = ElementType("float", np.dtype("f8"))
INT = ElementType("int", np.dtype("i8"))
UINT = ElementType("uint", np.dtype("u1"))
TEXT = ElementType("string")
SOURCE = Source(Url("/a.nwb"), Identity("size", "", 1))


class Tree:
    """A file's index, put together member by member."""

    def __init__(self) -> None:
        self.groups: dict[str, GroupEntry] = {}
        self.arrays: dict[str, ArrayEntry] = {}
        self.problems: dict[str, str] = {}

    def group(self, path: str, *members: str, links: Mapping[str, Link] | None = None, **found: AttributeValue) -> None:
        self.groups[path] = GroupEntry(FilePath(path), found, members, links or {})

    def array(self, path: str, element: ElementType, *shape: int, **attributes: AttributeValue) -> None:
        self.arrays[path] = ArrayEntry(FilePath(path), element, shape, "contiguous", attributes)

    def index(self) -> FileIndex:
        return FileIndex(SOURCE, self.groups, self.arrays, self.problems)

    def table(self, path: str, names: list[str] | None = None) -> Table:
        return build_table(self.index(), path, names=names)


def units(colnames: tuple[str, ...] | None = ("spike_times", "quality")) -> Tree:
    tree = Tree()
    members = ("id", "quality", "spike_times", "spike_times_index")
    if colnames is None:
        tree.group("/units", *members, neurodata_type="Units")
    else:
        tree.group("/units", *members, neurodata_type="Units", colnames=colnames)
    tree.array("/units/id", INT, 3, neurodata_type="ElementIdentifiers")
    tree.array("/units/quality", TEXT, 3, neurodata_type="VectorData")
    tree.array("/units/spike_times", FLOAT, 10, neurodata_type="VectorData")
    target = Reference("/units/spike_times")
    tree.array("/units/spike_times_index", UINT, 3, neurodata_type="VectorIndex", target=target)
    return tree


def test_columns_come_with_id_first_and_then_in_colnames_order() -> None:
    table = units().table("/units")
    assert list(table.columns) == ["id", "spike_times", "quality"]
    assert table.n_rows == 3


def test_a_column_is_ragged_because_an_index_targets_it() -> None:
    assert units().table("/units").columns["spike_times"].field.type == pa.large_list(pa.float64())


def test_a_name_that_ends_in_index_is_an_ordinary_column() -> None:
    tree = units(("quality", "quality_index"))
    tree.group("/units", "id", "quality", "quality_index", colnames=("quality", "quality_index"))
    tree.array("/units/quality_index", INT, 3, neurodata_type="VectorData")
    table = tree.table("/units")
    assert list(table.columns) == ["id", "quality", "quality_index"]
    assert table.columns["quality"].field.type == pa.string()


def test_an_index_of_any_name_makes_its_target_ragged() -> None:
    tree = units()
    tree.group("/units", "id", "quality", "spike_times", "starts", colnames=("spike_times", "quality"))
    tree.array("/units/starts", UINT, 3, target=Reference("/units/spike_times"), neurodata_type="VectorIndex")
    del tree.arrays["/units/spike_times_index"]
    assert tree.table("/units").columns["spike_times"].field.type == pa.large_list(pa.float64())


def test_indexes_chain_to_any_depth() -> None:
    tree = units()
    tree.group("/units", *tree.groups["/units"].members, "outer", colnames=("spike_times", "quality"))
    tree.array(
        "/units/spike_times_index", UINT, 5, neurodata_type="VectorIndex", target=Reference("/units/spike_times")
    )
    tree.array("/units/outer", UINT, 3, neurodata_type="VectorIndex", target=Reference("/units/spike_times_index"))
    column = tree.table("/units").columns["spike_times"]
    assert [entry.path for entry in column.indexes] == ["/units/outer", "/units/spike_times_index"]
    assert column.field.type == pa.large_list(pa.large_list(pa.float64()))


def test_indexes_that_target_each_other_do_not_hang() -> None:
    tree = units()
    tree.array("/units/spike_times_index", UINT, 3, neurodata_type="VectorIndex", target=Reference("/units/quality"))
    tree.array("/units/quality", UINT, 3, neurodata_type="VectorIndex", target=Reference("/units/spike_times_index"))
    assert "id" in tree.table("/units").columns


def test_without_colnames_every_column_counts_and_no_index() -> None:
    assert list(units(None).table("/units").columns) == ["id", "quality", "spike_times"]


def test_empty_colnames_count_as_none_because_hdmf_writes_them_for_empty_tables() -> None:
    assert list(units(()).table("/units").columns) == ["id", "quality", "spike_times"]


def test_a_column_of_another_length_is_broken_and_harms_no_other() -> None:
    tree = units()
    tree.array("/units/quality", TEXT, 2, neurodata_type="VectorData")
    table = tree.table("/units")
    assert "2 rows, the table has 3" in table.columns["quality"].problem
    assert not table.columns["spike_times"].problem


def test_a_column_that_colnames_names_in_vain_is_broken() -> None:
    table = units(("spike_times", "depth")).table("/units")
    assert "colnames names it" in table.columns["depth"].problem


def test_only_the_columns_asked_for_are_described() -> None:
    assert list(units().table("/units", names=["quality", "no such"]).columns) == ["quality"]


def test_fixed_dimensions_become_fixed_lists() -> None:
    tree = units(("waveform_mean",))
    tree.group("/units", "id", "waveform_mean", colnames=("waveform_mean",))
    tree.array("/units/waveform_mean", FLOAT, 3, 40, 8)
    field = tree.table("/units").columns["waveform_mean"].field
    assert field.type == pa.list_(pa.list_(pa.float64(), 8), 40)
    assert field.heavy


def series(**arrays: tuple[int, ...]) -> Tree:
    tree = Tree()
    tree.group("/acquisition/lfp", *arrays, neurodata_type="ElectricalSeries")
    for name, shape in arrays.items():
        rate: dict[str, AttributeValue] = {"rate": 1250.0} if name == "starting_time" else {}
        tree.array(join("/acquisition/lfp", name), FLOAT, *shape, **rate)
    return tree


def test_a_series_with_a_rate_has_computed_timestamps() -> None:
    table = series(data=(100, 4), starting_time=()).table("/acquisition/lfp")
    assert table.n_rows == 100
    assert table.columns["timestamps"].rate == 1250.0
    assert table.columns["data"].field.type == pa.list_(pa.float64(), 4)


def test_stored_timestamps_win_over_a_rate() -> None:
    table = series(data=(100,), starting_time=(), timestamps=(100,)).table("/acquisition/lfp")
    assert table.columns["timestamps"].kind == "vector"


def test_a_series_without_timing_has_data_only() -> None:
    assert list(series(data=(100,)).table("/acquisition/lfp").columns) == ["data"]


def test_timestamps_of_another_length_are_broken_and_the_data_are_not() -> None:
    table = series(data=(100,), timestamps=(99,)).table("/acquisition/lfp")
    assert "99 rows, the table has 100" in table.columns["timestamps"].problem
    assert not table.columns["data"].problem


def test_external_images_have_timestamps_and_no_data() -> None:
    table = series(data=(0, 0, 0), timestamps=(7,)).table("/acquisition/lfp")
    assert table.n_rows == 7
    assert list(table.columns) == ["timestamps"]


def test_data_behind_an_external_link_are_broken_with_the_name_of_the_file() -> None:
    tree = Tree()
    links = {"data": Link("/data", "other.h5")}
    tree.group("/s", "data", "timestamps", links=links, neurodata_type="TimeSeries")
    tree.array("/s/timestamps", FLOAT, 4)
    table = tree.table("/s")
    assert "other.h5" in table.columns["data"].problem
    assert table.n_rows == 4


def test_text_attributes_in_arrays_of_one_count_as_text() -> None:
    tree = Tree()
    tree.group("/x", "data", neurodata_type=("TimeSeries",))
    assert table_kind(tree.index(), "/x") == "series"


def test_an_extension_type_is_known_by_its_structure() -> None:
    tree = units()
    tree.group("/units", *tree.groups["/units"].members, colnames=("quality",), neurodata_type="MyOwnTable")
    assert table_kind(tree.index(), "/units") == "dynamic"


def test_nwb_1_series_are_known_by_their_ancestry() -> None:
    tree = Tree()
    tree.group("/x", "data", ancestry=("TimeSeries", "ImageSeries"))
    assert table_kind(tree.index(), "/x") == "series"


def test_a_plain_group_is_one_row_of_its_datasets() -> None:
    tree = Tree()
    tree.group("/general", "keywords", "lab", "subject")
    tree.group("/general/subject")
    tree.array("/general/keywords", TEXT, 2)
    tree.array("/general/lab", TEXT)
    table = tree.table("/general")
    assert table.n_rows == 1
    assert {name: column.field.type for name, column in table.columns.items()} == {
        "keywords": pa.large_list(pa.string()),
        "lab": pa.string(),
    }


def test_a_compound_dataset_is_a_table_of_its_fields() -> None:
    tree = Tree()
    element = ElementType("compound", fields=(("id", INT), ("location", TEXT)))
    tree.array("/general/electrodes", element, 5, neurodata_type="ElectrodeTable")
    table = tree.table("/general/electrodes")
    assert table.n_rows == 5
    assert list(table.columns) == ["id", "location"]


def test_tables_are_found_wherever_they_sit_and_series_inside_tables_too() -> None:
    tree = units()
    tree.group("/", "units", "processing")
    tree.group("/processing/m/t", "id", colnames=("a",), neurodata_type="DynamicTable")
    tree.group("/processing/m", "t")
    assert find_tables(tree.index()) == ("/", "/processing/m/t", "/units")
