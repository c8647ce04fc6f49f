"""Which certificates are trusted, and which one is shown: the system's, and those of certs.d."""

from __future__ import annotations

import os

from cstore.config.parse import read_named
from cstore.errors import ConfigError, SystemFailure
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable


_LARGEST = 8 << 20


class Trust(Value):
    """The certificates for one registry.

    Attributes:
        authorities: files with certificates of CAs, beside the system's.
        client: pairs of files: a certificate to show, and its key.
    """

    authorities: tuple[str, ...] = ()
    client: tuple[tuple[str, str], ...] = ()

    def context(self, *, insecure: bool, show_client: bool) -> ssl.SSLContext:
        """What TLS is spoken with; `show_client` for the registry itself, and for nobody else.

        Raises:
            ConfigError: a file is no certificate, or no key to it.
        """
        import ssl

        if insecure:  # and without the system's certificates, which take longer to read than many an answer
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context = ssl.create_default_context()
            # As in Go, whose programs the files of certs.d are written for: what is in them is trusted, be it an
            # authority's or the registry's own; names are those of the extension; newer Pythons demand more.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            context.hostname_checks_common_name = False
        for path in () if insecure else self.authorities:
            try:
                read_named(path, _LARGEST)  # the library opens it again, and would wait for what is no file
                context.load_verify_locations(path)
            except (ssl.SSLError, OSError) as error:
                raise ConfigError(path, f"no usable certificate: {_why(error)}") from None
        if show_client:
            for certificate, key in self.client:
                try:
                    for part in (certificate, key):
                        read_named(part, _LARGEST)
                    context.load_cert_chain(certificate, key, password="")
                except (ssl.SSLError, OSError) as error:
                    reason = f"it cannot be used with the key {key}: {_why(error)}"
                    raise ConfigError(certificate, reason) from None
        return context


def find_trust(registry: str, directories: Iterable[str], given: str = "") -> Trust:
    """Find the certificates for a registry: in the directory that is `given`, or in the first that has one for it.

    Args:
        registry: host and port, the name of a directory.
        directories: the directories certs.d, the user's own first.
        given: a directory that has the files itself.

    Raises:
        ConfigError: a certificate has no key, or a key no certificate.
        SystemFailure: a directory cannot be read.
    """
    for folder in [given] if given else [os.path.join(one, registry) for one in directories]:
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            # What is not there says nothing, nor what is somebody else's: as with the Go tools.
            if given or not isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
                raise SystemFailure("read", folder, error) from None
            continue
        return _trust_in(folder, names)
    return Trust()


def _trust_in(folder: str, names: list[str]) -> Trust:
    known = set(names)
    client = []
    for name in names:
        stem, ending = os.path.splitext(name)
        if ending == ".cert":
            if f"{stem}.key" not in known:
                raise ConfigError(os.path.join(folder, name), f"{stem}.key is missing")
            client.append((os.path.join(folder, name), os.path.join(folder, f"{stem}.key")))
        elif ending == ".key" and f"{stem}.cert" not in known:
            reason = f"{stem}.cert is missing"
            hint = "certificates of a CA end in .crt, others in .cert"
            raise ConfigError(os.path.join(folder, name), reason, hint=hint)
    return Trust(tuple(os.path.join(folder, name) for name in names if name.endswith(".crt")), tuple(client))


def _why(error: OSError) -> str:
    return error.strerror or getattr(error, "reason", "") or str(error)
