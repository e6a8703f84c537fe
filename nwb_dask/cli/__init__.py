"""The command line, ``nwb-dask``: what a shell needs of nwb_dask.

=========== ======================================================================================
program     the group of commands, each loaded when it is asked for
usage/      one module per command: its arguments and its help
arguments   the arguments and options that commands share
answering   loads what a command does when it is called
commands/   one module per command: arguments in, rows out
output      rows as a table, JSON, JSON Lines, CSV or Parquet, on stdout or in a file
plain       values as JSON has them
terminal    rows as a table for people
safe_text   text of files, so that it cannot drive a terminal
reporting   stderr: errors, warnings, notes
signals     what Ctrl-C does
failures    exit codes, and the code of each error
=========== ======================================================================================

Data go to stdout, everything else to stderr. ``--help``, of commands too, loads click and no library that reads.
"""

from __future__ import annotations

from nwb_dask.cli.program import main

__all__ = ["main"]
