"""Which type of the NWB core schema an object is: the tree of types, and the types that a file's specs add to it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

SERIES_PARENTS: Mapping[str, str] = {
    "AbstractFeatureSeries": "TimeSeries",
    "AnnotationSeries": "TimeSeries",
    "CurrentClampSeries": "PatchClampSeries",
    "CurrentClampStimulusSeries": "PatchClampSeries",
    "DecompositionSeries": "TimeSeries",
    "ElectricalSeries": "TimeSeries",
    "IZeroClampSeries": "CurrentClampSeries",
    "ImageMaskSeries": "ImageSeries",
    "ImageSeries": "TimeSeries",
    "IndexSeries": "TimeSeries",
    "IntervalSeries": "TimeSeries",
    "OnePhotonSeries": "ImageSeries",
    "OpticalSeries": "ImageSeries",
    "OptogeneticSeries": "TimeSeries",
    "PatchClampSeries": "TimeSeries",
    "RoiResponseSeries": "TimeSeries",
    "SpatialSeries": "TimeSeries",
    "SpikeEventSeries": "ElectricalSeries",
    "TwoPhotonSeries": "ImageSeries",
    "VoltageClampSeries": "PatchClampSeries",
    "VoltageClampStimulusSeries": "PatchClampSeries",
}
"""Parent of each subtype of TimeSeries in the NWB core schema; the same in all versions from 2.0 to 2.11."""

OTHER_TYPES = frozenset(
    {
        "AlignedDynamicTable", "BaseImage", "BehavioralEpochs", "BehavioralEvents", "BehavioralTimeSeries", "CSRMatrix",
        "ClusterWaveforms", "Clustering", "CompassDirection", "Container", "CorrectedImageStack", "Data", "Device",
        "DeviceModel", "DfOverF", "DurationVectorData", "DynamicTable", "DynamicTableRegion", "ElectrodeGroup",
        "ElectrodeTable", "ElectrodeTableRegion", "ElectrodesTable", "ElementIdentifiers", "EnumData", "EpochTable",
        "EpochTableRegion", "EpochTimeSeries", "Epochs", "EventDetection", "EventTable", "EventWaveform", "EventsTable",
        "ExperimentalConditionsTable", "ExternalImage", "ExternalResources", "EyeTracking", "FeatureExtraction",
        "FilteredEphys", "Fluorescence", "FrequencyBandsTable", "GrayscaleImage", "HERD", "Image", "ImageMasks",
        "ImageReferences", "ImageSegmentation", "Images", "ImagingPlane", "ImagingRetinotopy", "Index",
        "IntracellularElectrode", "IntracellularElectrodesTable", "IntracellularRecordingsTable",
        "IntracellularResponsesTable", "IntracellularStimuliTable", "LFP", "LabMetaData", "MeaningsTable",
        "MotionCorrection", "NWBContainer", "NWBData", "NWBDataInterface", "NWBFile", "OpticalChannel",
        "OptogeneticStimulusSite", "PixelMasks", "PlaneSegmentation", "Position", "ProcessingModule", "PupilTracking",
        "RGBAImage", "RGBImage", "ROITable", "ROITableRegion", "RepetitionsTable", "ScratchData",
        "SequentialRecordingsTable", "SimpleMultiContainer", "SimultaneousRecordingsTable", "SpecFile", "Subject",
        "SweepTable", "TableColumn", "TimeIntervals", "TimeSeriesIndex", "TimeSeriesReferenceVectorData",
        "TimestampVectorData", "UnitTimes", "Units", "VectorData", "VectorIndex", "VocabData",
    }
)  # fmt: skip
"""The other types of the core and HDMF common schemas, from 2.0b on, none of which is a TimeSeries."""

BASE = "TimeSeries"

_MAX_SPEC_CHARS = 8 << 20
"""Of one cached specification; that of the whole core schema has 300 kB."""
_MAX_TYPES = 10_000
_MAX_DEPTH = 64
_DEFINED = ("neurodata_type_def", "data_type_def")
_INCLUDED = ("neurodata_type_inc", "data_type_inc")


def core_type(neurodata_type: str, parents: Mapping[str, str]) -> str | None:
    """Return the type of the core schema that a type is or descends from; None for no TimeSeries, or unknown ones.

    Parameters
    ----------
    neurodata_type : str
        As an object in the file has it.
    parents : mapping of str to str
        Parent of each type that an extension defines (`parse_types`). Types of the core cannot be redefined.

    Returns
    -------
    str or None
        ``"TimeSeries"`` or one of `SERIES_PARENTS`.
    """
    seen: set[str] = set()
    here = neurodata_type
    while here not in SERIES_PARENTS and here != BASE:
        if here in seen or here not in parents or here in OTHER_TYPES:
            return None
        seen.add(here)
        here = parents[here]
    return here


def is_core(neurodata_type: str) -> bool:
    """Tell whether a type is of the core or HDMF common schemas, so that no extension says what it is."""
    return neurodata_type == BASE or neurodata_type in SERIES_PARENTS or neurodata_type in OTHER_TYPES


def is_a(core: str, ancestor: str) -> bool:
    """Tell whether a series type of the core is `ancestor` or descends from it."""
    here: str | None = core
    while here is not None and here != ancestor:
        here = SERIES_PARENTS.get(here)
    return here is not None


def ancestry_type(ancestry: Iterable[str]) -> str | None:
    """Return the last series type that ``ancestry`` names, as NWB 1.x describes an object; None if it names none."""
    found = [name for name in ancestry if name == BASE or name in SERIES_PARENTS]
    return found[-1] if found else None


def parse_types(text: str) -> dict[str, str]:
    """Return the parent of each type that a cached specification defines.

    Parameters
    ----------
    text : str
        JSON, as under ``/specifications/<namespace>/<version>/`` (NWB core schema, *Extending the format*, cached
        specifications): an object with lists ``groups`` and ``datasets`` of type definitions, which nest.

    Returns
    -------
    dict of str to str
        ``""`` for a type without a parent. Empty for what is not such a text, or is too large to be one: a type that
        nothing is known of is treated as such, and is no reason to refuse the file.
    """
    if len(text) > _MAX_SPEC_CHARS:
        return {}
    try:
        spec = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    found: dict[str, str] = {}
    stack: list[tuple[object, int]] = [(spec, 0)]
    while stack and len(found) < _MAX_TYPES:
        here, depth = stack.pop()
        if not isinstance(here, dict) or depth > _MAX_DEPTH:
            continue
        defined = _first_text(here, _DEFINED)
        if defined:
            found.setdefault(defined, _first_text(here, _INCLUDED))
        for key in ("groups", "datasets"):
            below = here.get(key)
            if isinstance(below, list):
                stack.extend((item, depth + 1) for item in below)
    return found


def _first_text(spec: Mapping[str, object], keys: Iterable[str]) -> str:
    for key in keys:
        value = spec.get(key)
        if isinstance(value, str):
            return value
    return ""
