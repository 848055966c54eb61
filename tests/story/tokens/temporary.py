"""a temporary key works with its security token, until it ends or is deleted, in the stock SDK too"""
import signer
from huaweicloudsdkapig.v2 import ApigClient
from huaweicloudsdkapig.v2 import model as m
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.http.http_config import HttpConfig

from stack import wait_until

SECONDS = 10
LIFE = 12  # of the key that is waited for


def signed(world, key, token, along):
    """GET /api-groups with this X-Security-Token, signed along or not."""
    host = world.env["SLUICE_ENDPOINT"].split("//")[1]
    headers = {"Host": host, "X-Project-Id": world.project}
    if token and along:
        headers["X-Security-Token"] = token
    headers = signer.sign("GET", world.target("/api-groups"), headers, b"", key["access"],
                          key["secret"])
    if token:
        headers["X-Security-Token"] = token
    reply = world.manage("GET", "/api-groups", headers=headers, caller="none")
    if reply.status != 200:
        assert reply.status == 401 and reply.json["error_code"] == "APIG.1002", reply
    return reply.status


def story(world):
    admin, env = world.stack.admin, world.env
    domain = env["SLUICE_DOMAIN_NAME"]
    user = f"u_{world.uid}"
    of_user = ("--user", user, "--domain", domain)
    admin("user", "create", user, "--domain", domain, "--policy", "APIG FullAccess")

    key = admin("access-key", "create", *of_user, "--temporary", "3600")
    other = admin("access-key", "create", *of_user, "--temporary", "3600")
    lasting = admin("access-key", "create", *of_user)
    assert key["security_token"] != other["security_token"] and key["expires_at"] > 0, key
    assert "security_token" not in lasting and lasting["expires_at"] == 0, lasting
    listed = admin("access-key", "list", *of_user)["access_keys"]
    assert [row["temporary"] for row in listed].count(True) == 2, listed
    assert not [row for row in listed if "secret" in row or "security_token" in row], listed
    wait_until(lambda: signed(world, key, key["security_token"], True) == 200 and
               signed(world, lasting, None, False) == 200, SECONDS, "the new keys")
    assert signed(world, key, key["security_token"], False) == 200
    assert signed(world, key, None, False) == 401
    for along in (True, False):
        for token in (other["security_token"], key["security_token"][:-1], "x"):
            assert signed(world, key, token, along) == 401, (token, along)
        assert signed(world, lasting, key["security_token"], along) == 401

    credentials = BasicCredentials(key["access"], key["secret"], world.project)
    credentials = credentials.with_security_token(key["security_token"])
    sdk = (ApigClient.new_builder().with_credentials(credentials)
           .with_endpoints([env["SLUICE_ENDPOINT"]]).with_http_config(HttpConfig()).build())
    groups = sdk.list_api_groups_v2(m.ListApiGroupsV2Request(instance_id=world.instance))
    assert groups.total >= 1, groups

    short = admin("access-key", "create", *of_user, "--temporary", str(LIFE))
    wait_until(lambda: signed(world, short, short["security_token"], True) == 200, LIFE - 1,
               "the short key")
    wait_until(lambda: signed(world, short, short["security_token"], True) == 401, LIFE + SECONDS,
               "the end of the short key")
    admin("access-key", "delete", key["access"])
    wait_until(lambda: signed(world, key, key["security_token"], True) == 401, SECONDS,
               "the deleted key's end")
    assert signed(world, lasting, None, False) == 200
    admin("user", "delete", user, "--domain", domain)
