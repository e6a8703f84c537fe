"""What is in a session of `nwb_dask.testing.performance_sessions`: numbers and text, no files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Values: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Group -> name of a dataset -> its value."""

N_ELECTRODES = 16
N_BLOCKS = 6
TRIALS_PER_BLOCK = 20
TRIAL_SECONDS = 6.0
SESSION_SECONDS = N_BLOCKS * TRIALS_PER_BLOCK * TRIAL_SECONDS
RESPONSE_SECONDS = (0.05, 0.25)
"""When CA1 fires after a rewarded stimulus, in seconds."""

_AREAS = ("CA1", "CA3", "DG", "VISp", "LP", "MOs")
_GENOTYPES = ("wt/wt", "VGAT-ChR2/wt", "Sst-IRES-Cre/wt")
_SAMPLES = 82


def session_values(number: int, *, n_units: int = 60, spikes_per_unit: int = 1000, seed: int = 0) -> Values:
    """Datasets of one session by group and name; ragged columns are the elements and ``<name>_index``, their ends.

    Parameters
    ----------
    number : int
        Which session. Two sessions in a row are of the same mouse.
    n_units, spikes_per_unit : int
        Rows of ``/units``, and the mean number of spikes of each.
    seed : int
        All values follow from it and `number`.
    """
    random = np.random.default_rng((seed, number))
    trials = _trials(random, _skill(number))
    return {
        "/": {
            "session_description": "a task that switches between modalities",
            "identifier": f"performance-{seed}-{number:03}",
            "session_start_time": _started(number).isoformat(),
        },
        "/general": {"session_id": f"{_mouse(number)}_{_started(number):%Y-%m-%d}", "keywords": _keywords(number)},
        "/general/subject": {
            "subject_id": _mouse(number),
            "species": "Mus musculus",
            "sex": "MF"[number // 2 % 2],
            "age": f"P{90 + 5 * (number // 2 % 30) + number % 2}D",
            "genotype": _GENOTYPES[number // 2 % len(_GENOTYPES)],
        },
        "/intervals/trials": trials,
        "/intervals/performance": _performance(trials),
        "/units": _units(random, number, trials, count=n_units, n_spikes=n_units * spikes_per_unit),
    }


def _mouse(number: int) -> str:
    return str(620_000 + 13 * (number // 2))


def _started(number: int) -> datetime:
    return datetime(2023, 1, 2, 12, tzinfo=UTC) + timedelta(days=number)


def _skill(number: int) -> float:
    """Return how well a mouse tells the rewarded stimulus from the other, from 0 to 1."""
    return float(np.random.default_rng(number // 2).uniform(0.0, 1.0))


def _keywords(number: int) -> tuple[str, ...]:
    words = ["production" if number % 5 else "test", "task"]
    if number % 7 == 3:  # noqa: PLR2004  # every seventh
        words.append("issues")
    return tuple(words)


def _true(random: np.random.Generator, share: float, count: int) -> npt.NDArray[np.bool_]:
    """Return truth values of which that share is true."""
    values: npt.NDArray[np.bool_] = random.random(count) < share
    return values


def _trials(random: np.random.Generator, skill: float) -> dict[str, Any]:
    count = N_BLOCKS * TRIALS_PER_BLOCK
    block = np.repeat(np.arange(N_BLOCKS), TRIALS_PER_BLOCK)
    start = np.arange(count) * TRIAL_SECONDS + 0.5
    is_rewarded_vis = (block + int(random.integers(2))) % 2 == 0
    is_vis = _true(random, 0.5, count)
    is_target = _true(random, 0.6, count)
    is_rewarded = is_target & (is_vis == is_rewarded_vis)
    # A mouse that knows nothing answers every target.
    chance = np.where(is_rewarded, 0.9, np.where(is_target, 0.9 - 0.8 * skill, 0.3 - 0.25 * skill))
    is_response = random.random(count) < chance
    onset = start + random.uniform(1.0, 2.0, count)
    answered = np.where(is_response, onset + random.uniform(0.2, 0.8, count), np.nan)
    stimulus = np.where(is_vis, "vis", "sound").astype(object)
    return {
        "start_time": start,
        "stop_time": start + TRIAL_SECONDS - 0.5,
        "stim_start_time": onset,
        "response_time": answered,
        "stim_name": [f"{name}{1 if target else 2}" for name, target in zip(stimulus, is_target, strict=True)],
        "block_index": block,
        "rewarded_modality": ["vis" if vis else "aud" for vis in is_rewarded_vis],
        "is_vis_stim": is_vis,
        "is_target": is_target,
        "is_rewarded": is_rewarded,
        "is_response": is_response,
    }


def _performance(trials: Mapping[str, Any]) -> dict[str, Any]:
    """Return one row per block: how well answers tell the rewarded target from the other stimuli."""
    rewarded, target, response = (np.asarray(trials[name]) for name in ("is_rewarded", "is_target", "is_response"))
    modality = np.asarray(trials["rewarded_modality"], dtype=object)
    is_same = trials["is_vis_stim"] == (modality == "vis")
    blocks = [trials["block_index"] == number for number in range(N_BLOCKS)]
    hit = np.array([_rate(response[block & rewarded]) for block in blocks])
    same_false = np.array([_rate(response[block & is_same & ~target]) for block in blocks])
    cross_false = np.array([_rate(response[block & ~is_same & target]) for block in blocks])
    return {
        "start_time": np.array([trials["start_time"][block].min() for block in blocks]),
        "stop_time": np.array([trials["stop_time"][block].max() for block in blocks]),
        "block_index": np.arange(N_BLOCKS),
        "rewarded_modality": [str(modality[block][0]) for block in blocks],
        "n_trials": np.array([block.sum() for block in blocks]),
        "n_responses": np.array([response[block].sum() for block in blocks]),
        "n_hits": np.array([(response & rewarded)[block].sum() for block in blocks]),
        "hit_rate": hit,
        "same_modal_dprime": _logit(hit) - _logit(same_false),
        "cross_modal_dprime": _logit(hit) - _logit(cross_false),
    }


def _rate(answers: npt.NDArray[np.bool_]) -> float:
    """Return the share of answers, never 0 or 1: half a trial is added to each side."""
    return float((answers.sum() + 0.5) / (len(answers) + 1))


def _logit(rate: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # Close to the quantile of the normal distribution that d' is made of, and numpy has it.
    scaled: npt.NDArray[np.float64] = np.log(rate / (1 - rate)) * 0.6
    return scaled


def _units(
    random: np.random.Generator, number: int, trials: Mapping[str, Any], *, count: int, n_spikes: int
) -> dict[str, Any]:
    location = random.choice(_AREAS, count)
    is_good = _true(random, 0.5, count)
    shares = random.lognormal(0.0, 0.6, count)
    ends = np.round(np.cumsum(shares) / shares.sum() * n_spikes).astype(np.int64)
    owner = np.repeat(np.arange(count), np.diff(ends, prepend=np.int64(0)))
    times = random.uniform(0.0, SESSION_SECONDS, n_spikes)
    answering = (location == "CA1")[owner] & _true(random, 0.03 + 0.12 * _skill(number), n_spikes)
    onsets = np.asarray(trials["stim_start_time"])[np.asarray(trials["is_rewarded"])]
    if len(onsets):
        chosen = random.choice(onsets, int(answering.sum()))
        times[answering] = chosen + random.uniform(*RESPONSE_SECONDS, len(chosen))
    # Every fourth session the probe of the second half of the units was pulled out halfway.
    is_short = (np.arange(count) >= count // 2) & (number % 4 == 3)  # noqa: PLR2004  # every fourth
    observed = np.stack([np.zeros(count), np.where(is_short, SESSION_SECONDS / 2, SESSION_SECONDS)], axis=1)
    times %= observed[owner, 1]
    times = np.round(times * 30_000) / 30_000
    for unit in np.split(times, ends[:-1]):
        unit.sort()
    peak = random.integers(0, N_ELECTRODES - 1, count)
    return {
        "spike_times_index": ends,
        "spike_times": times,
        "obs_intervals_index": np.arange(1, count + 1),
        "obs_intervals": observed,
        "electrodes_index": np.arange(2, 2 * count + 1, 2),
        "electrodes": np.stack([peak, peak + 1], axis=1).ravel(),
        "quality": ["good" if good else "noise" for good in is_good],
        "default_qc": is_good & _true(random, 0.8, count),
        "presence_ratio": np.where(_true(random, 0.6, count), 0.99, random.uniform(0.2, 0.95, count)),
        "isi_violations_ratio": random.gamma(1.0, 0.2, count),
        "amplitude_cutoff": random.gamma(1.0, 0.05, count),
        "location": [str(name) for name in location],
        "waveform_mean": random.normal(size=(count, _SAMPLES)).astype(np.float32),
    }
