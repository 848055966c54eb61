"""Signs requests with the stock SDK's own signer: what verifies it was written apart from it."""
import types
import urllib.parse

from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer


def sign(method, target, headers, body, key, secret):
    """Answers `headers` (which hold Host) plus X-Sdk-Date and Authorization."""
    path, _, query = target.partition("?")
    request = SdkRequest(method=method, resource_path=path, header_params=dict(headers), body=body,
                         query_params=urllib.parse.parse_qsl(query, keep_blank_values=True))
    Signer(types.SimpleNamespace(ak=key, sk=secret)).sign(request)
    return request.header_params
