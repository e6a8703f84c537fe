"""Builds catalogs of many files, and opens them.

========== =================================================================
describe   one file -> what a catalog says of it
statistics the values of light columns -> bounds, counts, distinct values
rows       what was said of many files -> the tables of the catalog
journal    what is finished of a build that is not
build      `build_catalog`
catalog    `open_catalog`, `Catalog`: to look into, to choose from
========== =================================================================
"""
