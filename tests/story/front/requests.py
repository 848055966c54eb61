"""each way to send a wrong request gets its own clear answer"""
import client


def story(world):
    def refused(status, method, path, body=None, code=None, **more):
        reply = world.manage(method, path, body, **more)
        assert reply.status == status, f"{method} {path} {body!r}: {reply}"
        assert reply.json and reply.json["error_msg"] and reply.json["request_id"], reply
        if code:
            assert reply.json["error_code"] == code, reply
        return reply.json["error_msg"]

    kind = {"Content-Type": "application/json"}
    malformed = refused(400, "POST", "/api-groups", '{"name": ', headers=kind)
    duplicate = refused(400, "POST", "/api-groups", '{"name": "abc", "name": "abd"}', headers=kind)
    wrong_type = refused(400, "POST", "/api-groups", '{"name": 7}', code="APIG.2011", headers=kind)
    not_object = refused(400, "POST", "/api-groups", "[]", headers=kind)
    media = refused(415, "POST", "/api-groups", "name=abc", code="SLUICE.0105",
                    headers={"Content-Type": "application/x-www-form-urlencoded"})
    large = refused(413, "POST", "/api-groups", '{"name": "' + "x" * (1 << 20) + '"}', code="SLUICE.0104", headers=kind)
    path = refused(404, "GET", "/no-such-thing", code="SLUICE.0101")
    method = refused(405, "PATCH", "/api-groups", code="SLUICE.0102")
    many = refused(400, "GET", "/api-groups", code="SLUICE.0106", headers={f"X-{number}": "1" for number in range(150)})
    nobody = refused(401, "GET", "/api-groups", code="APIG.1000", caller="none")
    texts = [malformed, duplicate, wrong_type, media, large, path, method, many, nobody]
    assert len(set(texts)) == len(texts), texts
    assert "name" in wrong_type and not_object, texts

    world.want(200, "GET", "/api-groups", headers=kind)
    given = "0123456789abcdef0123456789abcdef"
    reply = world.manage("GET", "/api-groups", headers={"X-Request-Id": given})
    assert reply.headers["x-request-id"] == given, reply.headers
    reply = world.manage("GET", "/api-groups", headers={"X-Request-Id": "not hex"})
    assert len(reply.headers["x-request-id"]) == 32, reply.headers

    endpoint = world.env["SLUICE_ENDPOINT"]
    assert client.request(endpoint, "GET", "/openapi.json").json["openapi"].startswith("3.")
    for name in ("FRONT", "NODE1", "NODE2"):
        health = world.env[f"SLUICE_METRICS_{name}"]
        for probe in ("/healthz", "/readyz", "/metrics"):
            assert client.request(health, "GET", probe).status == 200, (name, probe)
