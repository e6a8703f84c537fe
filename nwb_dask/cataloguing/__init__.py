"""Builds catalogs of many files, and opens them.

========== =================================================================
describe   one file -> what a catalog says of it
statistics the values of light columns -> bounds, counts, distinct values
rows       what was said of many files -> the tables of the catalog
journal    what is finished of a build that is not
origin     by which of the sources files were found, to list these again
gather     describes files, in threads or on a cluster, that are not known already
finish     the tables, put in the place of those before in one step
find       sessions that have what is asked for
build      `build_catalog`
catalog    `open_catalog`, `Catalog`: to look into, to choose from
========== =================================================================
"""
