"""One certificate for the fronts of a test, which its client verifies."""
import ssl

from hosts import run


def make(directory, addresses):
    """Writes tls.crt and tls.key for these addresses."""
    names = ",".join(f"IP:{address}" for address in addresses)
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "2", "-subj", "/CN=sluice-chaos", "-addext", f"subjectAltName={names}",
        "-keyout", directory / "tls.key", "-out", directory / "tls.crt")


def context(directory):
    """A TLS context that trusts that certificate and no other."""
    return ssl.create_default_context(cafile=str(directory / "tls.crt"))
