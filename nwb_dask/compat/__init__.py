"""Names of other libraries, for scripts that were written for them. They hold nothing of their own: see `lazynwb`."""

from __future__ import annotations
