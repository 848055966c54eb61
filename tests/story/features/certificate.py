"""a certificate for backends is checked before it is taken, and its key is never shown"""
import json

from authority import Authority

FEATURE = "backend_client_certificate"


def story(world):
    with Authority("top") as top, Authority("m", top.issue("m", authority=True)) as middle:
        chain, key = middle.issue("leaf")
        stranger, strange_key = top.issue("other")
        whole = {"enable": "on", "content": chain + middle.certificate, "key": key,
                 "ca": top.certificate}
        for change, code, named in (
                ({"key": strange_key}, "APIG.2101", "do not match"),
                ({"content": stranger}, "APIG.2101", "do not match"),
                ({"content": chain + stranger}, "APIG.2104", "chain"),
                ({"content": "text"}, "APIG.2106", "Invalid"),
                ({"content": chain[:200]}, "APIG.2106", "Invalid"),
                ({"content": chain + middle.certificate[:200]}, "APIG.2106", "Invalid"),
                ({"key": chain}, "APIG.2106", "Invalid"),
                ({"key": top.locked(key)}, "APIG.2105", "Encrypted private keys are not supported"),
                ({"ca": key}, "APIG.2106", "Invalid"),
                ({"ca": top.issue("old", days=-1)[0]}, "APIG.2102", "expired"),
                ({"content": 5}, "APIG.2011", "config.content"),
                ({"enable": "yes"}, "APIG.2011", "config.enable")):
            reply = refused(world, dict(whole, **change))
            assert reply["error_code"] == code and named in reply["error_msg"], (change, reply)
        old, old_key = top.issue("old", days=-1)
        assert refused(world, dict(whole, content=old, key=old_key))["error_code"] == "APIG.2102"
        for name in ("content", "key", "enable"):
            rest = {part: value for part, value in whole.items() if part != name}
            reply = refused(world, rest)
            assert reply["error_code"] == "APIG.2001", reply
            assert f"config.{name}" in reply["error_msg"], reply
        assert world.want(200, "GET", "/features")["total"] == 0
        made = world.feature(FEATURE, whole)
        assert made["enable"] and "key" not in made["config"], made
        listed, = world.want(200, "GET", "/features")["features"]
        assert listed == made, listed
        off = world.feature(FEATURE, {"enable": "off"})
        assert off["config"] == '{"enable": "off"}', off


def refused(world, config):
    """The error of a configuration that must not pass."""
    reply = world.manage("POST", "/features", {"name": FEATURE, "enable": True,
                                               "config": json.dumps(config)})
    assert reply.status == 400, reply
    return reply.json
