"""TLS trust: the system's certificates and those of certs.d, and client certificates."""

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
        authorities: files with CA certificates, in addition to the system's.
        client: pairs of files: a client certificate and its key.
    """

    authorities: tuple[str, ...] = ()
    client: tuple[tuple[str, str], ...] = ()

    def context(self, *, insecure: bool, show_client: bool) -> ssl.SSLContext:
        """Create a TLS context; `show_client` only for the registry itself.

        Raises:
            ConfigError: a file is not a certificate, or not its key.
        """
        import ssl

        if insecure:  # skips the system's certificates, which take longer to load than most responses
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context = ssl.create_default_context()
            # As in Go, for whose programs the files of certs.d are written: every certificate in them is trusted,
            # whether it is an authority's or the registry's own, and names must be in the extension. Newer Pythons
            # demand more.
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
    """Find the certificates for a registry: in the `given` directory, or the first that has a directory for it.

    Args:
        registry: host and port, the name of a directory.
        directories: the certs.d directories, the user's own first.
        given: a directory that contains the files themselves.

    Raises:
        ConfigError: a certificate has no key, or a key has no certificate.
        SystemFailure: a directory cannot be read.
    """
    for folder in [given] if given else [os.path.join(one, registry) for one in directories]:
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            # Missing and unreadable directories are skipped, as in the Go tools.
            if given or not isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
                raise SystemFailure("read", folder, error) from None
            continue
        break
    else:
        return Trust()
    known, client = set(names), []
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
