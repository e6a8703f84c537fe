"""Random predicates as functions of a frame: the same one is asked of pandas and of dask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

Frame = Any
Predicate = Callable[[Frame], Any]

LEAVES: dict[str, Predicate] = {
    "x > 1": lambda d: d.x > 1,
    "2 >= x": lambda d: 2 >= d.x,  # noqa: SIM300  # either way round
    "rate <= 2.5": lambda d: d.rate <= 2.5,
    "rate > nan": lambda d: d.rate > np.nan,  # noqa: PLW0177  # never
    "rate != 0": lambda d: d.rate != 0,
    "n == 1": lambda d: d.n == 1,
    "n != 1": lambda d: d.n != 1,
    "quality == good": lambda d: d.quality == "good",
    "quality != good": lambda d: d.quality != "good",
    "empty text": lambda d: d.quality == "",
    "quality isin": lambda d: d.quality.isin(["good", "", "absent"]),
    "x isin set": lambda d: d.x.isin({0, 2, 5}),
    "n isin array": lambda d: d.n.isin(np.array([1, 7])),
    "rate isin nan": lambda d: d.rate.isin([0.5, float("nan")]),
    "quality isna": lambda d: d.quality.isna(),
    "n notna": lambda d: d.n.notnull(),  # noqa: PD004  # dask has no notna
    "rate isna": lambda d: d.rate.isna(),
    "between": lambda d: d.rate.between(0, 3),
    "between left": lambda d: d.x.between(0, 2, inclusive="left"),
    "startswith": lambda d: d.quality.str.startswith("go"),
    "startswith na": lambda d: d.quality.str.startswith("go", na=True),
    "endswith": lambda d: d.name.str.endswith("b"),
    "contains": lambda d: d.name.str.contains("a"),
    "contains regex": lambda d: d.name.str.contains("^a.?$"),
    "contains literal": lambda d: d.name.str.contains(".", regex=False),
    "str.len": lambda d: d.quality.str.len() > 3,
    "upper": lambda d: d.quality.str.upper() == "GOOD",
    "sum": lambda d: d.x + d.n > 2,
    "column vs column": lambda d: d.x < d.rate,
    "mod": lambda d: d.id % 3 == 1,
    "reversed arithmetic": lambda d: 10 - d.x * 2 >= 8,
    "true division": lambda d: d.x / 2 < 1,
    "method": lambda d: d.x.add(1).gt(2),
    "abs": lambda d: d.x.abs() == 2,
    "round": lambda d: d.rate.round(0) == 2,
    "fillna": lambda d: d.rate.fillna(9.0) > 5,
    "fillna n": lambda d: d.n.fillna(0) == 0,
    "clip": lambda d: d.x.clip(0, 2) == 2,
    "neg": lambda d: -d.x > 0,
    "flag": lambda d: d.flag,
    "maybe": lambda d: d.maybe,
    "area": lambda d: d.area == "CA1",
    "area ne": lambda d: d.area != "CA1",
    "area isin": lambda d: d.area.isin(["VISp", "TH"]),
    "float32": lambda d: d.snr == 0.1,
    "float32 vs float64": lambda d: d.snr == np.float64(0.1),
    "numpy int": lambda d: d.x >= np.int8(2),
    "file": lambda d: d._nwb_path == "/data/ses-2.nwb",
    "other files": lambda d: d._nwb_path != "/data/ses-2.nwb",
    "files": lambda d: d._nwb_path.isin(["/data/ses-0.nwb", "/data/ses-3.nwb"]),
    "file text": lambda d: d._nwb_path.str.endswith("5.nwb"),
    "no file": lambda d: d._nwb_path == "/data/none.nwb",
    "first rows": lambda d: d._table_index < 2,
    "table": lambda d: d._table_path == "/units",
}

UNPUSHED: dict[str, Predicate] = {
    "mean": lambda d: d.x > d.x.mean(),
    "function": lambda d: ~(~_apply(d.name).astype(bool)),
    "cumsum": lambda d: d.x.cumsum() > 3,
    "heavy isna": lambda d: d.spike_times.notnull(),  # noqa: PD004  # as above
    "lengths": lambda d: d.spike_times.nwb.lengths() > 1,
    "slice of text": lambda d: d.name.str.slice(0, 1) == "a",
}
"""What stays with dask; the first and third are not row-wise."""


def _is_long(text: str) -> bool:
    return len(text) > 1


def _apply(names: Any) -> Any:
    return names.map(_is_long) if isinstance(names, pd.Series) else names.map(_is_long, meta=("name", bool))


@dataclass(frozen=True)
class Named:
    """A predicate that shows what it is when a test fails."""

    text: str
    ask: Predicate

    def __call__(self, frame: Frame) -> Any:
        return self.ask(frame)

    def __repr__(self) -> str:
        return self.text


def _combine(children: st.SearchStrategy[Named]) -> st.SearchStrategy[Named]:
    both = st.tuples(children, children)
    return st.one_of(
        both.map(lambda pair: Named(f"({pair[0]} & {pair[1]})", lambda d: pair[0](d) & pair[1](d))),
        both.map(lambda pair: Named(f"({pair[0]} | {pair[1]})", lambda d: pair[0](d) | pair[1](d))),
        children.map(lambda one: Named(f"~{one}", lambda d: ~one(d))),
    )


def _leaves(predicates: dict[str, Predicate]) -> st.SearchStrategy[Named]:
    return st.sampled_from([Named(f"[{text}]", ask) for text, ask in predicates.items()])


pushable = st.recursive(_leaves(LEAVES), _combine, max_leaves=4)
anything = st.recursive(st.one_of(_leaves(LEAVES), pushable, _leaves(UNPUSHED)), _combine, max_leaves=4)
