"""What a story works with: its project and gateway, the callers, and the shorthands of `given`."""
import itertools
import json
import threading
import urllib.parse
import uuid

import client
import signer
from stack import wait_until

UNITS_S = 30
RELEASE = "DEFAULT_ENVIRONMENT_RELEASE_ID"
WAIT_MS = 10000
_counter = itertools.count(1)
_admin_lock = threading.Lock()


class World:
    """One story's view of a stack. `names` is what `{…}` refers to."""

    def __init__(self, stack, contract, served):
        self.stack = stack
        self.contract = contract
        self.env = stack.env
        self.uid = f"{next(_counter)}_{uuid.uuid4().hex[:6]}"
        self.project = self.env["SLUICE_PROJECT_ID"]
        self.instance = self.env["SLUICE_INSTANCE_ID"]
        if not served:
            self._own_gateway()
        self.names = {"uid": self.uid, "project": self.project, "instance": self.instance,
                      "RELEASE": RELEASE, "echo": self.env["SLUICE_ECHO_ADDR"],
                      "zero": "0" * 32, "env": self.env}
        self.waits = served  # publications wait for nodes only where nodes serve
        self.made = []
        self.more_nodes = {}  # number → URL of those that a bench started beside the quickstart's

    def _own_gateway(self):
        # One at a time: the commands are short and hash passwords or take row locks.
        with _admin_lock:
            project = self.stack.admin("project", "create", f"p_{self.uid}", "--domain",
                                       self.env["SLUICE_DOMAIN_NAME"])
            self.project = project["id"]
            gateway = self.stack.admin("gateway", "create", f"gw_{self.uid}", "--project",
                                       self.project)
            self.instance = gateway["id"]

    # ---- management ----

    @property
    def base(self):
        return f"/v2/{self.project}/apigw/instances/{self.instance}"

    def target(self, path):
        """A path of a story: below the gateway unless it starts at a version or says `raw:`."""
        if path.startswith("raw:"):
            return path[4:]
        top = path.split("/", 2)[1] if path.startswith("/") else ""
        if top in ("v2", "v3", "openapi.json", "healthz", "readyz", "metrics"):
            return path
        return self.base + path

    def manage(self, method, path, body=None, headers=None, caller="admin", check=True):
        """One management request, signed with the administrator's key unless told otherwise.

        `caller`: admin, none, or {ak, sk} / {token}. `body`: JSON value, str or bytes as they are.
        """
        target = self.target(path)
        headers = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        content = body.encode() if isinstance(body, str) else body
        endpoint = self.env["SLUICE_ENDPOINT"]
        headers.setdefault("Host", urllib.parse.urlsplit(endpoint).netloc)
        if caller == "admin":
            caller = {"ak": self.env["SLUICE_AK"], "sk": self.env["SLUICE_SK"]}
        if isinstance(caller, dict) and "token" in caller:
            headers["X-Auth-Token"] = caller["token"]
        elif isinstance(caller, dict):
            to_sign = {"Host": headers["Host"], "X-Project-Id": self.project}
            headers.update(signer.sign(method, target, to_sign, content or b"", caller["ak"],
                                       caller["sk"]))
        reply = client.request(endpoint, method, target, headers, content)
        if check:
            self.contract.check(method, target, reply)
        return reply

    def want(self, status, method, path, body=None, **more):
        """A management request that must end with `status`; answers the JSON body."""
        reply = self.manage(method, path, body, **more)
        assert reply.status == status, f"{method} {path}: {reply}"
        return reply.json

    def token(self, user=None, password=None, scope=None):
        """POST /v3/auth/tokens; the reply."""
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
            "name": user or self.env["SLUICE_USERNAME"],
            "password": password or self.env["SLUICE_PASSWORD"],
            "domain": {"name": self.env["SLUICE_DOMAIN_NAME"]}}}},
            "scope": scope or {"project": {"id": self.project}}}}
        return self.manage("POST", "/v3/auth/tokens", body, caller="none")

    # ---- given ----

    def group(self, name, **fields):
        body = {"name": f"{name}_{self.uid}", **fields}
        made = self.want(201, "POST", "/api-groups", body)
        self._remember(name, made, f"/api-groups/{made['id']}")

    def environment(self, name, **fields):
        made = self.want(201, "POST", "/envs", {"name": f"{name}_{self.uid}", **fields})
        self._remember(name, made, f"/envs/{made['id']}")

    def api(self, name, group="g", **fields):
        """An open GET /<name> to the echo backend unless the fields say otherwise."""
        body = {"name": f"{name}_{self.uid}", "group_id": self.names[group]["id"], "type": 1,
                "req_protocol": "BOTH", "req_method": "GET", "req_uri": f"/{name}",
                "match_mode": "NORMAL", "auth_type": "NONE", "backend_type": "HTTP",
                "backend_api": {"url_domain": self.env["SLUICE_ECHO_ADDR"],
                                "req_protocol": "HTTP", "req_method": "GET",
                                "req_uri": f"/back/{name}", "timeout": 5000}}
        backend = fields.pop("backend", {})
        body["backend_api"].update(backend)
        body.update(fields)
        if body["backend_type"] not in ("HTTP", "GRPC"):
            del body["backend_api"]
        made = self.want(201, "POST", "/apis", body)
        made["body"] = body
        self._remember(name, made, f"/apis/{made['id']}")

    def publish(self, api, env="RELEASE", action="online"):
        """Publishes (or takes offline) and, where nodes serve, waits for all of them."""
        body = {"action": action, "api_id": self.names[api]["id"], "env_id": self.env_id(env)}
        query = f"?wait_ms={WAIT_MS}" if self.waits else ""
        made = self.want(201, "POST", f"/apis/action{query}", body)
        if action == "online":
            self.names[api].update(publish_id=made["publish_id"], version_id=made["version_id"])
            self.names["published"] = made
        return made

    def offline(self, api, env="RELEASE"):
        return self.publish(api, env, "offline")

    def settle(self, api):
        """Waits until all that was changed so far is live on every node, by publishing again."""
        assert self.waits, "nodes serve the shared gateway only"
        self.publish(api)

    def env_id(self, env):
        return RELEASE if env == "RELEASE" else self.names[env]["id"]

    def feature(self, name, config=None):
        """Sets a feature of the gateway, or with no configuration switches it off.

        As often as a story likes. Nodes know it after settle(); only a story with a deployment of
        its own may change what other stories meet.
        """
        with _admin_lock:
            self.stack.admin("gateway", "set", self.instance, "feature_interval=0")
        text = config if isinstance(config, str) or config is None else json.dumps(config)
        body = {"name": name, "enable": text is not None}
        return self.want(201, "POST", "/features", body | ({"config": text} if text else {}))

    def app(self, name, **fields):
        made = self.want(201, "POST", "/apps", {"name": f"{name}_{self.uid}", **fields})
        self._remember(name, made, f"/apps/{made['id']}")

    def app_code(self, name, app, **fields):
        body = {"app_code": (name + uuid.uuid4().hex * 3)[:64], **fields}
        made = self.want(201, "POST", f"/apps/{self.names[app]['id']}/app-codes", body)
        self.names[name] = made

    def auth(self, app, api, env="RELEASE"):
        body = {"env_id": self.env_id(env), "app_ids": [self.names[app]["id"]],
                "api_ids": [self.names[api]["id"]]}
        made = self.want(201, "POST", "/app-auths", body)
        self.names["auth"] = made["auths"][0]

    def throttle(self, name, **fields):
        body = {"name": f"{name}_{self.uid}", "type": 1, "time_interval": 1, "time_unit": "DAY",
                "api_call_limits": 3, **fields}
        made = self.want(201, "POST", "/throttles", body)
        self._remember(name, made, f"/throttles/{made['id']}")

    def binding(self, api, throttle, env="RELEASE"):
        publish_id = self.names[api]["publish_id"]
        assert self.env_id(env)
        made = self.want(201, "POST", "/throttle-bindings", {
            "strategy_id": self.names[throttle]["id"], "publish_ids": [publish_id]})
        self.names["binding"] = made["throttle_applys"][0]

    def sign(self, name, **fields):
        made = self.want(201, "POST", "/signs", {"name": f"{name}_{self.uid}", **fields})
        self._remember(name, made, f"/signs/{made['id']}")

    def sign_binding(self, api, sign):
        made = self.want(201, "POST", "/sign-bindings", {
            "sign_id": self.names[sign]["id"], "publish_ids": [self.names[api]["publish_id"]]})
        self.names["sign_binding"] = made["bindings"][0]

    def _remember(self, name, made, path):
        self.names[name] = made
        self.made.append(path)

    # ---- data plane ----

    def data_url(self, node):
        if node in self.more_nodes:
            return self.more_nodes[node]
        return self.env[{1: "SLUICE_DATA_URL", 2: "SLUICE_DATA2_URL", "1": "SLUICE_DATA_URL",
                         "2": "SLUICE_DATA2_URL", "tls": "SLUICE_DATA_TLS_URL",
                         "h2": "SLUICE_DATA_TLS_URL"}[node]]

    def call(self, method, target, node=1, group="g", headers=None, body=None, app=None,
             code=None, source=None):
        """One call through a node (1, 2, tls, h2), to the group's debugging domain.

        `app` signs with that app's key, `code` sends that AppCode, `source` is the address that
        the call comes from (nodes 1 and 2).
        """
        headers = {"Host": self.names[group]["sl_domain"] if group else "unknown.example.com",
                   **(headers or {})}
        content = body.encode() if isinstance(body, str) else body
        if code:
            headers["X-Apig-AppCode"] = self.names[code]["app_code"]
        if app:
            held = self.names[app]
            to_sign = {"Host": headers["Host"]}
            headers.update(signer.sign(method, target, to_sign, content or b"", held["app_key"],
                                       held["app_secret"]))
        if node == "h2":
            reply = client.request_h2(self.data_url(node), method, target, headers, content)
        else:
            reply = client.request(self.data_url(node), method, target, headers, content,
                                   source=source)
        self.contract.meet(reply)
        return reply

    def admitted(self, wanted, call, more=12):
        """The replies of as many calls as it takes until `wanted` are admitted, and of `more` after them.

        `call(number)` makes one. One that waits 20 ms in vain for its unit is refused and uses nothing
        up (architecture 7), so how many it takes is the machine's affair.
        """
        replies = []

        def all_units():
            replies.append(call(len(replies)))
            return [reply.status for reply in replies].count(200) >= wanted
        wait_until(all_units, UNITS_S, f"{wanted} calls to be admitted")
        return replies + [call(number) for number in range(more)]

    def close(self):
        """Deletes what the story made on the served gateway, so that quotas last."""
        if not self.waits:
            return
        for path in reversed(self.made):
            if path.startswith("/apis/"):
                body = {"action": "offline", "api_id": path.split("/")[2], "env_id": RELEASE}
                self.manage("POST", "/apis/action", body, check=False)
            self.manage("DELETE", path, check=False)
