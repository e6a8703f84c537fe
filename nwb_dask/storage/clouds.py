"""Google and Azure: which credentials and endpoint an object store is asked with. Pure, but for looking for files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nwb_dask.storage.access import Access, find_secrets

if TYPE_CHECKING:
    from obstore.store import AzureConfig, GCSConfig  # exist for type checkers only

_GOOGLE_VARIABLES = (
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_BEARER_TOKEN",
)
_GOOGLE_FILE = ".config/gcloud/application_default_credentials.json"
_MACHINE = Path("/sys/class/dmi/id/product_name")
_AZURE_VARIABLES = (
    *("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_MASTER_KEY"),
    *("AZURE_STORAGE_SAS_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_TOKEN"),
    *("AZURE_STORAGE_CLIENT_SECRET", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE"),
    *("AZURE_MSI_ENDPOINT", "AZURE_IDENTITY_ENDPOINT", "IDENTITY_ENDPOINT", "AZURE_USE_AZURE_CLI"),
)


def gcs_config(access: Access, environment: Mapping[str, str], *, home: Path | None = None) -> GCSConfig:
    """Return how obstore asks Google Cloud Storage.

    In this order: ``anon=True``; ``token`` (as gcsfs has it: ``"anon"``, ``"google_default"``, a path, the contents of
    a key as a dict, or a bearer token) or a service account of the options; what the environment, the file of gcloud
    or the machine (on Google Cloud) gives. Where none of these is, or with an endpoint of one's own, access is
    anonymous; ``anon=False`` says that there are credentials.

    Parameters
    ----------
    access : Access
        Credentials and options.
    environment : mapping
        ``os.environ``.
    home : Path, optional
        Where the folder of gcloud is.

    Raises
    ------
    ValueError
        For a token that cannot be used. No message shows it.
    """
    config: GCSConfig = {}
    endpoint = access.option("endpoint_url") or environment.get("STORAGE_EMULATOR_HOST")
    if endpoint:
        config["base_url"] = endpoint if "://" in endpoint else f"http://{endpoint}"
    hidden = find_secrets(access)
    token, account = hidden.get("token"), access.option("service_account")
    if access.switch("anon") or token == "anon":  # noqa: S105  # gcsfs's word for no token
        config["skip_signature"] = True
    elif "service_account_key" in hidden:
        config["service_account_key"] = hidden["service_account_key"]
    elif account is not None:
        config["application_credentials"] = account
    elif token in {None, "google_default", "cloud"}:
        expected = token is not None or access.switch("anon") is False
        if not expected and (endpoint or not _has_google(environment, home or Path.home())):
            config["skip_signature"] = True
    else:
        _set_google_token(config, str(token))
    return config


def _set_google_token(config: GCSConfig, token: str) -> None:
    if token in {"browser", "cache"}:
        raise ValueError(f"storage_options['token']={token!r} is not supported; log in with gcloud, or give a file")
    if token.startswith("{"):
        if json.loads(token).get("type", "service_account") != "service_account":
            raise ValueError("storage_options['token'] is the key of a user; give the path of a file with it")
        config["service_account_key"] = token
    elif Path(token).is_file():
        config["application_credentials"] = token
    else:
        config["bearer_token"] = token


def _has_google(environment: Mapping[str, str], home: Path) -> bool:
    if any(environment.get(name) for name in _GOOGLE_VARIABLES) or (home / _GOOGLE_FILE).is_file():
        return True
    try:
        return _MACHINE.read_text().startswith("Google")
    except OSError:
        return False


def google_headers(access: Access) -> dict[str, str]:
    """Return the header that says which project pays; {} if the owner does.

    Raises
    ------
    ValueError
        If the reader is to pay and no project is named.
    """
    if not access.switch("requester_pays"):
        return {}
    project = access.option("project")
    if project is None:
        raise ValueError("storage_options: requester_pays on Google Cloud needs 'project', which is billed")
    return {"x-goog-user-project": project}


def azure_config(access: Access, account: str | None, environment: Mapping[str, str]) -> AzureConfig:
    """Return how obstore asks Azure.

    The credentials of the options (``account_key``, ``sas_token``, ``connection_string``, ``token``, or the client's
    id and secret) come before those of the environment; without any, or with ``anon=True``, access is anonymous.
    ``anon=False`` says that the machine has an identity.

    Parameters
    ----------
    access : Access
        Credentials and options.
    account : str or None
        Name of the storage account, if the URL has it.
    environment : mapping
        ``os.environ``.

    Raises
    ------
    ValueError
        If no account is named, or the connection string is none.
    """
    hidden = find_secrets(access)
    text = hidden.get("connection_string")
    if text is None and not {"account_key", "sas_token", "token", "client_secret"} & hidden.keys():
        text = environment.get("AZURE_STORAGE_CONNECTION_STRING")
    config = _connection(text) if text else {}
    config.setdefault("account_name", account or access.option("account_name") or _account(environment))
    endpoint, host = access.option("endpoint_url"), access.option("account_host")
    if endpoint or host:
        config["endpoint"] = endpoint or f"https://{host}"
    if "account_key" in hidden:
        config["account_key"] = hidden["account_key"]
    if "sas_token" in hidden:
        config["sas_key"] = hidden["sas_token"].removeprefix("?")
    if "token" in hidden:
        config["token"] = hidden["token"]
    if "client_secret" in hidden:
        config["client_secret"] = hidden["client_secret"]
        config["client_id"] = access.option("client_id") or environment.get("AZURE_CLIENT_ID", "")
        config["tenant_id"] = access.option("tenant_id") or environment.get("AZURE_TENANT_ID", "")
    if access.switch("use_emulator"):
        config["use_emulator"] = True
    if not (config.get("account_name") or config.get("use_emulator")):
        raise ValueError("Azure needs the name of an account: storage_options={'account_name': ...}")
    given = {"account_key", "sas_key", "token", "client_secret", "use_emulator"} & config.keys()
    found = any(environment.get(name) for name in _AZURE_VARIABLES)
    if access.switch("anon") or not (given or found or access.switch("anon") is False):
        config["skip_signature"] = True
    return config


def _account(environment: Mapping[str, str]) -> str:
    return environment.get("AZURE_STORAGE_ACCOUNT_NAME", "")


def _connection(text: str) -> AzureConfig:
    """Return what a connection string says (Microsoft, *Configure Azure Storage connection strings*)."""
    values: dict[str, str] = {}
    for part in filter(None, text.split(";")):
        name, mark, value = part.partition("=")
        if not mark:
            raise ValueError("storage_options['connection_string'] is not one: name=value;name=value")
        values[name.strip().lower()] = value
    if values.get("usedevelopmentstorage", "").lower() == "true":
        return {"use_emulator": True}
    config: AzureConfig = {}
    if "accountname" in values:
        config["account_name"] = values["accountname"]
    if "accountkey" in values:
        config["account_key"] = values["accountkey"]
    if "sharedaccesssignature" in values:
        config["sas_key"] = values["sharedaccesssignature"].removeprefix("?")
    if "blobendpoint" in values:
        config["endpoint"] = values["blobendpoint"].rstrip("/")
    elif "accountname" in values and "endpointsuffix" in values:
        scheme = values.get("defaultendpointsprotocol", "https")
        config["endpoint"] = f"{scheme}://{values['accountname']}.blob.{values['endpointsuffix']}"
    return config
