"""Asks us or h5py about damaged copies of files, in a process of its own, which a crash or a hang would end.

Run as ``python -m tests.backends.fuzz_worker <ours|h5py> <plan> <out> <first>``. The plan is a pickled pair of the
files' anatomies by name and the list of mutations; one pickled `Outcome` after the other is appended to the output.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import re
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  # registers its filters

from nwb_dask.backends.handles import _handles
from tests.backends.answers import Answers, Refusal
from tests.backends.answers_of_h5py import ERRORS, ask_h5py
from tests.backends.answers_of_ours import ask_ours, fallbacks
from tests.backends.fuzz_mutations import WAYS, Anatomy, Mutation, Outcome, some_rows
from tests.backends.stores import RemoteStore, open_local

SECONDS = 5
"""Of computing, for one damaged file read in one way: more is a hang."""
MAX_BYTES = 1 << 22
"""Of larger datasets only some rows are read."""
_LIMIT_BYTES = 6 << 30


def _ours(path: Path, outcome: Outcome, groups: Sequence[str]) -> None:
    for way in WAYS:
        _limit()
        with fallbacks() as noted, open_local(path) as store:
            try:
                answers = ask_ours(
                    RemoteStore(store) if way == "remote" else store,
                    max_bytes=MAX_BYTES,
                    rows=some_rows,
                    groups=groups if way == "by group" else None,
                )
            except Exception as exc:  # noqa: BLE001  # the fault that is looked for
                answers = Answers(faults=[f"{type(exc).__name__}: {exc} {_place(exc)}"])
        outcome.answers.append(answers)
        outcome.fallbacks += noted.found
    _handles.close_all()


def _place(exc: BaseException) -> str:
    where = exc.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    return "" if where is None else f"({Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno})"


def _h5py(path: Path, outcome: Outcome, _groups: Sequence[str]) -> None:
    _limit()
    try:
        outcome.answers.append(ask_h5py(path, max_bytes=MAX_BYTES, rows=some_rows))
    except ERRORS as exc:
        outcome.answers.append(Answers({"/": Refusal(str(exc))}))


def _limit() -> None:
    """Begin to count the seconds: the signal prints where the process is and ends it."""
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    faulthandler.dump_traceback_later(20 * SECONDS, exit=True)


def _peak() -> int:
    """Return the most memory that this process has had, in bytes."""
    found = re.search(r"VmPeak:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    return int(found.group(1)) << 10 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def main() -> None:
    """Ask about all mutations of the plan from `first` on."""
    who: Callable[[Path, Outcome, Sequence[str]], None] = {"ours": _ours, "h5py": _h5py}[sys.argv[1]]
    plan, out, first = Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    anatomies: dict[str, Anatomy]
    mutations: list[Mutation]
    anatomies, mutations = pickle.loads(plan.read_bytes())
    faulthandler.enable()
    faulthandler.register(signal.SIGVTALRM, chain=True)
    resource.setrlimit(resource.RLIMIT_AS, (_LIMIT_BYTES, _LIMIT_BYTES))
    path = plan.with_name(f"{sys.argv[1]}-{os.getpid()}.h5")
    for name in dict.fromkeys(mutation.name for mutation in mutations):
        path.write_bytes(anatomies[name].body)
        who(path, Outcome(-1), anatomies[name].groups)
        path.unlink()
    peak = _peak()
    with out.open("ab") as file:
        # Says that the process is ready: what ends it from here on is a damaged file.
        pickle.dump(Outcome(-1), file)
        file.flush()
        for number in range(first, len(mutations)):
            path.write_bytes(anatomies[mutations[number].name].damaged(mutations[number]))
            outcome = Outcome(number)
            began = time.process_time()
            who(path, outcome, anatomies[mutations[number].name].groups)
            outcome.seconds = time.process_time() - began
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            faulthandler.cancel_dump_traceback_later()
            peak, before = _peak(), peak
            outcome.grown_bytes = peak - before
            pickle.dump(outcome, file)
            file.flush()
            path.unlink()


if __name__ == "__main__":
    # Both libraries warn about what they find in damaged files.
    h5py._errors.silence_errors()
    main()
