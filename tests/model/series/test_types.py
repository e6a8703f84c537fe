"""Types of series: the core schema as pynwb has it, and what the specifications in a file add."""

from __future__ import annotations

import json

import pytest
from pynwb import get_type_map

from nwb_dask.model.series.types import (
    BASE,
    OTHER_TYPES,
    SERIES_PARENTS,
    ancestry_type,
    core_type,
    is_a,
    is_core,
    parse_types,
)


def hierarchy(name: str) -> tuple[str, ...]:
    catalog = get_type_map().namespace_catalog
    for namespace in ("core", "hdmf-common"):
        if name in catalog.get_types("") or name in catalog.get_namespace(namespace).get_registered_types():
            return tuple(catalog.get_hierarchy(namespace, name))
    raise AssertionError(name)


def registered() -> set[str]:
    catalog = get_type_map().namespace_catalog
    return {name for space in ("core", "hdmf-common") for name in catalog.get_namespace(space).get_registered_types()}


def test_series_types_and_their_parents_are_those_of_pynwbs_schema() -> None:
    found = {name: hierarchy(name)[1] for name in registered() if BASE in hierarchy(name)[1:]}
    assert dict(SERIES_PARENTS) == found
    assert len(found) == 21


def test_every_other_type_of_the_schema_is_known_to_be_no_series() -> None:
    others = {name for name in registered() if BASE not in hierarchy(name)}
    assert others <= OTHER_TYPES
    assert not OTHER_TYPES & {BASE, *SERIES_PARENTS}
    assert all(core_type(name, {}) is None for name in others)


@pytest.mark.parametrize("name", ["TimeSeries", *SERIES_PARENTS])
def test_a_series_type_of_the_core_is_itself_and_descends_from_all_its_ancestors(name: str) -> None:
    assert core_type(name, {}) == name
    assert is_core(name)
    assert [other for other in ["TimeSeries", *SERIES_PARENTS] if is_a(name, other)] == [
        other for other in ["TimeSeries", *SERIES_PARENTS] if other in hierarchy(name)
    ]


def test_an_extension_type_is_the_first_core_type_that_it_descends_from() -> None:
    parents = {"TetrodeSeries": "ElectricalSeries", "Octrode": "TetrodeSeries", "Lab": "LabMetaData", "Alone": ""}
    assert core_type("Octrode", parents) == "ElectricalSeries"
    assert core_type("Lab", parents) is None
    assert core_type("Alone", parents) is None
    assert core_type("Absent", parents) is None


def test_types_that_extend_each_other_in_a_ring_are_no_series() -> None:
    assert core_type("A", {"A": "B", "B": "A"}) is None


def test_an_extension_cannot_redefine_a_type_of_the_core() -> None:
    assert core_type("LFP", {"LFP": "TimeSeries"}) is None
    assert core_type("ElectricalSeries", {"ElectricalSeries": "LabMetaData"}) == "ElectricalSeries"


def test_the_last_series_type_of_an_ancestry_is_the_type() -> None:
    assert ancestry_type(["TimeSeries", "ImageSeries", "TwoPhotonSeries"]) == "TwoPhotonSeries"
    assert ancestry_type(["TimeSeries", "MySeries"]) == "TimeSeries"
    assert ancestry_type(["Interface"]) is None


def test_types_are_parsed_wherever_they_are_defined_in_old_and_new_spelling() -> None:
    spec = {
        "groups": [
            {"neurodata_type_def": "A", "neurodata_type_inc": "TimeSeries", "groups": [{"data_type_def": "B"}]},
            {"neurodata_type_inc": "Device"},
        ],
        "datasets": [{"data_type_def": "C", "data_type_inc": "VectorData", "datasets": [{"neurodata_type_def": "D"}]}],
    }
    assert parse_types(json.dumps(spec)) == {"A": "TimeSeries", "B": "", "C": "VectorData", "D": ""}


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "null", "3", '"groups"', '{"groups": 3}', '{"groups": [3, null, [[]]]}', '{"groups": {"a": "b"}}',
        pytest.param("[" * 10**5, id="deeper than Python recurses"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_specification_defines_no_types(text: str) -> None:
    assert parse_types(text) == {}


def test_a_specification_nested_without_end_is_parsed_to_a_depth() -> None:
    spec: dict[str, object] = {"neurodata_type_def": "Deepest"}
    for depth in range(200):
        spec = {"neurodata_type_def": f"T{depth}", "groups": [spec]}
    found = parse_types(json.dumps(spec))
    assert "T199" in found
    assert "Deepest" not in found


def test_a_specification_too_large_to_be_one_is_not_parsed() -> None:
    small = json.dumps({"groups": [{"neurodata_type_def": "A"}]})
    assert parse_types(small) == {"A": ""}
    assert parse_types(small + " " * (9 << 20)) == {}
