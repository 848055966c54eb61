"""behind a load balancer: whose address counts, and which address leads to the group DEFAULT"""
OWN_STACK = True  # both concern all calls of the served gateway
SERVED = True
NODES = (1, 2)
FRONT = "192.0.2.77"


def limited(world):
    """Three calls a day of an address, whoever the peer is."""
    world.throttle("t", ip_call_limits=3, api_call_limits=100, time_unit="DAY")
    world.api("counted")
    world.publish("counted")
    world.binding("counted", "t")

    def admits_three(client):
        """And no fourth."""
        replies = world.admitted(3, lambda number: world.call("GET", "/counted", NODES[number % 2], headers=client), more=20)
        statuses = [reply.status for reply in replies]
        assert set(statuses) == {200, 429} and statuses.count(200) == 3, (client, statuses)
    world.feature("real_ip_from_xff", {"enable": "on", "xff_index": 0})
    world.settle("counted")
    for address in ("198.51.100.1", "198.51.100.2"):
        admits_three({"X-Forwarded-For": f"{address}, 10.0.0.1"})
    world.feature("real_ip_header_getter", {"enable": "on", "header_getter": "header:X-Caller"})
    world.settle("counted")
    admits_three({"X-Caller": "198.51.100.3", "X-Forwarded-For": "198.51.100.1"})
    world.feature("real_ip_header_getter")
    world.feature("real_ip_from_xff")
    world.settle("counted")
    admits_three({"X-Forwarded-For": "198.51.100.2"})  # the peer's units
    reply = world.call("GET", "/counted", headers={"X-Forwarded-For": "198.51.100.9"})
    assert reply.status == 429, reply


def trusted(world):
    """The address in front of the gateway is one of its own while the feature is on."""
    group = next(g for g in world.want(200, "GET", "/api-groups?limit=500")["groups"]
                 if g["name"] == "DEFAULT")
    world.names["d"] = group
    world.api("fronted", group="d")
    world.publish("fronted")

    def statuses():
        return [world.call("GET", "/fronted", node, headers={"Host": FRONT}).status for node in NODES]
    assert statuses() == [404, 404]
    world.feature("default_group_host_trustlist", {"enable": "on", "hosts": [FRONT]})
    world.settle("fronted")
    assert statuses() == [200, 200]
    world.feature("default_group_host_trustlist", {"enable": "off", "hosts": [FRONT]})
    world.settle("fronted")
    assert statuses() == [404, 404]


def story(world):
    world.group("g")
    try:
        limited(world)
        trusted(world)
    finally:
        for name in ("real_ip_from_xff", "real_ip_header_getter", "default_group_host_trustlist"):
            world.feature(name)
