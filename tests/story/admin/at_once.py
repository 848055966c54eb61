"""what sluice-admin has made is used at once: accounts, projects, users, keys, gateways, policies"""
ROUNDS = 5


def story(world):
    admin = world.stack.admin
    for number in range(ROUNDS):
        domain = f"now_{world.uid}_{number}"
        admin("domain", "create", domain)
        project = admin("project", "create", "main", "--domain", domain)["id"]
        admin("user", "create", "first", "--domain", domain, "--generate", "--policy",
              "APIG FullAccess")
        gateway = admin("gateway", "create", "edge", "--project", project)["id"]
        key = admin("access-key", "create", "--user", "first", "--domain", domain)
        caller = {"ak": key["access"], "sk": key["secret"]}
        base = f"/v2/{project}/apigw/instances/{gateway}"
        made = world.manage("POST", f"{base}/api-groups", {"name": "first"}, caller=caller)
        assert made.status == 201, made
        # The administrator of another account has nothing here, now or later.
        other = world.manage("GET", f"{base}/api-groups", check=False)
        assert (other.status, other.json["error_code"]) == (404, "APIG.3030"), other
