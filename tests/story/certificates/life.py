"""certificates are checked when they come in, say what they are, and are bound to domains from either side"""
from authority import Authority

SECRET = "PRIVATE KEY"


def refused(world, status, code, method, path, body=None):
    reply = world.manage(method, path, body)
    assert (reply.status, reply.json["error_code"]) == (status, code), reply


def body(name, pair, **more):
    return {"name": name, "cert_content": pair[0], "private_key": pair[1], **more}


def certificates(world):
    return f"/v2/{world.project}/apigw/certificates"


def checks(world, authority, good):
    """What is no certificate that a handshake could show is refused, each with its code."""
    top = certificates(world)
    other = authority.issue("other", names="DNS:b.example.com")
    for code, pair in (("APIG.2101", (good[0], other[1])),
                       ("APIG.2102", authority.issue("old", names="DNS:a.example.com", days=-1)),
                       ("APIG.2104", (good[0] + other[0], good[1])),
                       ("APIG.2105", (good[0], authority.locked(good[1]))),
                       ("APIG.2106", ("nothing", good[1])), ("APIG.2106", (good[0], "nothing")),
                       ("APIG.2109", authority.issue("bare"))):
        refused(world, 400, code, "POST", top, body("cert_bad", pair))
    refused(world, 400, "APIG.2106", "POST", top, body("cert_bad", good, trusted_root_ca="nothing"))
    refused(world, 400, "APIG.2001", "POST", top, body("cert_bad", good, type="instance"))
    refused(world, 404, "APIG.3030", "POST", top, body("cert_bad", good, type="instance", instance_id="0" * 32))
    refused(world, 400, "APIG.2011", "POST", top, body("1cert", good))
    for method, more in (("GET", None), ("DELETE", None), ("PUT", body("cert_none", good))):
        refused(world, 404, "APIG.3021", method, f"{top}/{'0' * 32}", more)


def lives(world, authority, good, uid):
    """Created, read, listed, changed; its key is in no answer."""
    top = certificates(world)
    made = world.want(200, "POST", top, body(f"cert_{uid}", good))
    assert made["common_name"] == "one" and made["san"] == ["a.example.com", "*.a.example.com"], made
    assert made["type"] == "global" and "instance_id" not in made and made["version"] == 3, made
    assert made["signature_algorithm"] == "ECDSA-SHA256" and made["issuer"] == ["first"], made
    assert made["serial_number"].isdigit() and made["not_after"].endswith("Z") and not made["is_has_trusted_root_ca"], made
    refused(world, 400, "APIG.3325", "POST", top, body(f"cert_{uid}", good))
    path = f"{top}/{made['id']}"
    read = world.manage("GET", path)
    assert read.json == made and SECRET not in read.body.decode(), read
    own = world.want(200, "POST", top, body(f"own_{uid}", good, type="instance", instance_id=world.instance))
    assert own["instance_id"] == world.instance and own["type"] == "instance", own
    for query, wanted in (("", [made, own]), ("&type=global", [made]), ("&type=instance", [own]), (f"&name=OWN_{uid}", [own]),
                          ("&common_name=ON", [made, own]), ("&common_name=x", []), ("&limit=1&offset=1", [own]),
                          ("&signature_algorithm=ECDSA-SHA256", [made, own]), ("&signature_algorithm=RSA", [])):
        page = world.want(200, "GET", f"{top}?instance_id={world.instance}{query}")
        assert [one["id"] for one in page["certs"]] == [one["id"] for one in wanted], (query, page)
        assert page["total"] == (2 if "limit" in query else len(wanted)), (query, page)
    refused(world, 400, "APIG.2001", "GET", top)
    refused(world, 404, "APIG.3030", "GET", f"{top}?instance_id={'0' * 32}")
    renewed = world.want(200, "PUT", path, body(f"new_{uid}", good, trusted_root_ca=authority.certificate))
    assert renewed["name"] == f"new_{uid}" and renewed["is_has_trusted_root_ca"], renewed
    kept = world.want(200, "PUT", path, body(f"new_{uid}", good))
    assert kept["is_has_trusted_root_ca"] and kept["create_time"] == made["create_time"], kept
    assert not world.want(200, "PUT", path, body(f"new_{uid}", good, trusted_root_ca=""))["is_has_trusted_root_ca"]
    return made["id"], own["id"]


def bound(world, authority, good, pair, uid):
    """Bound and unbound from the domain's side and from the certificate's."""
    first, own = pair
    top, group = certificates(world), f"/api-groups/{world.names['g']['id']}"
    domain = world.want(201, "POST", f"{group}/domains", {"url_domain": "a.example.com"})["id"]
    far = world.want(201, "POST", f"{group}/domains", {"url_domain": "a.example.org"})["id"]
    at, one = f"{group}/domains/{domain}", {"certificate_ids": [first]}
    refused(world, 400, "APIG.2103", "POST", f"{group}/domains/{far}/certificates/attach", one)
    refused(world, 404, "APIG.3021", "POST", f"{at}/certificates/attach", {"certificate_ids": ["0" * 32]})
    refused(world, 404, "APIG.3020", "POST", f"{group}/domains/{'0' * 32}/certificates/attach", one)
    refused(world, 404, "APIG.3097", "POST", f"{at}/certificates/detach", one)
    refused(world, 400, "APIG.2011", "POST", f"{at}/certificates/attach", {**one, "verified_client_certificate_enabled": True})
    refused(world, 400, "APIG.2011", "PUT", at, {"min_ssl_version": "TLSv1.2", "verified_client_certificate_enabled": True})
    for _ in range(2):  # again is no fault
        world.want(204, "POST", f"{at}/certificates/attach", one)
    refused(world, 400, "APIG.2051", "POST", f"{at}/certificates/attach", {"certificate_ids": [own]})
    refused(world, 409, "SLUICE.0315", "DELETE", f"{top}/{first}")
    shown = world.want(200, "GET", group)["url_domains"][0]
    assert (shown["ssl_id"], shown["ssl_name"]) == (first, f"new_{uid}") and not shown["is_has_trusted_root_ca"], shown
    page = world.want(200, "GET", f"{top}/{first}/attached-domains")
    assert page["total"] == 1 and page["bound_domains"][0]["api_group_id"] == world.names["g"]["id"], page
    assert page["bound_domains"][0]["instance_id"] == world.instance and page["bound_domains"][0]["ssl_id"] == first
    assert world.want(200, "GET", f"{top}/{first}/attached-domains?url_domain=org")["total"] == 0
    assert world.want(200, "GET", f"{at}/certificate/{first}")["san"][0] == "a.example.com"
    refused(world, 404, "APIG.3097", "GET", f"{at}/certificate/{own}")
    refused(world, 400, "APIG.2103", "PUT", f"{top}/{first}", body(f"new_{uid}", authority.issue("x", names="DNS:x.org")))
    world.want(204, "POST", f"{top}/{first}/domains/detach", {"domains": [{"domain": "A.example.com"}]})
    refused(world, 404, "APIG.3097", "POST", f"{top}/{first}/domains/detach", {"domains": [{"domain": "a.example.com"}]})

    # An authority for clients: they are asked from then on, unless that is not wanted, until it goes.
    ca = body(f"new_{uid}", good, trusted_root_ca=authority.certificate)
    world.want(200, "PUT", f"{top}/{first}", ca)
    world.want(204, "POST", f"{top}/{first}/domains/attach", {"domains": [
        {"domain": "a.example.com", "instance_ids": [world.instance], "verified_client_certificate_enabled": False}]})
    assert not world.want(200, "GET", group)["url_domains"][0]["verified_client_certificate_enabled"]
    changed = world.want(201, "PUT", at, {"min_ssl_version": "TLSv1.2", "verified_client_certificate_enabled": True})
    assert changed["verified_client_certificate_enabled"], changed
    world.want(200, "PUT", f"{top}/{first}", {**ca, "trusted_root_ca": ""})
    assert not world.want(200, "GET", group)["url_domains"][0]["verified_client_certificate_enabled"]
    refused(world, 404, "APIG.3020", "POST", f"{top}/{first}/domains/attach", {"domains": [
        {"domain": "a.example.com", "instance_ids": ["0" * 32]}]})
    world.want(204, "POST", f"{at}/certificates/detach", one)

    # The older way: it comes with the domain, and goes with its binding.
    older = world.want(201, "POST", f"{at}/certificate", body(f"old_{uid}", good))
    assert (older["id"], older["ssl_name"], older["url_domain"]) == (domain, f"old_{uid}", "a.example.com"), older
    refused(world, 404, "APIG.3020", "POST", f"{group}/domains/{'0' * 32}/certificate", body(f"olt_{uid}", good))
    world.want(204, "DELETE", f"{at}/certificate/{older['ssl_id']}")
    refused(world, 404, "APIG.3097", "DELETE", f"{at}/certificate/{older['ssl_id']}")
    refused(world, 404, "APIG.3021", "GET", f"{top}/{older['ssl_id']}")

    # A domain that goes, goes with its bindings.
    world.want(204, "POST", f"{at}/certificates/attach", one)
    world.want(204, "DELETE", at)
    for gone in pair:
        world.want(204, "DELETE", f"{top}/{gone}")


def story(world):
    world.group("g")
    uid = world.uid
    with Authority("first") as authority:
        good = authority.issue("one", names="DNS:a.example.com,DNS:*.A.example.com")
        checks(world, authority, good)
        bound(world, authority, good, lives(world, authority, good, uid), uid)
