"""One module for each format: how rows, or series, are written as it.

======= ================================================================================
parquet Parquet files
ipc     Arrow IPC files
csv     CSV
jsonl   JSON Lines
delta   the transaction log over Parquet files that makes them a Delta table
excel   one workbook
zarr    a Zarr store for each series
======= ================================================================================

A module is loaded when its format is asked for.
"""
