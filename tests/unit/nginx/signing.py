"""The signature SDK-HMAC-SHA256 by runtime.md 5.2, independent of the product's own code."""
import datetime
import hashlib
import hmac
import urllib.parse


def encode(text):
    return urllib.parse.quote(text, safe="-._~")


def sign(method, target, headers, body=b"", *, key, secret, date=None, header="Authorization", digest=None):
    """The headers plus X-Sdk-Date and Authorization."""
    path, _, query = target.partition("?")
    date = date or datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = list(headers) + [("X-Sdk-Date", date)]
    signed = sorted(headers, key=lambda pair: pair[0].lower())
    uri = "/".join(encode(part) for part in urllib.parse.unquote(path).split("/"))
    pairs = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
    names = ";".join(name.lower() for name, _ in signed)
    canonical = "\n".join([
        method, uri if uri.endswith("/") else uri + "/", "&".join(f"{encode(k)}={encode(v)}" for k, v in pairs),
        "".join(f"{name.lower()}:{value.strip()}\n" for name, value in signed), names,
        digest or hashlib.sha256(body).hexdigest()])
    text = f"SDK-HMAC-SHA256\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return headers + [(header, f"SDK-HMAC-SHA256 Access={key}, SignedHeaders={names}, Signature={signature}")]
