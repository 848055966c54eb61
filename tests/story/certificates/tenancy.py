"""certificates are a project's: of all its gateways or of one, and of no other project, whichever way one asks"""
from authority import Authority

NAME = "a.example.com"


class Tenant:
    """A project of an account of its own, with a user who may do all, and requests as that user."""

    def __init__(self, world, name):
        admin, domain = world.stack.admin, f"{name}_{world.uid}"
        admin("domain", "create", domain)
        self.world, self.project = world, admin("project", "create", "main", "--domain", domain)["id"]
        admin("user", "create", "first", "--domain", domain, "--generate", "--policy", "APIG FullAccess")
        key = admin("access-key", "create", "--user", "first", "--domain", domain)
        self.caller = {"ak": key["access"], "sk": key["secret"]}
        self.certificates = f"/v2/{self.project}/apigw/certificates"

    def gateway(self, name):
        return self.world.stack.admin("gateway", "create", name, "--project", self.project)["id"]

    def __call__(self, status, method, path, body=None, code=None):
        reply = self.world.manage(method, path, body, caller=self.caller)
        assert (reply.status, code and reply.json["error_code"]) == (status, code), (path, reply)
        return reply.json if reply.body else None

    def domain(self, gateway):
        """A group of that gateway with the domain NAME; where the domain's certificates are."""
        base = f"/v2/{self.project}/apigw/instances/{gateway}"
        group = self(201, "POST", f"{base}/api-groups", {"name": "names"})["id"]
        made = self(201, "POST", f"{base}/api-groups/{group}/domains", {"url_domain": NAME})["id"]
        return f"{base}/api-groups/{group}/domains/{made}/certificates"

    def listed(self, gateway, kind=""):
        page = self(200, "GET", f"{self.certificates}?instance_id={gateway}{kind}")
        return [one["id"] for one in page["certs"]]


def story(world):
    first, second = Tenant(world, "one"), Tenant(world, "two")
    edge, core, far = first.gateway("edge"), first.gateway("core"), second.gateway("edge")
    with Authority("tenants") as authority:
        content, key = authority.issue("one", names=f"DNS:{NAME}")
    body = {"name": "cert_one", "cert_content": content, "private_key": key}
    everywhere = first(200, "POST", first.certificates, body)["id"]
    own = first(200, "POST", first.certificates, {**body, "name": "cert_edge", "type": "instance", "instance_id": edge})["id"]
    theirs = second(200, "POST", second.certificates, body)["id"]  # the name is free there

    # What is a gateway's is not shown at another, nor bound there.
    assert first.listed(edge) == [everywhere, own] and first.listed(core) == [everywhere], (everywhere, own)
    at_edge, at_core, at_far = first.domain(edge), first.domain(core), second.domain(far)
    first(404, "POST", f"{at_core}/attach", {"certificate_ids": [own]}, "APIG.3021")
    first(204, "POST", f"{at_edge}/attach", {"certificate_ids": [own]})
    first(204, "POST", f"{at_edge}/detach", {"certificate_ids": [own]})

    # A domain's name alone is all the gateways' of the project, and never another project's.
    bind = f"{first.certificates}/{everywhere}/domains"
    first(204, "POST", f"{bind}/attach", {"domains": [{"domain": NAME}]})
    bound = first(200, "GET", f"{first.certificates}/{everywhere}/attached-domains")["bound_domains"]
    assert sorted(one["instance_id"] for one in bound) == sorted([edge, core]), bound
    first(404, "POST", f"{bind}/attach", {"domains": [{"domain": NAME, "instance_ids": [far]}]}, "APIG.3020")
    first(204, "POST", f"{bind}/detach", {"domains": [{"domain": NAME, "instance_ids": [core]}]})
    left = first(200, "GET", f"{first.certificates}/{everywhere}/attached-domains")["bound_domains"]
    assert [one["instance_id"] for one in left] == [edge], left

    # Another project's does not exist, by its own path or by any other.
    for path in (f"{second.certificates}/{own}", f"{second.certificates}/{everywhere}"):
        second(404, "GET", path, code="APIG.3021")
        second(404, "PUT", path, {**body, "name": "cert_two"}, "APIG.3021")
        second(404, "DELETE", path, code="APIG.3021")
    second(404, "POST", f"{at_far}/attach", {"certificate_ids": [everywhere]}, "APIG.3021")
    second(404, "GET", f"{second.certificates}?instance_id={edge}", code="APIG.3030")
    second(404, "POST", second.certificates, {**body, "name": "cert_two", "type": "instance", "instance_id": edge}, "APIG.3030")
    assert second.listed(far) == [theirs]

    # A gateway that goes takes its own along, and no other.
    first(404, "POST", f"{bind}/detach", {"domains": [{"domain": NAME}]}, "APIG.3097")  # core's is gone
    first(204, "POST", f"{bind}/detach", {"domains": [{"domain": NAME, "instance_ids": [edge]}]})
    world.stack.admin("gateway", "delete", edge)
    first(404, "GET", f"{first.certificates}/{own}", code="APIG.3021")
    assert first.listed(core) == [everywhere]
