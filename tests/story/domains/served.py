"""a domain leads to its group on every node, the longest before shorter ones, until it is unbound"""

SERVED = True
NODES = (1, 2, "tls", "h2")


def leads(world, host, group):
    """Where calls to `host` go on every node: the API of that group, or nowhere."""
    for node in NODES:
        reply = world.call("GET", "/same", node, headers={"Host": host})
        if group is None:
            assert (reply.status, reply.json["error_code"]) == (404, "APIG.0101"), f"{host} {node}: {reply}"
        else:
            assert reply.status == 200 and reply.json["path"] == f"/back/{group}", f"{host} {node}: {reply}"


def bind(world, group, name):
    group = world.names[group]["id"]
    made = world.want(201, "POST", f"/api-groups/{group}/domains", {"url_domain": name})
    return f"/api-groups/{group}/domains/{made['id']}"


def story(world):
    for name in ("g", "h"):
        world.group(name)
        world.api(f"api_{name}", name, req_uri="/same", backend={"req_uri": f"/back/{name}"})
    top = world.uid.replace("_", "-") + ".example.com"
    long = ".".join(["x" * 60] * 3 + [top])
    exact, wild = bind(world, "g", f"www.{top}"), bind(world, "h", f"*.{top}")
    bind(world, "h", f"*.shop.{top}")
    bind(world, "g", long)
    for name in ("g", "h"):
        world.publish(f"api_{name}")
    leads(world, f"www.{top}", "g")
    leads(world, f"WWW.{top.upper()}", "g")
    leads(world, long, "g")
    leads(world, f"a.{top}", "h")
    leads(world, f"a.b.{top}", "h")
    leads(world, f"x.shop.{top}", "h")
    leads(world, top, None)

    # What is unbound falls to the wildcard; without that, to nobody.
    world.want(204, "DELETE", exact)
    world.settle("api_g")
    leads(world, f"www.{top}", "h")
    world.want(204, "DELETE", wild)
    world.settle("api_g")
    leads(world, f"www.{top}", None)
    leads(world, f"x.shop.{top}", "h")

    # The debugging domain can be closed and opened again; domains of one's own stay.
    access = f"/api-groups/{world.names['g']['id']}/sl-domain-access-settings"
    world.want(204, "PUT", access, {"sl_domain_access_enabled": False})
    world.settle("api_g")
    leads(world, world.names["g"]["sl_domain"], None)
    leads(world, long, "g")
    world.want(204, "PUT", access, {"sl_domain_access_enabled": True})
    world.settle("api_g")
    leads(world, world.names["g"]["sl_domain"], "g")

    # A group takes its domains along.
    world.offline("api_h")
    world.want(204, "DELETE", f"/apis/{world.names['api_h']['id']}")
    world.want(204, "DELETE", f"/api-groups/{world.names['h']['id']}")
    world.settle("api_g")
    leads(world, f"x.shop.{top}", None)
