"""Measurements of nwb_dask against other ways to read the same files; see ``README.md``."""
