"""failed logins are throttled by account and address; the owner elsewhere and the neighbours get in"""
import http.client
import json
import random
import ssl
import urllib.parse

SPRAYED = 300  # more than an address has free, and gets back meanwhile


def login(world, source, user, password):
    """The status of POST /v3/auth/tokens from this loopback address."""
    url = urllib.parse.urlsplit(world.env["SLUICE_ENDPOINT"])
    options = {"timeout": 40, "source_address": (source, 0)}
    if url.scheme == "https":
        connection = http.client.HTTPSConnection(
            url.hostname, url.port, context=ssl._create_unverified_context(), **options)
    else:
        connection = http.client.HTTPConnection(url.hostname, url.port, **options)
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "name": user, "password": password,
        "domain": {"name": world.env["SLUICE_DOMAIN_NAME"]}}}}}}
    connection.request("POST", "/v3/auth/tokens", json.dumps(body),
                       {"Content-Type": "application/json"})
    status = connection.getresponse().status
    connection.close()
    return status


def story(world):
    domain = world.env["SLUICE_DOMAIN_NAME"]
    attacker, owner, office, home = (f"127.{random.randint(1, 250)}.{random.randint(1, 250)}.{last}"
                                     for last in range(1, 5))
    passwords = {}
    for user in (f"u_{world.uid}", f"v_{world.uid}"):
        passwords[user] = world.stack.admin("user", "create", user, "--domain", domain,
                                            "--generate")["password"]
    first, second = passwords

    seen = []
    while 429 not in seen and len(seen) < 20:  # a second is blocked, then two, then four: a slow machine tries again in between
        seen.append(login(world, attacker, first, "wrong password"))
    assert seen[:5] == [401] * 5 and seen[-1] == 429, seen
    assert login(world, owner, first, passwords[first]) == 201
    assert login(world, attacker, second, passwords[second]) == 201

    assert login(world, office, first, passwords[first]) == 201
    seen = []
    while 429 not in seen and len(seen) < SPRAYED:
        seen.append(login(world, office, f"no_{world.uid}_{len(seen)}", "wrong password"))
    assert seen[:100] == [401] * 100 and seen[-1] == 429, seen
    assert login(world, office, first, passwords[first]) == 201
    assert login(world, home, second, passwords[second]) == 201
    for user in passwords:
        world.stack.admin("user", "delete", user, "--domain", domain)
