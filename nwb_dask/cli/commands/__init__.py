"""Commands of ``nwb-dask``: a module is named as its command, and has it as `command`."""
