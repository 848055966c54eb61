"""what was deleted is served no longer, on any node: domains, certificates, servers of channels, signature keys"""
import contextlib
import socket
import ssl
import urllib.parse

from authority import Authority
from backend import Backend

SERVED = True
NODES = (1, 2, "tls", "h2")


def shown(world, host):
    """The certificate (DER) that a handshake with this name shows."""
    url = urllib.parse.urlsplit(world.data_url("tls"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((url.hostname, url.port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=host) as tls:
            return tls.getpeercert(binary_form=True)


def gone(world, path):
    """Deleted, and known so on all nodes."""
    world.want(204, "DELETE", path)
    world.settle("other")


def of_signs(world, server):
    """A backend is shown a signature until the binding goes, or the key with its bindings."""
    def signed():
        server.seen.clear()
        replies = [world.call("GET", "/a", node) for node in NODES]
        assert [reply.status for reply in replies] == [200] * len(NODES), replies
        return [seen.header("authorization") is not None for seen in server.seen]

    world.sign("s")
    for place, what in (("sign-bindings", "sign_binding"), ("signs", "s")):
        world.sign_binding("a", "s")
        world.settle("other")
        assert signed() == [True] * len(NODES), server.seen
        gone(world, f"/{place}/{world.names[what]['id']}")
        assert signed() == [False] * len(NODES), server.seen


def of_channels(world, servers):
    """A server that goes gets no calls; a group that goes leaves its servers, with their own weights."""
    body = {"name": f"c_{world.uid}", "port": 80, "balance_strategy": 1, "member_type": "ip",
            "member_groups": [{"member_group_name": "one", "member_group_weight": 3}],
            "members": [{"host": "127.0.0.1", "port": servers[0].port, "member_group_name": "one"},
                        {"host": "127.0.0.1", "port": servers[1].port}]}
    made = world.want(201, "POST", "/vpc-channels", body)
    path = f"/vpc-channels/{made['id']}"
    world.made.append(path)
    world.api("b", backend={"vpc_channel_status": 1, "vpc_channel_info": {"vpc_channel_id": made["id"]}})
    world.publish("b")

    def shares(node):
        before = [len(server.seen) for server in servers]
        replies = [world.call("GET", "/b", node) for _ in range(4)]
        assert [reply.status for reply in replies] == [200] * 4, replies
        return [len(server.seen) - was for server, was in zip(servers, before)]

    def shared(*wanted):
        got = [shares(node) for node in (1, 2)]
        assert got == [list(wanted)] * 2, got
    shared(3, 1)
    gone(world, f"{path}/member-groups/{made['member_groups'][0]['member_group_id']}")
    shared(2, 2)
    gone(world, f"{path}/members/{world.want(200, 'GET', path + '/members')['members'][0]['id']}")
    shared(0, 4)
    # The channel goes once nothing names it, and the API with it is nobody's.
    world.offline("b")
    gone(world, f"/apis/{world.names['b']['id']}")
    gone(world, path)
    for node in NODES:
        assert world.call("GET", "/b", node).json["error_code"] == "APIG.0101", node


def of_domains(world, top):
    """A domain leads nowhere and shows the node's own certificate when it is gone, or its group; so does one whose binding went."""
    default = shown(world, f"a.{top}")
    with Authority("deletes") as authority:
        pair = authority.issue("one", names=f"DNS:*.{top}")
    own, certificate = ssl.PEM_cert_to_DER_cert(pair[0]), {"cert_content": pair[0], "private_key": pair[1]}
    paths = {}
    for name in ("a", "b", "c"):
        at = f"/api-groups/{world.names['h']['id']}/domains"
        made = world.want(201, "POST", at, {"url_domain": f"{name}.{top}"})
        paths[name] = f"{at}/{made['id']}"
    made = world.want(201, "POST", f"{paths['a']}/certificate", {**certificate, "name": f"a{world.uid}"})
    kept = world.want(200, "POST", f"/v2/{world.project}/apigw/certificates", {**certificate, "name": f"k{world.uid}"})
    world.want(204, "POST", f"/v2/{world.project}/apigw/certificates/{kept['id']}/domains/attach",
               {"domains": [{"domain": f"{name}.{top}"} for name in ("b", "c")]})
    world.settle("other")

    def told(**wanted):
        """By domain: whether it leads to the API, and whether its own certificate is shown."""
        for name, (leads, shows) in wanted.items():
            host = f"{name}.{top}"
            codes = [world.call("GET", "/x", node, headers={"Host": host}).status for node in NODES]
            assert codes == [200 if leads else 404] * len(NODES), (name, codes)
            assert shown(world, host) == (own if shows else default), name
    told(a=(True, True), b=(True, True), c=(True, True))
    gone(world, f"{paths['a']}/certificate/{made['ssl_id']}")
    gone(world, paths["b"])
    told(a=(True, False), b=(False, False), c=(True, True))
    world.offline("x")
    gone(world, f"/apis/{world.names['x']['id']}")
    gone(world, f"/api-groups/{world.names['h']['id']}")
    told(a=(False, False), b=(False, False), c=(False, False))
    gone(world, f"/v2/{world.project}/apigw/certificates/{kept['id']}")


def story(world):
    for name in ("g", "h"):
        world.group(name)
    with contextlib.ExitStack() as held:
        servers = [held.enter_context(Backend()) for _ in range(2)]
        world.api("a", backend={"url_domain": servers[0].address})
        world.api("other")
        world.api("x", "h")
        for api in ("a", "other", "x"):
            world.publish(api)
        of_signs(world, servers[0])
        of_channels(world, servers)
        of_domains(world, world.uid.replace("_", "-") + ".example.com")
