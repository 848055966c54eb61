"""sluice-admin: accounts, users, keys, gateways and nodes from the command line, and what it refuses"""
import json
import os
import subprocess
import tempfile

ONLINE = ("service", "domain", "project", "user", "access-key", "policy", "gateway", "node")


def story(world):
    stack = world.stack

    def run(*words, given="", peer=True):
        head = [stack.build / "bin/sluice-admin"]
        if peer:
            head += ["--peer", stack.var / "secrets/admin.peer"]
        return subprocess.run(head + list(words), env=stack.environ(), input=given,
                              capture_output=True, text=True, timeout=60)

    def done(*words, given=""):
        ended = run(*words, given=given)
        assert ended.returncode == 0 and ended.stderr == "", (words, ended)
        return ended.stdout

    def refused(*words, status=1, says, **more):
        """One line on standard error says why; nothing on standard output."""
        ended = run(*words, **more)
        assert ended.returncode == status, (words, ended)
        assert says in ended.stderr and ended.stdout == "", (words, ended)
        assert status == 2 or ended.stderr.count("\n") == 1, (words, ended)

    not_a_command(run, refused)
    waits(done, refused, stack)
    domain = f"acme_{world.uid}"
    accounts(done, refused, domain, world.uid)
    keys(done, refused, domain)
    gateways(done, refused, domain, stack, world.uid)


def not_a_command(run, refused):
    """Help, and what is no command: told before anything is asked of the bus."""
    listed = run("--help", peer=False)
    assert listed.returncode == 0, listed
    for word in ONLINE:
        assert f"\n  {word} " in listed.stdout, (word, listed.stdout)
    own = run("user", "create", "--help", peer=False)
    assert own.returncode == 0 and "--password-stdin" in own.stdout, own
    assert run("--version", peer=False).stdout.startswith("sluice-admin ")
    refused("user", "invent", status=2, says="unknown command 'user invent'")
    refused("--loud", status=2, says="unknown option '--loud'")
    refused("project", "create", "main", status=2, says="--domain")
    refused("project", "create", "main", "--domain", status=2, says="--domain")
    refused("domain", "create", status=2, says="NAME")
    refused("domain", "create", "a", "b", status=2, says="b")
    refused("domain", "create", "a", "--color", status=2, says="--color")
    refused("access-key", "create", "--user", "u", "--domain", "d", "--expires-in", "soon", status=2,
            says="--expires-in")


def waits(done, refused, stack):
    """What works is answered for at once, what does not is named when the time is up."""
    assert done("service", "wait", "registry,throttle,identity,publisher") == (
        "registry\nthrottle\nidentity\npublisher\n")
    refused("service", "wait", "registry,nobody", says="no service 'nobody'")
    refused("service", "wait", "", says="no service ''")
    for seconds in ("0", "3601"):
        refused("service", "wait", "registry", "--seconds", seconds, says="--seconds")
    gateway = stack.env["SLUICE_INSTANCE_ID"]
    assert done("node", "wait", "--gateway", gateway).count("health=ready") == 2
    refused("node", "wait", "--gateway", "0" * 32, "--seconds", "1",
            says="waited in vain for 'nodes'")


def accounts(done, refused, domain, uid):
    """Accounts, projects and users; passwords come by standard input or are shown once."""
    assert json.loads(done("domain", "create", domain, "--json"))["name"] == domain
    assert f"name={domain}" in done("domain", "list")
    refused("domain", "create", domain, says="account name already exists")
    project = done("project", "create", "main", "--domain", domain, "--field", "id").strip()
    assert len(project) == 32, project
    refused("project", "create", "main", "--domain", "nobody",
            says="account does not exist")
    listed = json.loads(done("project", "list", "--domain", domain, "--json"))["projects"]
    assert [row["id"] for row in listed] == [project], listed
    made = done("user", "create", "given", "--domain", domain, "--password-stdin",
                given="a long password 1\n")
    assert "password" not in made, made
    shown = json.loads(done("user", "create", "made", "--domain", domain, "--generate", "--json",
                            "--policy", "APIG ReadOnlyAccess"))
    assert len(shown["password"]) >= 16, shown
    refused("user", "create", "made", "--domain", domain, "--generate",
            says="user name already exists")
    refused("user", "create", "x", "--domain", domain, "--policy", "none such",
            says="policy does not exist")
    refused("user", "create", "x", "--domain", domain, "--password-stdin", given="\n", status=2,
            says="--password-stdin")
    done("user", "update", "made", "--domain", domain, "--disable", "--revoke")
    rows = json.loads(done("user", "list", "--domain", domain, "--json"))["users"]
    assert {row["name"]: row["enabled"] for row in rows} == {"given": True, "made": False}, rows
    refused("user", "update", "gone", "--domain", domain, "--enable", says="user does not exist")
    done("user", "delete", "made", "--domain", domain)
    refused("user", "delete", "made", "--domain", domain, says="user does not exist")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write("{")
        file.flush()
        refused("policy", "create", f"p_{uid}", "--document", file.name, status=2,
                says="--document")
    refused("policy", "delete", "APIG FullAccess", says="predefined")


def keys(done, refused, domain):
    """Access keys: the secret is shown once, temporary ones end."""
    of_user = ("--user", "given", "--domain", domain)
    key = json.loads(done("access-key", "create", *of_user, "--json"))
    short = json.loads(done("access-key", "create", *of_user, "--temporary", "900", "--json"))
    assert key["secret"] and "security_token" not in key, key
    assert short["security_token"] and short["expires_at"] > 0, short
    refused("access-key", "create", *of_user, "--temporary", "90000", says="temporary")
    listed = done("access-key", "list", *of_user)
    assert key["access"] in listed and key["secret"] not in listed, listed
    done("access-key", "delete", key["access"])
    refused("access-key", "delete", key["access"], says="access key does not exist")


def gateways(done, refused, domain, stack, uid):
    """A gateway's life; one that a node serves cannot be deleted."""
    project = done("project", "create", "second", "--domain", domain, "--field", "id").strip()
    gateway = done("gateway", "create", "edge", "--project", project, "--address", "192.0.2.1",
                   "--domain-suffix", "edge.example", "--field", "id").strip()
    refused("gateway", "create", "edge", "--project", project, says="name already exists")
    done("gateway", "set", gateway, "domain_call_limit=0", "api_default_limit=7")
    refused("gateway", "set", gateway, "no_such=1", says="no_such")
    refused("gateway", "set", gateway, "loose words", status=2, says="loose words")
    done("gateway", "update", gateway, "--name", "rim", "--address", "192.0.2.2")
    rows = json.loads(done("gateway", "list", "--json"))["instances"]
    row = next(row for row in rows if row["id"] == gateway)
    assert row["instance_name"] == "rim" and row["addresses"] == ["192.0.2.2"], row
    assert row["settings"] == {"domain_call_limit": "0", "api_default_limit": "7"}, row
    allow = stack.var / "allow"
    with tempfile.TemporaryDirectory() as place:
        peer = os.path.join(place, "extra.peer")
        node = f"extra-{uid.replace('_', '-')}"
        done("node", "add", node, "--gateway", gateway, "--bus",
             str(stack.var / "secrets/admin.peer"), "--allow", str(allow), "--out", peer)
        assert os.stat(peer).st_mode & 0o777 == 0o600
        assert node in done("node", "list", "--gateway", gateway)
        refused("node", "add", node, "--gateway", gateway, "--bus",
                str(stack.var / "secrets/admin.peer"), "--allow", str(allow), "--out", peer,
                says="exists")
        refused("gateway", "delete", gateway, says="remove them first")
        done("node", "remove", node, "--allow", str(allow))
        refused("node", "remove", node, "--allow", str(allow), says=f"node {node} does not exist")
    done("gateway", "delete", gateway)
    refused("gateway", "delete", gateway, says="nstance not found")
    refused("gateway", "update", gateway, "--name", "again", says="nstance not found")
