"""Files that another file names: opened only below folders that the user allows, whatever links are on the way."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from nwb_dask.errors import SourceAccessError, SourceNotFoundError
from nwb_dask.index import Url
from nwb_dask.storage.access import Access
from nwb_dask.storage.folder import Folder
from nwb_dask.storage.folder_url import is_zip_url
from nwb_dask.storage.local import OPEN_FLAGS, LocalStore, unavailable
from nwb_dask.storage.local_folder import LocalFolder
from nwb_dask.storage.zip_folder import ZipFolder

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class AllowedStore(LocalStore):
    """One open file below a folder that is allowed.

    It has no `local_path`: whoever opened that would perhaps open another file than the one that was checked.
    """

    __slots__ = ("_folder", "path")

    def __init__(self, path: str, folder: str, access: Access) -> None:
        self._folder = folder
        self.path = path
        """Where it is, without symbolic links."""
        super().__init__(Url(path), path=path, expected=None, access=access)
        self.local_path = None

    def _opened(self, path: str) -> int:
        return _open_below(self._folder, path)


def open_allowed(name: str, beside: str, access: Access) -> AllowedStore:
    """Return the file that another one names.

    An absolute name is that file, and else one of the same last part beside the file that names it. A relative name
    counts from the folder of the file that names it, as it was opened and as it is without symbolic links, and else
    from the working directory. The first that is there counts. These are the places where libhdf5 looks by default;
    variables of the environment by which it looks elsewhere (``HDF5_EXT_PREFIX`` ...) change nothing here.

    Parameters
    ----------
    name : str
        As it is stored.
    beside : str
        Path of the file that names it.
    access : Access
        Its option ``allow_external`` has the folders.

    Raises
    ------
    SourceAccessError
        If no folder holds it, symbolic links resolved on both sides.
    SourceNotFoundError, SourceUnavailableError
        If it is not there or is no regular file.
    """
    real, folder = _found(name, list(_candidates(name, beside)), beside, access)
    return AllowedStore(real, folder, access)


def open_allowed_folder(name: str, beside: str, access: Access) -> Folder:
    """Return the folder, or the ZIP file of one, that another one names.

    An absolute name is that folder. A relative name counts from the folder that names it, as it was opened and as it is
    without symbolic links. Links in it are followed as long as they stay inside; see `LocalFolder`.

    Parameters
    ----------
    name, beside, access
        As `open_allowed`; `beside` is the folder that names it.

    Raises
    ------
    SourceAccessError, SourceNotFoundError, SourceUnavailableError
        As `open_allowed`.
    UnsupportedLayoutError
        If it is neither a Zarr store nor a LINDI folder.
    """
    if not name or "\0" in name:
        raise SourceNotFoundError(f"{beside} leads to {name!r}, which is not there", url=beside)
    candidates = [os.path.join(one, name) for one in (os.path.abspath(beside), os.path.realpath(beside))]  # noqa: PTH100, PTH118  # text in, text out
    real, folder = _found(name, [os.path.normpath(one) for one in candidates], beside, access)
    if is_zip_url(real) and not os.path.isdir(real):  # noqa: PTH112  # text in, text out
        return ZipFolder(AllowedStore(real, folder, access))
    return LocalFolder(Url(real), path=real, access=access, expected=None)


def _found(name: str, candidates: Sequence[str], beside: str, access: Access) -> tuple[str, str]:
    """Return the first of some paths that is there, without symbolic links, and the folder that allows for it."""
    folders = [os.path.realpath(one) for one in access.allowed_folders]
    refused = ""
    for number, candidate in enumerate(candidates, 1):
        real = os.path.realpath(candidate)
        folder = next((one for one in folders if _is_below(real, one)), None)
        if folder is None:
            # The working directory is looked at only where it is allowed.
            refused = refused or (real if number < len(candidates) else "")
        elif os.path.lexists(real):
            return real, folder
    if refused:
        raise refusal(name, refused, beside=beside)
    raise SourceNotFoundError(f"{beside} leads to {name!r}, which is not there", url=beside)


def refusal(name: str, path: str, *, beside: str) -> SourceAccessError:
    """Return the error of a file that is in no folder that is allowed."""
    folder = os.path.dirname(path) or "/"  # noqa: PTH120  # text in, text out
    message = (
        f"{beside} leads to {name!r}, which is in no folder that is allowed; "
        f"allow_external=[{folder!r}] in storage_options or nwb_dask.options allows for it"
    )
    return SourceAccessError(message, url=beside)


def _candidates(name: str, beside: str) -> Iterator[str]:
    """Yield where a file may be, in the order in which libhdf5 looks (`H5Lcreate_external`)."""
    if not name or "\0" in name:
        return
    at, real = (os.path.dirname(one) for one in (os.path.abspath(beside), os.path.realpath(beside)))  # noqa: PTH100, PTH120  # text in, text out
    relative = name
    if os.path.isabs(name):  # noqa: PTH117  # text in, text out
        yield name
        relative = os.path.basename(name)  # noqa: PTH119  # text in, text out
    if relative:
        yield os.path.join(at, relative)  # noqa: PTH118  # text in, text out
        yield os.path.join(real, relative)  # noqa: PTH118  # text in, text out
        yield os.path.abspath(relative)  # noqa: PTH100  # text in, text out


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")


def _open_below(folder: str, path: str) -> int:
    """Open `path`, which has no symbolic links, step by step from `folder`.

    A step that has become a symbolic link since `path` was resolved is refused by the system, so that nothing is
    opened that was not checked.
    """
    steps = [one for one in path[len(folder.rstrip("/")) :].split("/") if one]
    here = os.open(folder, _FOLDER_FLAGS)
    try:
        for step in steps[:-1]:
            below = os.open(step, _FOLDER_FLAGS, dir_fd=here)
            os.close(here)
            here = below
        return os.open(steps[-1], OPEN_FLAGS | os.O_NOFOLLOW, dir_fd=here)
    except OSError as exc:
        raise unavailable(exc, path) from exc
    finally:
        os.close(here)
