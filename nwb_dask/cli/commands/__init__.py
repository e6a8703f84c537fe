"""What commands of ``nwb-dask`` do: a module is named as its command, and answers it by `answer`."""
