"""a debugging call tells what came of it: a broken backend, a long or binary body, an app's signature, no policies"""
import threading

from backend import Backend, answer

SERVED = True
KEPT = 2097152


def debug(world, api, **body):
    reply = world.manage("POST", f"/apis/debug/{world.names[api]['id']}",
                         {"mode": "DEVELOPER", "scheme": "HTTP", "method": "GET", **body})
    assert reply.status == 200, reply
    return reply.json


def status_of(answer):
    return answer["response"].split("\n", 1)[0]


def long_bodies(world, backend):
    """As long as the document says, and no byte more; also where JSON needs an escape for many of them."""
    world.api("long", req_method="POST", backend={"url_domain": backend.address, "req_method": "POST", "req_uri": "/long"})
    call = {"mode": "DEVELOPER", "scheme": "HTTP", "method": "POST", "path": "/long"}
    for text in ("x" * KEPT, '"' * (KEPT // 2)):
        told = debug(world, "long", **{**call, "body": text})
        assert status_of(told) == "HTTP/1.1 200 Told", told["response"][:200]
        assert backend.seen[-1].body == text.encode(), len(backend.seen[-1].body)
    path = f"/apis/debug/{world.names['long']['id']}"
    reply = world.manage("POST", path, {**call, "body": "x" * (KEPT + 1)})
    assert (reply.status, reply.json["error_code"]) == (400, "APIG.2011") and "body" in reply.json["error_msg"], reply
    reply = world.manage("POST", path, {**call, "body": "x" * (2 * KEPT)})
    assert (reply.status, reply.json["error_code"]) == (413, "SLUICE.0104"), reply


def story(world):
    world.group("g")
    world.api("a", auth_type="APP")
    world.publish("a")
    world.throttle("t", api_call_limits=1)
    world.binding("a", "t")
    world.app("p")
    world.auth("p", "a")
    world.app("stranger")
    key = {name: {"app_key": world.names[name]["app_key"], "app_secret": world.names[name]["app_secret"]}
           for name in ("p", "stranger")}

    # CONSUMER calls as the app that it is given; policies do not count.
    for _ in range(3):
        told = debug(world, "a", mode="CONSUMER", path="/a", query={"b": ["c d"]}, **key["p"])
        assert status_of(told) == "HTTP/1.1 200 OK", told
        assert "Authorization: SDK-HMAC-SHA256 " in told["request"], told["request"]
        assert key["p"]["app_secret"] not in str(told)
    for given, code in (({}, "APIG.0303"), (key["stranger"], "APIG.0304"),
                        ({**key["p"], "app_secret": "another-secret"}, "APIG.0303")):
        told = debug(world, "a", mode="CONSUMER", path="/a", **given)
        assert code in told["response"], told
    assert status_of(debug(world, "a", path="/a")) == "HTTP/1.1 200 OK"  # DEVELOPER needs no app

    # What the backend does, and what of its answer no JSON could hold.
    with Backend() as backend:
        world.api("own", backend={"url_domain": backend.address, "req_uri": "/own"})
        chunks = b"4\r\nfour\r\n5;x=y\r\n five\r\n0\r\n\r\n"
        for raw, expected in (
                (answer(503, "busy"), "HTTP/1.1 503 "),
                (answer(200, b"a\x00\xff\xc3\xa4"), "\n\na??\u00e4"),
                (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, "\n\nfour five"),
                (answer(200, b"x" * (KEPT + 1)), "x[TRUNCATED]"),
                (b"nonsense\r\n\r\n", "APIG.0202")):
            backend.answer = lambda seen, raw=raw: raw
            told = debug(world, "own", path="/own")["response"]
            assert expected in told, (raw[:60], told[:400], told[-60:])
        assert len(told) < KEPT
        # The secret of a call does not reach its backend; what the caller gave does.
        backend.answer = lambda seen: answer(200, "seen")
        debug(world, "own", path="/own", header={"x-sHOWN": ["yes"]}, query={"q": ["1"]}, scheme="HTTPS")
        seen = backend.seen[-1]
        assert seen.header("x-shown") == "yes" and seen.target == "/own?q=1", seen.headers
        assert seen.header("x-apig-debug") is None, seen.headers
        long_bodies(world, backend)
    assert "APIG.0201" in debug(world, "own", path="/own")["response"]  # nobody is there any more

    # Calls side by side, each with its own answer.
    answers = {}

    def call(number):
        answers[number] = debug(world, "a", path="/a", header={"X-Number": [f"n{number}n"]})["response"]

    threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(f"n{number}n" in answers[number] for number in range(4)), answers
