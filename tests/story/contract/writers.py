"""eight writers on the same apps, environments, policies, domains, channels, keys, certificates and bindings: nothing is half-done"""
import collections
import concurrent.futures

from authority import Authority
from invariants import broken

WRITERS, ROUNDS, SAME = 8, 6, 2
RELEASE = "DEFAULT_ENVIRONMENT_RELEASE_ID"
# What a writer may be told of each, by the place where it asks: there already, gone, in use, full, or taken back meanwhile.
ERRORS = {"apps": {"APIG.3203", "APIG.3002", "APIG.3004"},
          "app-auths": {"APIG.3004", "APIG.3009", "APIG.3015"},
          "envs": {"APIG.3205", "APIG.3003", "APIG.3418"},
          "apis": {"APIG.3003", "APIG.3015", "APIG.3023"},
          "throttles": {"APIG.3204", "APIG.3005", "APIG.3451"},
          "throttle-bindings": {"APIG.3005", "APIG.3012", "APIG.3015"},
          "domains": {"APIG.3305", "APIG.3020"},
          "vpc-channels": {"APIG.3208", "APIG.3023", "APIG.3414"},
          "members": {"APIG.2011", "APIG.3023"},  # 2011: the group of servers is gone
          "member-groups": {"APIG.3023", "SLUICE.0330"},
          "signs": {"APIG.3207", "APIG.3017"},
          "sign-bindings": {"APIG.3017", "APIG.3018"},
          "certificates": {"APIG.2051", "APIG.3020", "APIG.3021", "APIG.3097", "APIG.3325", "SLUICE.0315"}}
CHANNEL = {"port": 80, "balance_strategy": 1, "member_type": "ip"}
LIMIT = {"type": 1, "time_interval": 1, "time_unit": "DAY"}


class Writer:
    """Makes, changes, uses and deletes the same things as all the others."""

    def __init__(self, world, number, pair, met, faults):
        self.world, self.number, self.met, self.faults = world, number, met, faults
        self.api, self.pair = world.names["a"], pair

    def ask(self, method, path, body=None):
        reply = self.world.manage(method, path, body)
        if reply.status < 400:
            return reply.json
        parts = [part for part in path.split("/") if part in ERRORS]
        kind = "certificates" if "certificates" in parts else parts[-1]  # their bindings are asked for from both sides
        code = reply.json["error_code"]
        self.met[kind, code] += 1
        if reply.status >= 500 or code not in ERRORS[kind]:
            self.faults.append(f"{method} {path}: {reply}")
        return None

    def found(self, path, key, name):
        """The id of what has this name at the moment; None: nothing."""
        there = self.world.want(200, "GET", f"{path}?name={name}")[key]
        return there[0]["id"] if there else None

    def app(self, which, deletes):
        self.ask("POST", "/apps", {"name": f"same_{which}"})
        app = self.found("/apps", "apps", f"same_{which}")
        if app is None:
            return
        self.ask("PUT", f"/apps/{app}", {"name": f"same_{which}", "remark": f"by {self.number}"})
        self.ask("PUT", f"/apps/secret/{app}", {})
        made = self.ask("POST", "/app-auths", {"env_id": RELEASE, "app_ids": [app], "api_ids": [self.api["id"]]})
        results = [one["auth_result"]["status"] for one in (made or {"auths": []})["auths"]]
        if not set(results) <= {"SUCCESS", "SKIPPED"}:
            self.faults.append(f"authorised: {made}")
        if deletes and made:
            self.ask("DELETE", f"/app-auths/{made['auths'][0]['id']}")
            self.ask("DELETE", f"/apps/{app}")

    def environment(self, which, deletes):
        self.ask("POST", "/envs", {"name": f"same_{which}"})
        env = self.found("/envs", "envs", f"same_{which}")
        if env is None:
            return
        self.ask("PUT", f"/envs/{env}", {"name": f"same_{which}", "remark": f"by {self.number}"})
        self.ask("POST", "/apis/action", {"action": "online", "api_id": self.api["id"], "env_id": env})
        if deletes:
            self.ask("POST", "/apis/action", {"action": "offline", "api_id": self.api["id"], "env_id": env})
            self.ask("DELETE", f"/envs/{env}")

    def throttle(self, which, deletes):
        self.ask("POST", "/throttles", {**LIMIT, "name": f"same_{which}", "api_call_limits": 5})
        throttle = self.found("/throttles", "throttles", f"same_{which}")
        if throttle is None:
            return
        self.ask("PUT", f"/throttles/{throttle}", {**LIMIT, "name": f"same_{which}", "api_call_limits": 5 + self.number})
        made = self.ask("POST", "/throttle-bindings", {"strategy_id": throttle, "publish_ids": [self.api["publish_id"]]})
        if deletes:
            if made:
                self.ask("DELETE", f"/throttle-bindings/{made['throttle_applys'][0]['id']}")
            self.ask("DELETE", f"/throttles/{throttle}")

    def channel(self, which, deletes):
        named = {**CHANNEL, "name": f"same_{which}"}
        self.ask("POST", "/vpc-channels", named)
        channel = self.found("/vpc-channels", "vpc_channels", f"same_{which}")
        if channel is None:
            return
        path, servers = f"/vpc-channels/{channel}", [{"host": f"10.0.0.{self.number}"}, {"host": "10.0.1.1", "member_group_name": "same"}]
        made = self.ask("POST", f"{path}/member-groups", {"member_groups": [{"member_group_name": "same"}]})
        self.ask("PUT", f"{path}/members", {"members": servers})
        self.ask("PUT", path, {**named, "port": 80 + self.number})
        body = self.world.names["u"]["body"]
        channelled = {"vpc_channel_status": 1, "vpc_channel_info": {"vpc_channel_id": channel}}
        self.ask("PUT", f"/apis/{self.world.names['u']['id']}", {**body, "backend_api": {**body["backend_api"], **channelled}})
        if deletes:
            if made:
                self.ask("DELETE", f"{path}/member-groups/{made['member_groups'][0]['member_group_id']}")
            self.ask("PUT", f"/apis/{self.world.names['u']['id']}", body)
            self.ask("DELETE", path)

    def sign(self, which, deletes):
        self.ask("POST", "/signs", {"name": f"same_{which}"})
        sign = self.found("/signs", "signs", f"same_{which}")
        if sign is None:
            return
        self.ask("PUT", f"/signs/{sign}", {"name": f"same_{which}", "sign_type": "basic"})
        made = self.ask("POST", "/sign-bindings", {"sign_id": sign, "publish_ids": [self.api["publish_id"]]})
        if deletes:
            if made:
                self.ask("DELETE", f"/sign-bindings/{made['bindings'][0]['id']}")
            self.ask("DELETE", f"/signs/{sign}")

    def certificate(self, which, deletes):
        """A domain and a certificate of its own and of the other's, from either side."""
        top, at = certificates(self.world), f"/api-groups/{self.world.names['g']['id']}/domains"
        body = {"name": f"same_{which}", "cert_content": self.pair[0], "private_key": self.pair[1]}
        self.ask("POST", top, body)
        self.ask("POST", at, {"url_domain": f"same-{which}.example.com"})
        listed = self.world.want(200, "GET", f"{top}?instance_id={self.world.instance}&name=same_{which}")["certs"]
        group = self.world.want(200, "GET", f"/api-groups/{self.world.names['g']['id']}")
        domains = [one["id"] for one in group["url_domains"]]
        if not listed or not domains:
            return
        certificate, domain = listed[0]["id"], f"{at}/{domains[which % len(domains)]}"
        self.ask("PUT", f"{top}/{certificate}", body)
        self.ask("PUT", domain, {"min_ssl_version": "TLSv1.2"})
        self.ask("POST", f"{domain}/certificates/attach", {"certificate_ids": [certificate]})
        named = {"domains": [{"domain": f"same-{number}.example.com"} for number in range(SAME)]}
        self.ask("POST", f"{top}/{certificate}/domains/attach", named)
        if deletes:
            self.ask("POST", f"{domain}/certificates/detach", {"certificate_ids": [certificate]})
            self.ask("DELETE", domain)
            self.ask("DELETE", f"{top}/{certificate}")

    def run(self):
        for turn in range(ROUNDS):
            for write in (self.app, self.environment, self.throttle, self.channel, self.sign, self.certificate):
                write((self.number + turn) % SAME, (self.number + turn) // SAME % 2)


def certificates(world):
    return f"/v2/{world.project}/apigw/certificates"


def check(world, names):
    """What the lists say of what is left: each name once at most, totals as they are."""
    for path, key in (("/apps", "apps"), ("/envs", "envs"), ("/throttles", "throttles"), ("/vpc-channels", "vpc_channels"),
                      ("/signs", "signs")):
        left = world.want(200, "GET", f"{path}?limit=500")
        told = [one["name"] for one in left[key]]
        assert left["total"] == len(told) == len(set(told)) and set(told) <= names, (path, left)
    bound = world.want(200, "GET", f"/throttle-bindings/binded-throttles?api_id={world.names['a']['id']}")
    assert bound["total"] <= 1, bound
    signed = world.want(200, "GET", f"/sign-bindings/binded-signs?api_id={world.names['a']['id']}")
    assert signed["total"] <= 1, signed
    for channel in world.want(200, "GET", "/vpc-channels")["vpc_channels"]:
        servers = world.want(200, "GET", f"/vpc-channels/{channel['id']}/members")["members"]
        assert len({one["host"] for one in servers}) == len(servers) in (0, 2), servers  # one writer's set, whole
    check_names(world, names)


def check_names(world, names):
    """Each domain shows what the certificate says that it shows, and is told of in its group."""
    group = world.want(200, "GET", f"/api-groups/{world.names['g']['id']}")["url_domains"]
    shown = {one["domain"]: one.get("ssl_id") for one in group}
    assert len(shown) == len(group) <= SAME, group
    left = world.want(200, "GET", f"{certificates(world)}?instance_id={world.instance}")
    assert left["total"] == len({one["name"] for one in left["certs"]} & names), left
    told = {one["url_domain"]: certificate["id"] for certificate in left["certs"] for one in world.want(
        200, "GET", f"{certificates(world)}/{certificate['id']}/attached-domains")["bound_domains"]}
    assert told == {domain: certificate for domain, certificate in shown.items() if certificate}, (told, group)


def story(world):
    world.group("g")
    world.api("a", auth_type="APP")
    world.api("u")
    world.publish("a")
    met, faults = collections.Counter(), []
    with Authority("writers") as authority:
        pair = authority.issue("one", names="DNS:*.example.com")
    writers = [Writer(world, number, pair, met, faults) for number in range(WRITERS)]
    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(Writer.run, writers))
    assert not faults, faults[:5]
    assert {kind for kind, _ in met} >= {"apps", "envs", "throttles", "vpc-channels", "signs", "domains", "certificates"}, f"nobody was in anybody's way: {met}"
    assert not broken(world), broken(world)
    check(world, {"RELEASE"} | {f"same_{which}" for which in range(SAME)})
