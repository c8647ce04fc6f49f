"""Describing connection failures."""

from __future__ import annotations

from urllib3.exceptions import (
    ConnectTimeoutError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from cstore.registry.errors import RegistryError, RegistryUnreachable, RegistryUntrusted, cleaned


def unreachable(registry: str, action: str, error: Exception) -> RegistryError:
    """Return the error for a request without a response."""
    reason = reason_of(error)
    if isinstance(error, SSLError) or isinstance(getattr(error, "original_error", None), SSLError):
        text = str(error)
        hint = "to allow this, use --tls-verify=false or set insecure = true in registries.conf"
        if "WRONG_VERSION_NUMBER" in text or "record layer failure" in text.lower():
            return RegistryUntrusted(registry, "the server does not speak TLS", hint=hint)
        import ssl

        cause = error.args[0] if error.args else None
        why = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else reason
        hint = f"put the CA's certificate into /etc/containers/certs.d/{registry}/ca.crt; {hint}"
        return RegistryUntrusted(registry, f"the server's certificate is not trusted: {cleaned(why)}", hint=hint)
    if isinstance(error, ProxyError):
        reason = reason_of(error.original_error)
        return RegistryUnreachable(
            registry, f"cannot {action}: the proxy failed: {reason}", hint="see HTTPS_PROXY and NO_PROXY"
        )
    return RegistryUnreachable(registry, f"cannot {action}: {reason}")


def never_connected(error: Exception) -> bool:
    """Return whether the connection was never established."""
    return isinstance(error, NewConnectionError | ConnectTimeoutError | ProxyError)


def reason_of(error: Exception) -> str:
    """Return why a connection failed, in a few words."""
    if isinstance(error, NameResolutionError):
        return "host name not found"
    if isinstance(error, NewConnectionError):
        text = str(error)
        return "connection refused" if "refused" in text else cleaned(text.rpartition("] ")[2])
    if isinstance(error, ConnectTimeoutError):
        return "the connection timed out"
    if isinstance(error, ReadTimeoutError | TimeoutError):
        return "the server stopped responding"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "the connection was cut"
