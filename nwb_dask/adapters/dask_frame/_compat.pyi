# Half of dask's private API is annotated, and not for those who inherit from it: all of it is Any to type checkers.
from typing import Any

def __getattr__(name: str) -> Any: ...  # noqa: ANN401  # see above
