"""eight writers on the same apps, environments, policies, authorisations and bindings: nothing is half-done"""
import collections
import concurrent.futures

from invariants import broken

WRITERS, ROUNDS, SAME = 8, 6, 2
RELEASE = "DEFAULT_ENVIRONMENT_RELEASE_ID"
# What a writer may be told of each, by the place where it asks: there already, gone, in use, full, or taken back meanwhile.
ERRORS = {"apps": {"APIG.3203", "APIG.3002", "APIG.3004"},
          "app-auths": {"APIG.3004", "APIG.3009", "APIG.3015"},
          "envs": {"APIG.3205", "APIG.3003", "APIG.3418"},
          "apis": {"APIG.3003", "APIG.3015"},
          "throttles": {"APIG.3204", "APIG.3005", "APIG.3451"},
          "throttle-bindings": {"APIG.3005", "APIG.3012", "APIG.3015"}}
LIMIT = {"type": 1, "time_interval": 1, "time_unit": "DAY"}


class Writer:
    """Makes, changes, uses and deletes the same things as all the others."""

    def __init__(self, world, number, met, faults):
        self.world, self.number, self.met, self.faults = world, number, met, faults
        self.api = world.names["a"]

    def ask(self, method, path, body=None):
        reply = self.world.manage(method, path, body)
        if reply.status < 400:
            return reply.json
        kind = path.split("/")[1]
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

    def run(self):
        for turn in range(ROUNDS):
            for write in (self.app, self.environment, self.throttle):
                write((self.number + turn) % SAME, (self.number + turn) // SAME % 2)


def check(world, names):
    """What the lists say of what is left: each name once at most, totals as they are."""
    for path, key in (("/apps", "apps"), ("/envs", "envs"), ("/throttles", "throttles")):
        left = world.want(200, "GET", f"{path}?limit=500")
        told = [one["name"] for one in left[key]]
        assert left["total"] == len(told) == len(set(told)) and set(told) <= names, (path, left)
    bound = world.want(200, "GET", f"/throttle-bindings/binded-throttles?api_id={world.names['a']['id']}")
    assert bound["total"] <= 1, bound


def story(world):
    world.group("g")
    world.api("a", auth_type="APP")
    world.publish("a")
    met, faults = collections.Counter(), []
    writers = [Writer(world, number, met, faults) for number in range(WRITERS)]
    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(Writer.run, writers))
    assert not faults, faults[:5]
    assert {kind for kind, _ in met} >= {"apps", "envs", "throttles"}, f"nobody was in anybody's way: {met}"
    assert not broken(world), broken(world)
    check(world, {"RELEASE"} | {f"same_{which}" for which in range(SAME)})
