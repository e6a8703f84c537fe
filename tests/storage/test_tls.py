from __future__ import annotations

import datetime
import ipaddress
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from socket import SHUT_RDWR, create_connection, socket
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from nwb_dask.errors import SourceUnavailableError
from nwb_dask.index import Url
from nwb_dask.storage import Store, connections, make_access, open_bytes
from nwb_dask.testing import RangeServer
from tests.storage.serving import FAR, MIDDLE, NAME, expected_of, read


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test server")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


class Tunnel(socketserver.BaseRequestHandler):
    """Speaks TLS with the client, and passes on what it says."""

    context: ssl.SSLContext
    server_port: int

    def handle(self) -> None:
        with suppress(OSError):
            client = self.context.wrap_socket(self.request, server_side=True)
            with client, create_connection(("127.0.0.1", self.server_port)) as server:
                back = threading.Thread(target=_pass_on, args=(server, client))
                back.start()
                _pass_on(client, server)
                back.join()


def _pass_on(source: Any, target: socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(SHUT_RDWR)


@pytest.fixture
def tls_url(bucket_server: RangeServer, certificate: Path) -> Iterator[str]:
    """The file on a server that speaks TLS; what is trusted is looked up anew."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    handler = type("Handler", (Tunnel,), {"context": context, "server_port": bucket_server._listener.server_address[1]})
    connections._tls.cache_clear()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_address[1]}/{NAME}"
        server.shutdown()
        thread.join()
    connections._tls.cache_clear()


def open_url(url: str) -> Store:
    return open_bytes(Url(url), make_access({"engine": "http"}))


def test_a_certificate_that_is_trusted_lets_the_file_be_read(
    tls_url: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with open_url(tls_url) as store:
        assert read(store, MIDDLE, FAR, (0, 1)) == expected_of(MIDDLE, FAR, (0, 1))


@pytest.mark.usefixtures("quick")
def test_a_certificate_that_is_not_trusted_is_an_error_that_says_so(tls_url: str) -> None:
    with pytest.raises(SourceUnavailableError, match=r"cannot connect to the server \(self.signed certificate"):
        open_url(tls_url)


@pytest.mark.usefixtures("quick")
def test_a_certificate_of_another_name_is_an_error_that_says_so(
    tls_url: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(SourceUnavailableError, match="certificate is not valid for 'localhost'"):
        open_url(tls_url.replace("127.0.0.1", "localhost"))
