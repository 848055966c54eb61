"""A certificate authority of a test's own.

    with Authority("first") as authority:
        chain, key = authority.issue("the client")        # PEM texts
        server = authority.issue("b", names="DNS:one.example.com,IP:127.0.0.1")
        middle = authority.issue("m", authority=True)     # may sign: Authority("m", middle)
"""
import pathlib
import subprocess
import tempfile

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(*words, text=None):
    return subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True,
                          input=text, text=True).stdout


class Authority:
    """`certificate` is its own, as PEM."""

    def __init__(self, name, pair=None):
        self._held = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
        self._place = pathlib.Path(self._held.name)
        if pair:
            (self._place / "ca.pem").write_text(pair[0])
            (self._place / "ca.key").write_text(pair[1])
        else:
            openssl("req", "-x509", *CURVE, "-days", 2, "-subj", f"/CN={name}", "-keyout",
                    self._place / "ca.key", "-out", self._place / "ca.pem")
        self.certificate = (self._place / "ca.pem").read_text()

    def __enter__(self):
        return self

    def __exit__(self, *fault):
        self._held.cleanup()

    def issue(self, name, names=None, days=2, authority=False):
        """Certificate and private key; `days` below 0: it expired that long ago."""
        key, request, made = (self._place / part for part in ("key", "request", "made"))
        said = [f"basicConstraints=CA:{'TRUE' if authority else 'FALSE'}"]
        said += [f"subjectAltName={names}"] if names else []
        (self._place / "said").write_text("\n".join(said) + "\n")
        openssl("req", "-new", *CURVE, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self._place / "ca.pem", "-CAkey",
                self._place / "ca.key", "-CAcreateserial", "-days", days, "-extfile",
                self._place / "said", "-out", made)
        return made.read_text(), key.read_text()

    @staticmethod
    def locked(key):
        """The same private key, encrypted under a password."""
        return openssl("pkcs8", "-topk8", "-passout", "pass:secret", text=key)
