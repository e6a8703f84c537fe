"""Datasets of an amended file that pynwb is given as data of new objects: links to them, as with those of h5py.

hdmf lets values of the types alone that it was told of by ``ObjectMapper.no_convert``, `h5py.Dataset` among them but
not its subclasses, and makes copies of others, in a type that h5py does not store. Source: hdmf 6.2,
``objectmapper.py``.
"""

from __future__ import annotations

import sys

_MODULE = "hdmf.build.objectmapper"


def let_hdmf_link(kind: type) -> None:
    """Tell hdmf that datasets of this type are linked to; nothing happens where it is not in use."""
    module = sys.modules.get(_MODULE)
    mapper = getattr(module, "ObjectMapper", None)
    if mapper is not None:
        mapper.no_convert(kind)
