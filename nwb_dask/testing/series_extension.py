"""An extension of the core schema with two series types, made with the spec builders of pynwb."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from hdmf.build import BuildManager, TypeMap
from pynwb import NWBFile, get_type_map
from pynwb.spec import NWBAttributeSpec, NWBDatasetSpec, NWBGroupSpec, NWBNamespaceBuilder

CACHED = "ndx-maze"
"""Namespace whose specification stays in the file."""
LOST = "ndx-lost"
"""Namespace whose specification is not in the file."""

SERIES: Mapping[str, str] = MappingProxyType(
    {
        "/processing/behavior/path": "type `Path`, which extends SpatialSeries; specification in the file",
        "/processing/behavior/maze_path": "type `MazePath`, which extends `Path`; specification in the file",
        "/processing/behavior/excursion": "type `Excursion`, which extends SpatialSeries; no specification",
    }
)
"""Path of each series that `add_series` adds -> what is special about it."""


def load_types() -> TypeMap:
    """Return the types of the core schema and of both extensions; those of the process do not change."""
    types = get_type_map()
    wall = NWBDatasetSpec(
        "distance to the wall", name="wall_distance", dtype="float64", shape=(None,), dims=("num_times",)
    )
    maze = NWBAttributeSpec("maze", "name of the maze", "text")
    path = NWBGroupSpec("a path", neurodata_type_def="Path", neurodata_type_inc="SpatialSeries", attributes=[maze])
    maze_path = NWBGroupSpec("a path", neurodata_type_def="MazePath", neurodata_type_inc="Path", datasets=[wall])
    excursion = NWBGroupSpec("a path", neurodata_type_def="Excursion", neurodata_type_inc="SpatialSeries")
    for name, specs, base in ((CACHED, (path, maze_path), "SpatialSeries"), (LOST, (excursion,), "SpatialSeries")):
        builder = NWBNamespaceBuilder("a test", name, author="nobody", contact="nobody@example.org", version="0.1.0")
        builder.include_type(base, namespace="core")
        for spec in specs:
            builder.add_spec(f"{name}.extensions.yaml", spec)
        with tempfile.TemporaryDirectory() as folder:
            builder.export(f"{name}.namespace.yaml", outdir=folder)
            types.load_namespaces(f"{folder}/{name}.namespace.yaml")
    return types


def make_manager(types: TypeMap) -> BuildManager:
    """Return what writes objects of these types."""
    return BuildManager(types)


def add_series(file: NWBFile, types: TypeMap, random: np.random.Generator) -> None:
    """Add all series of `SERIES` to the module ``behavior`` of a session."""
    fields = {"reference_frame": "corner", "rate": 30.0, "starting_time": 1.0}
    path, maze_path, excursion = (
        types.get_dt_container_cls(name, namespace)
        for name, namespace in (("Path", CACHED), ("MazePath", CACHED), ("Excursion", LOST))
    )
    for series in (
        path(name="path", data=random.normal(size=(10, 2)), maze="W", **fields),
        maze_path(
            name="maze_path",
            data=random.normal(size=(10, 3)),
            maze="T",
            wall_distance=random.uniform(size=10),
            **fields,
        ),
        excursion(name="excursion", data=random.normal(size=(10, 2)), **fields),
    ):
        file.processing["behavior"].add(series)
