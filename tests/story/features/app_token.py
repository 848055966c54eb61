"""app_token: any node issues tokens and takes those of the others; every documented refusal"""
import urllib.parse

from stack import wait_until

OWN_STACK = True  # what the served gateway's features are concerns every story beside it
SERVED = True
URI = "/v1/apigw/oauth2/token"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def ask(world, fields, node=1, target=URI, headers=FORM, method="POST"):
    body = urllib.parse.urlencode(fields) if fields else None
    return world.call(method, target, node, headers=headers, body=body)


def issued(world, fields, **more):
    reply = ask(world, fields, **more)
    assert reply.status == 200, reply
    assert reply.headers["cache-control"] == "no-store", reply.headers
    return reply.json


def denied(reply, status, code):
    assert (reply.status, reply.json["error_code"]) == (status, code), reply


def bearer(world, token, node=1):
    return world.call("GET", "/guarded", node, headers={"Authorization": f"Bearer {token}"})


def refusals(world, good, foreign):
    refresh = {**good, "grant_type": "refresh_token", "refresh_token": foreign}
    for fields, status, code in (
            ({**good, "grant_type": ""}, 400, "APIG.2210"), ({**good, "grant_type": "password"}, 400, "APIG.2209"),
            ({**good, "client_id": ""}, 400, "APIG.2211"), ({**good, "client_secret": ""}, 400, "APIG.2212"),
            ({**refresh, "refresh_token": ""}, 400, "APIG.2213"), ({**good, "scope": "x" * 301}, 400, "APIG.2208"),
            ([*good.items(), ("client_id", "twice")], 400, "APIG.2205"),
            ({**good, "client_secret": "wrong"}, 400, "APIG.2201"), ({**good, "client_id": "nobody"}, 401, "APIG.1004"),
            ({**refresh, "client_secret": "wrong"}, 400, "APIG.1009"), (refresh, 401, "APIG.1003"),
            ({**refresh, "refresh_token": "x"}, 400, "APIG.2202")):
        denied(ask(world, fields), status, code)
    denied(ask(world, good, headers={"Content-Type": "application/json"}), 400, "APIG.2204")
    denied(ask(world, None, method="GET", headers={}), 400, "APIG.2206")
    denied(bearer(world, "x"), 400, "APIG.2203")


def expiry(world, good):
    world.feature("app_token", {"enable": "on", "app_token_expire_time": 1, "refresh_token_expire_time": "1",
                                "app_token_uri": "/my/token", "app_token_key": "a key of the operator's own"})
    world.settle("guarded")
    assert ask(world, good).status == 404
    pair = issued(world, good, target="/my/token")
    assert pair["expires_in"] == 1, pair
    wait_until(lambda: bearer(world, pair["access_token"]).status == 401, 10, "the end of a token of one second")
    denied(bearer(world, pair["access_token"]), 401, "APIG.1002")
    refresh = {**good, "grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}
    wait_until(lambda: ask(world, refresh, target="/my/token").status == 401, 10, "the end of a refresh token of one second")
    denied(ask(world, refresh, target="/my/token"), 401, "APIG.1001")
    shown = [row for row in world.want(200, "GET", "/features?limit=500")["features"] if row["name"] == "app_token"]
    assert "operator" not in shown[0]["config"], shown


def story(world):
    world.group("g")
    world.api("guarded", auth_type="APP")
    world.publish("guarded")
    for name in ("p", "q"):
        world.app(name)
        world.auth(name, "guarded")
    world.settle("guarded")
    good, other = ({"grant_type": "client_credentials", "client_id": world.names[name]["app_key"],
                    "client_secret": world.names[name]["app_secret"]} for name in ("p", "q"))
    assert ask(world, good).status == 404, "the endpoint is there without its feature"
    denied(bearer(world, "x"), 401, "APIG.0303")
    try:
        world.feature("app_token", {"enable": "on"})
        world.settle("guarded")
        pair = issued(world, {**good, "scope": "read"}, node=2)
        assert (pair["token_type"], pair["expires_in"], pair["scope"]) == ("bearer", 3600, "read"), pair
        for node in (1, 2):
            reply = bearer(world, pair["access_token"], node)
            assert reply.status == 200, reply
            assert "authorization" not in {name.lower() for name in reply.json["headers"]}, reply.json
            reply = world.call("GET", f"/guarded?a=1&access_token={pair['access_token']}", node)
            assert reply.status == 200 and "access_token" not in reply.body.decode(), reply
        again = issued(world, {**good, "grant_type": "refresh_token", "refresh_token": pair["refresh_token"]})
        assert again["scope"] == "read" and bearer(world, again["access_token"], 2).status == 200, again
        refusals(world, good, issued(world, other)["refresh_token"])
        world.want(200, "PUT", f"/apps/secret/{world.names['q']['id']}", {})
        expiry(world, good)
        world.feature("app_token", {"enable": "on"})
        world.settle("guarded")
        world.want(204, "DELETE", f"/apps/{world.names['p']['id']}")
        world.settle("guarded")
        denied(bearer(world, pair["access_token"]), 401, "APIG.1004")
    finally:
        world.feature("app_token")
