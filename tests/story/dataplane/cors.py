"""`cors`: what pages of other origins may read and send is said where the backend does not say it itself"""
from backend import Backend, answer

SERVED = True
EXPOSED = ("X-Request-Id,X-Apig-Latency,X-Apig-Upstream-Latency,X-Apig-RateLimit-Api,X-Apig-RateLimit-User,"
           "X-Apig-RateLimit-App,X-Apig-RateLimit-Ip,X-Apig-RateLimit-Api-Allenv")
SIMPLE = {"access-control-allow-origin": "*", "access-control-expose-headers": EXPOSED}
PREFLIGHT = {**SIMPLE, "access-control-allow-methods": "GET,POST,PUT,DELETE,HEAD,OPTIONS,PATCH",
             "access-control-allow-headers": "X-Stage,X-Sdk-Date,X-Sdk-Nonce,X-Proxy-Signed-Headers,"
             "X-Sdk-Content-Sha256,X-Forwarded-For,Authorization,Content-Type,Accept,Accept-Ranges,Cache-Control,Range",
             "access-control-max-age": "172800"}
ASKS = {"Origin": "https://page.example.com", "Access-Control-Request-Method": "GET"}


def said(reply):
    return {name: value for name, value in reply.headers.items() if name.startswith("access-control-")}


def story(world):
    world.group("g")
    own = {"access-control-allow-origin": "https://one.example.com", "access-control-max-age": "5"}
    with Backend(take=lambda seen: answer(200, "x", own.items() if "own" in seen.target else ())) as backend:
        world.api("shut", backend={"url_domain": backend.address})
        world.api("open", cors=True, backend={"url_domain": backend.address, "req_uri": "/plain"})
        world.api("told", cors=True, backend={"url_domain": backend.address, "req_uri": "/own"})
        world.api("kept", cors=True, auth_type="APP", backend={"url_domain": backend.address})
        world.api("asked", cors=True, req_method="OPTIONS", req_uri="/", match_mode="SWA", backend_type="MOCK",
                  mock_info={"result_content": ""})
        world.api("own", cors=True, req_method="OPTIONS", backend={"url_domain": backend.address, "req_uri": "/own"})
        for name in ("shut", "open", "told", "kept", "asked", "own"):
            world.publish(name)
        shown = world.want(200, "GET", f"/apis/{world.names['open']['id']}")
        assert shown["cors"] is True and world.names["shut"]["cors"] is False, shown
        for node in (1, 2, "tls", "h2"):
            assert said(world.call("GET", "/shut", node)) == {}
            assert said(world.call("GET", "/open", node, headers=ASKS)) == SIMPLE
            assert said(world.call("GET", "/told", node)) == {**SIMPLE, **own}
            refused = world.call("GET", "/kept", node)
            assert refused.status == 401 and said(refused) == SIMPLE, refused
            asked = world.call("OPTIONS", "/open", node, headers=ASKS)
            assert asked.status == 200 and said(asked) == PREFLIGHT, asked
            assert said(world.call("OPTIONS", "/own", node, headers=ASKS)) == {**PREFLIGHT, **own}
        world.offline("asked")
        world.settle("open")
        gone = world.call("OPTIONS", "/open", headers=ASKS)
        assert gone.status == 404 and gone.json["error_code"] == "APIG.0101", gone
