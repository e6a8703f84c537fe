"""Hooks for the whole run. pytest-xdist's main process loads no conftest but this one."""

from __future__ import annotations

from tests.parity.summary import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]
