"""A deployment whose gateway is as large as a bench wants (filled by SQL), with nodes beside the quickstart's two.

One API, made and published through the management API, is the pattern: SQL repeats its rows under other ids and marks
them dirty, and the publisher makes their entries as it does after an import.
"""
import contextlib
import hashlib
import http.client
import json
import pathlib
import re
import shutil
import subprocess
import time

import gateway  # first: it puts tests/lib on the path
import local
import stack as stacks

MODULE_NODES = (1, 2)  # that the quickstart starts
FILL_S = 1800  # until the publisher has made a large gateway's entries
START_S = 120  # until a node answers
GROUP_APIS = 100

FILL = """
SET statement_timeout = 0;
CREATE TEMP TABLE wanted AS SELECT n, md5('a' || n) AS api, md5('v' || n) AS version, md5('p' || n) AS publish,
    md5('g' || n / {group_apis}) AS grp FROM generate_series({first}, {last}) n;
CREATE TEMP TABLE wanted_group AS SELECT DISTINCT grp AS id FROM wanted
    WHERE grp NOT IN (SELECT id FROM api_group WHERE instance_id = '{instance}');
INSERT INTO api_group SELECT r.* FROM wanted_group w, api_group o, jsonb_populate_record(o, jsonb_build_object(
    'id', w.id, 'name', w.id, 'sl_domain', replace(o.sl_domain, o.id, w.id))) r
    WHERE o.instance_id = '{instance}' AND o.id = '{group}';
INSERT INTO api SELECT r.* FROM wanted w, api o, jsonb_populate_record(o, jsonb_build_object(
    'id', w.api, 'group_id', w.grp, 'name', 'fleet_' || w.n, 'req_uri', '/fleet/' || w.n, 'req_uri_shape', '/fleet/' || w.n)) r
    WHERE o.instance_id = '{instance}' AND o.id = '{api}';
INSERT INTO api_version (instance_id, version_id, version_no, api_id, env_id, definition)
    SELECT '{instance}', w.version, o.version_no, w.api, o.env_id, to_jsonb(a) FROM api_version o, wanted w
    JOIN api a ON a.instance_id = '{instance}' AND a.id = w.api WHERE o.instance_id = '{instance}' AND o.api_id = '{api}';
INSERT INTO publication (instance_id, publish_id, api_id, env_id, version_id)
    SELECT '{instance}', w.publish, w.api, o.env_id, w.version FROM wanted w, publication o
    WHERE o.instance_id = '{instance}' AND o.api_id = '{api}';
ANALYZE;
INSERT INTO runtime_change (gateway_id, kind, key) SELECT '{instance}', 'group', id FROM wanted_group;
INSERT INTO runtime_change (gateway_id, kind, key) SELECT '{instance}', 'host', lower(g.sl_domain)
    FROM api_group g JOIN wanted_group w ON w.id = g.id WHERE g.instance_id = '{instance}';
INSERT INTO runtime_change (gateway_id, kind, key) SELECT '{instance}', 'api', publish FROM wanted ORDER BY n;
"""


def hex_id(letter, number):
    """An id of the filling: a API, g group, p publication."""
    return hashlib.md5(f"{letter}{number}".encode(), usedforsecurity=False).hexdigest()


def received_bytes(pid):
    """What a process's tcp connections received so far; those that are closed are no longer counted."""
    text = subprocess.run(["ss", "-tinpHO"], capture_output=True, text=True, check=True).stdout
    return sum(int(count[1]) for line in text.splitlines() if f"pid={pid}," in line
               if (count := re.search(r"bytes_received:(\d+)", line)))


class Node:
    """A node of the gateway: where it answers and what its agent says. The quickstart's, or one of ours."""

    def __init__(self, fleet, number):
        self.fleet, self.name, self.stack = fleet, f"node-{number}", fleet.stack
        self.state = self.stack.var / self.name
        self.config = self.stack.var / f"config/{self.name}.yaml"
        self.unit = f"nginx-{number}"
        self.agent = self.nginx = None
        self.own = number not in MODULE_NODES
        if self.own:
            self._join()
        settings = self.config.read_text()
        self.address, self.health = (re.search(rf"(?m)^{key}: (.*)$", settings)[1].split(":") for key in
                                     ("http_listen", "health_listen"))
        self.url = "http://" + ":".join(self.address)

    def _join(self):
        """Assigns it to the gateway; its settings are node 2's, which reaches its buses over tcp."""
        self.state.mkdir()
        secrets = self.stack.var / "secrets"
        self.stack.admin("node", "add", self.name, "--gateway", self.fleet.world.instance, "--bus", secrets / "bus-1.peer",
                         "--bus", secrets / "bus-2.peer", "--over", "tcp", "--allow", self.stack.var / "allow", "--out",
                         secrets / f"{self.name}.peer")
        text = (self.stack.var / "config/node-2.yaml").read_text().replace("node-2", self.name)
        for key, value in {"http_listen": "127.0.0.1:{}", "https_listen": "127.0.0.1:{}", "health_listen": "127.0.0.1:{}",
                           "peer_listen": "tcp://127.0.0.1:{}"}.items():
            text = re.sub(rf"(?m)^{key}: .*$", f"{key}: {value.format(next(self.fleet.ports))}", text)
        self.config.write_text(text)

    def configure(self, **settings):
        """Other settings for its next start."""
        text = self.config.read_text()
        for key, value in settings.items():
            text = re.sub(rf"(?m)^{key}: .*$", f"{key}: {value}", text)
        self.config.write_text(text)

    def start(self):
        """Starts the agent, and nginx as soon as its configuration is there."""
        if not self.own:
            self.stack.sv("up", self.name, self.unit)
            return
        log = (self.stack.var / f"log/{self.name}.log").open("ab")
        self.agent = subprocess.Popen([self.stack.build / "bin/sluice-node", "--config", self.config], stdout=log, stderr=log,
                                      stdin=subprocess.DEVNULL, start_new_session=True)
        stacks.wait_until((self.state / "nginx.conf").exists, START_S, f"{self.name}'s nginx.conf")
        self.nginx = subprocess.Popen(["/usr/sbin/nginx", "-p", f"{self.state}/", "-c", self.state / "nginx.conf", "-e",
                                       self.stack.var / f"log/{self.unit}.log", "-g", "daemon off;"], stdout=log, stderr=log,
                                      stdin=subprocess.DEVNULL, start_new_session=True)

    def stop(self):
        if not self.own:
            self.stack.sv("down", self.unit, self.name)
            return
        for process in (self.nginx, self.agent):
            if process:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self.nginx = self.agent = None

    def forget_image(self):
        """As after a restart of the machine: nothing in shared memory."""
        for path in pathlib.Path("/dev/shm").glob(f"sluice-{self.name}-{self.stack.id}-*"):
            path.unlink()

    def forget_store(self):
        """As one that never ran."""
        shutil.rmtree(self.state / "store", ignore_errors=True)
        for name in ("status.json", "limits.state"):
            (self.state / name).unlink(missing_ok=True)

    # What it is and says.

    @property
    def agent_pid(self):
        return self.agent.pid if self.agent else self.stack.pid(self.name)

    @property
    def workers(self):
        pid = self.nginx.pid if self.nginx else self.stack.pid(self.unit)
        return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def ready(self):
        """Whether nginx answers /readyz with 200."""
        connection = http.client.HTTPConnection(self.health[0], int(self.health[1]), timeout=10)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def revision(self):
        """What its last report said that it serves."""
        try:
            return json.loads((self.state / "status.json").read_text())["revision"]
        except (OSError, ValueError):
            return 0


class Fleet:
    """The deployment, its world, its nodes; `count` APIs."""

    def __init__(self, options):
        self.options, self.count, self.ports = options, 0, local.free_ports()
        self.stack, self.world = gateway.start(options.build, options.var / "stack")
        self.nodes = []
        try:
            settings = (self.stack.var / "config/registry-1.yaml").read_text()
            self.database = re.search(r"^database: *[\"']?(.*?)[\"']?$", settings, re.M).group(1)
            self.stack.admin("gateway", "set", self.world.instance, "quota_apis=1000000", "quota_group_apis=1000000")
            self.nodes = [Node(self, number) for number in MODULE_NODES]
            self.world.group("pattern")
            self.world.api("pattern_api", group="pattern", backend_type="MOCK", backend_api=None,
                           mock_info={"result_content": "{}"})
            self.world.publish("pattern_api")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for node in self.nodes:
            if node.own:
                node.stop()
        self.stack.quickstart("clean")

    def psql(self, text):
        done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", self.database], input=text, text=True,
                              capture_output=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()

    def add_node(self):
        """A node more, started and serving."""
        node = Node(self, len(self.nodes) + 1)
        self.nodes.append(node)
        node.start()
        stacks.wait_until(node.ready, START_S, f"{node.name} to serve")
        self.settle()
        return node

    def host(self, number):
        """Host and path of an API of the filling are its group's domain and /fleet/<number>."""
        pattern = self.world.names["pattern"]
        return pattern["sl_domain"].replace(pattern["id"], hex_id("g", number // GROUP_APIS))

    def fill(self, count):
        """Makes it `count` published APIs and waits until every node serves them; answers the seconds."""
        started = time.monotonic()
        if count > self.count:
            self.psql(FILL.format(instance=self.world.instance, api=self.world.names["pattern_api"]["id"],
                                  group=self.world.names["pattern"]["id"], first=self.count, last=count - 1,
                                  group_apis=GROUP_APIS))
            self.count = count
        self.settle()
        return time.monotonic() - started

    def head(self):
        return int(self.psql(f"SELECT revision FROM gateway_revision WHERE gateway_id = '{self.world.instance}'"))

    def settle(self):
        """Waits until all that was changed is an entry and live on every node that runs."""
        waiting = f"SELECT count(*) FROM runtime_change WHERE gateway_id = '{self.world.instance}'"
        stacks.wait_until(lambda: self.psql(waiting) == "0", FILL_S, "the publisher to make all entries")
        head = self.head()
        for node in self.nodes:
            if node.agent_pid:
                stacks.wait_until(lambda n=node: n.revision() >= head, FILL_S, f"{node.name} to serve revision {head}")

    @contextlib.contextmanager
    def only(self, count):
        """With the last `count` nodes alone."""
        away = self.nodes[:len(self.nodes) - count]
        for node in away:
            node.stop()
        try:
            yield self.nodes[len(away):]
        finally:
            for node in away:
                node.start()
            for node in away:
                stacks.wait_until(node.ready, START_S, f"{node.name} to serve")
            self.settle()
