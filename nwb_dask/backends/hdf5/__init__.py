"""HDF5: the tree through h5py's low level, plain values by byte ranges, the rest of the values through h5py.

========== =================================================================================
linked     `LinkedFile`: an open file of any container with what its links lead to
reaching   `ReachingFile`: an open file with what it holds in others
file       `Hdf5File`: one open file by itself
outside    the files that it leads to: which may be opened, and of which version they were
rebased    pure: what another file says, under the paths by which it was reached
virtual    pure but for h5py: what a virtual dataset is made of
raw_files  the bytes of datasets in raw files
assembled  values of virtual datasets and of those in raw files
signature  is it HDF5, and if not, what does it look like
links      members of groups, and paths through soft links
index      objects -> `FileIndex`
attributes attributes -> `AttributeValue`
stored_attributes
           attributes with the types that they are stored in
references what object and region references point to
types      datatypes -> `ElementType`
spans      pure: arithmetic on rows and chunks
chunks     contiguous and chunked data by byte ranges, through the store
filters    pure: gzip, shuffle, fletcher32
limits     what a file declares and cannot hold
values     everything else, through h5py
boundary   errors of h5py, as errors of ours
libraries  which libhdf5 and which filters are there
========== =================================================================================
"""
