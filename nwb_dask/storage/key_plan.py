"""Keys and parts of their values to requests, and back. Pure: nothing is fetched here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nwb_dask.storage.coalesce import Buffer, Range, RequestPlan
from nwb_dask.storage.keys import KeyRange


@dataclass(frozen=True, slots=True)
class _OfKey:
    places: tuple[int, ...]
    """Which of what was wanted it is about."""
    ranges: RequestPlan | None
    """None where all of the value is asked for."""
    first: int
    """Number of its first request; one for each of `ranges`, or one for all."""
    end: int | None
    """Number of the request for its end."""


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """Requests that together cover some values and parts of values; near ranges of one key share a request."""

    wanted: tuple[KeyRange, ...]
    requests: tuple[KeyRange, ...]
    of_keys: tuple[_OfKey, ...]

    def values(self, bodies: Sequence[Buffer | None]) -> list[Buffer | None]:
        """Return what was wanted, in that order.

        Parameters
        ----------
        bodies : sequence of buffers or None
            The answer to each of `requests`, clipped to the value; None if the key is not there.
        """
        out: list[Buffer | None] = [None] * len(self.wanted)
        for one in self.of_keys:
            n_ranges = 1 if one.ranges is None else len(one.ranges.requests)
            found = [body for body in bodies[one.first : one.first + n_ranges] if body is not None]
            end = None if one.end is None else bodies[one.end]
            if len(found) < n_ranges or (one.end is not None and end is None):
                continue
            sliced = iter(one.ranges.slices(found)) if one.ranges is not None else iter(())
            for place in one.places:
                part = self.wanted[place][1]
                if one.ranges is None:
                    out[place] = cut(found[0], part)
                elif isinstance(part, int) and end is not None:
                    out[place] = cut(end, part)
                else:
                    out[place] = cut(next(sliced), None if _is_filled(part) else (0, 0))
        return out


def plan_keys(wanted: Sequence[KeyRange], *, plan: Callable[[Sequence[Range]], RequestPlan]) -> KeyPlan:
    """Return the requests for values and parts of them; each byte is asked for once.

    Parameters
    ----------
    wanted : sequence of (str, tuple or int or None)
        See `keys.KeyRange`. Ranges may reach behind the end of the value.
    plan : callable
        Requests that cover ranges of one value; see `coalesce.plan_requests`.
    """
    places: dict[str, list[int]] = {}
    for place, (key, _) in enumerate(wanted):
        places.setdefault(key, []).append(place)
    requests: list[KeyRange] = []
    of_keys: list[_OfKey] = []
    for key, found in places.items():
        parts = [wanted[place][1] for place in found]
        first, end, ranges = len(requests), None, None
        if None in parts:
            requests.append((key, None))
        else:
            # Only a request tells whether there is a value of which nothing is wanted.
            ranges = plan([one if _is_filled(one) else (0, 1) for one in parts if isinstance(one, tuple)])
            requests += [(key, one) for one in ranges.requests]
            ends = [one for one in parts if isinstance(one, int)]
            if ends:
                end = len(requests)
                requests.append((key, max(*ends, 1)))
        of_keys.append(_OfKey(tuple(found), ranges, first, end))
    return KeyPlan(tuple(wanted), tuple(requests), tuple(of_keys))


def cut(body: Buffer, part: tuple[int, int] | int | None) -> Buffer:
    """Return a part of a value, or of its end."""
    if part is None:
        return body
    view = memoryview(body)
    return view[slice(*part)] if isinstance(part, tuple) else view[max(len(view) - part, 0) :]


def _is_filled(part: tuple[int, int] | int | None) -> bool:
    return isinstance(part, tuple) and part[0] < part[1]
