"""A whole cluster: control hosts, PostgreSQL, nodes, a backend, and the balancers that callers use."""
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import tempfile
import uuid

import client
import pki
from database import Database
from hosts import Flat, Switched, run
from stack import TREE, libasan, wait_until
from unit import Unit

START_S = 60
CONTROL = ("bus", "registry", "identity", "publisher", "throttle", "front")
WORKERS = {"registry": "registry", "identity": "identity", "publisher": "publisher",
           "throttle": "throttle"}
MODULE = "services/nginx/ngx_http_sluice_module.so"
PORTS = {"commands": 7001, "workers": 7002, "events": 7003, "front": 7443, "front_health": 7090,
         "http": 8080, "https": 8443, "node_health": 7190, "agent_health": 7192, "peer": 7191, "echo": 7180,
         "manage": 6443, "data": 6080, "data_tls": 6444}


class Cluster:
    """`control` hosts with one process of each kind on them, `nodes` nodes, one or two databases.

    What runs is in `units` by name: bus-1 front-1 … node-1 nginx-1 … postgres-1 … echo haproxy.
    """

    def __init__(self, build, **more):
        self.build = pathlib.Path(build).resolve()
        self.other = more.get("other")  # a build to change to and back
        self.sanitized = more.get("sanitized", False)
        self.control, self.node_count = more.get("control", 2), more.get("nodes", 2)
        self.databases = more.get("databases", 1)
        self.network = Switched() if more.get("isolated") else Flat()
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="sluice-chaos-", dir="/var/tmp"))
        self.home.chmod(0o711)
        self.id = uuid.uuid4().hex[:10]
        self.units = {}
        self.hosts = {}
        self.settings = {}  # of each process with a configuration file
        self.env = {}
        self.log = self.home / "log"
        self.secrets = self.home / "secrets"
        self.allow = self.home / "allow"
        for directory in (self.log, self.secrets, self.allow):
            directory.mkdir(mode=0o777 if directory == self.log else 0o700)
        self.log.chmod(0o1777)
        self.database = None

    # ---- up and down ----

    def up(self):
        """Builds and starts everything; answers when callers can be served."""
        names = ["client", "backend"] + [f"control-{n}" for n in self.control_numbers]
        names += [f"node-{n}" for n in self.node_numbers]
        for name in names:
            self.add_host(name)
        if self.network.isolated:
            self.hosts["client"].move_in()
        self.database = Database(self)
        self.database.up()
        pki.make(self.secrets, [host.address for host in self.hosts.values()])
        self._keys()
        self._control_units()
        self._start("bus")
        self._admin_binary("sluice-registry", "--config", self._config_path("registry-1"),
                           "--migrate")
        for kind in CONTROL[1:]:
            self._start(kind)
        self._balancers()
        self._provision()
        for number in self.node_numbers:
            self.add_node(number)
        self._start("node")
        self._start("nginx")

    @property
    def control_numbers(self):
        return range(1, self.control + 1)

    @property
    def node_numbers(self):
        return range(1, self.node_count + 1)

    def down(self):
        """Ends all processes, callers first, and removes what they kept."""
        order = ("haproxy", "nginx", "front", "node", "echo", "registry", "identity", "publisher",
                 "throttle", "bus", "postgres")
        for kind in order:
            for unit in self.kind(kind):
                unit.stop(unit.stop_signal)
        self.network.close()
        for path in pathlib.Path("/dev/shm").glob(f"*{self.id}*"):
            path.unlink()
        shutil.rmtree(self.home, ignore_errors=True)

    def kind(self, kind):
        """The units of a kind, by number."""
        return [unit for name, unit in sorted(self.units.items())
                if name == kind or name.rpartition("-")[0] == kind]

    def not_serving(self):
        """The names of the units that do not serve."""
        return [name for name, unit in self.units.items() if not unit.serves()]

    def _start(self, kind):
        units = self.kind(kind)
        for unit in units:
            unit.start()
        for unit in units:
            unit.wait(START_S)

    def add_host(self, name):
        """Makes a host."""
        self.hosts[name] = self.network.host(name, self.home / name)
        return self.hosts[name]

    def unit(self, name, host, command, **more):
        """Declares a unit; its log is <name>.log."""
        environ = dict(more.pop("environ", {}))
        if self.sanitized:
            options = f"log_path={self.log}/sanitizer:abort_on_error=0:handle_abort=1"
            environ["ASAN_OPTIONS"] = options + environ.pop("asan", ":detect_leaks=1")
            environ["UBSAN_OPTIONS"] = f"log_path={self.log}/sanitizer:print_stacktrace=1"
        self.units[name] = Unit(name, host, command, log=self.log / f"{name}.log",
                                environ=environ, **more)
        return self.units[name]

    def use(self, unit, build):
        """Lets a unit's next start be from another build, with the settings that it knows."""
        if unit.name not in self.settings:
            return  # nginx: the agent renders the module's path
        binary = build / f"bin/sluice-{unit.name.rpartition('-')[0]}"
        known = run(binary, "--help").stdout
        settings = {key: value for key, value in self.settings[unit.name].items()
                    if f"\n  {key} " in known}
        if "nginx_module" in settings:
            settings["nginx_module"] = build / MODULE
        self._write(unit.name, settings)
        unit.command = [binary] + unit.command[1:]

    # ---- keys and configuration ----

    def _config_path(self, name):
        return self.home / f"{name}.yaml"

    def _configure(self, name, **settings):
        """Writes a process's configuration file; answers its command line."""
        self.settings[name] = {"log_level": "info", **settings}
        self._write(name, self.settings[name])
        binary = self.build / f"bin/sluice-{name.rpartition('-')[0]}"
        return [binary, "--config", self._config_path(name)]

    def _write(self, name, settings):
        self._config_path(name).write_text("".join(
            f"{key}: {value}\n" for key, value in settings.items()), encoding="utf-8")

    def _admin_binary(self, binary, *words):
        environ = dict(os.environ)
        if self.sanitized:
            environ["ASAN_OPTIONS"] = f"log_path={self.log}/sanitizer:detect_leaks=1"
        done = run(self.build / "bin" / binary, *words, check=False, env=environ)
        if done.returncode != 0:
            raise RuntimeError(f"{binary} {' '.join(map(str, words))}: {done.stderr}{done.stdout}")
        return done.stdout.strip()

    def admin(self, *words, field=None):
        """Runs sluice-admin against the cluster; answers one field of its reply, or the text."""
        chosen = ["--field", field] if field else ["--json"]
        return self._admin_binary("sluice-admin", "--peer", self.secrets / "admin.peer", *chosen,
                                  *words)

    def _buses(self):
        return [word for n in self.control_numbers
                for word in ("--bus", self.secrets / f"bus-{n}.peer")]

    def _keys(self):
        self._admin_binary("sluice-admin", "seal-key", "new", "--out", self.secrets / "seal.key")
        for n in self.control_numbers:
            tcp = f"tcp://{self.hosts[f'control-{n}'].address}"
            self._admin_binary(
                "sluice-admin", "bus", "new", f"bus-{n}", "--out", self.secrets / f"bus-{n}.peer",
                "--commands", f"{tcp}:{PORTS['commands']}", "--workers",
                f"{tcp}:{PORTS['workers']}", "--events", f"{tcp}:{PORTS['events']}")
        roles = {f"{kind}-{n}": f"worker:{service}" for kind, service in WORKERS.items()
                 for n in self.control_numbers}
        roles.update({f"front-{n}": "front" for n in self.control_numbers}, admin="admin")
        for name, role in roles.items():
            self._admin_binary("sluice-admin", "peer", "new", name, "--role", role, *self._buses(),
                               "--allow", self.allow, "--out", self.secrets / f"{name}.peer")

    def _control_units(self):
        common = {"database": f'"{self.database.conninfo}"',
                  "seal_key_file": self.secrets / "seal.key"}
        more = {"registry": {"migrations": TREE / "proto/sql"}, "publisher": {},
                "identity": {"endpoint": self.endpoint, "region": "sluice"}}
        for n in self.control_numbers:
            host = self.hosts[f"control-{n}"]
            self.unit(f"bus-{n}", host, self._configure(
                f"bus-{n}", peer_file=self.secrets / f"bus-{n}.peer", allow_dir=self.allow),
                ready=functools.partial(listens, host.address, PORTS["events"]))
            for kind in WORKERS:
                settings = dict(common, **more[kind]) if kind in more else {
                    "database": common["database"]}
                self.unit(f"{kind}-{n}", host, self._configure(
                    f"{kind}-{n}", peer_file=self.secrets / f"{kind}-{n}.peer", **settings))
            health = f"{host.address}:{PORTS['front_health']}"
            self.unit(f"front-{n}", host, self._configure(
                f"front-{n}", peer_file=self.secrets / f"front-{n}.peer",
                listen=f"{host.address}:{PORTS['front']}", health_listen=health,
                tls_certificate=self.secrets / "tls.crt", tls_key=self.secrets / "tls.key"),
                ready=functools.partial(answers, f"http://{health}/readyz"))

    def peers(self):
        """The nodes as another asks them for its first image: the setting `peers`."""
        found = []
        for unit in self.kind("node"):
            text = (self.secrets / f"{unit.name}.peer").read_text()
            key = re.search(r"(?m)^public_key: *(\S.*)$", text)[1]
            found.append(f"tcp://{unit.host.address}:{PORTS['peer']} {key.strip(chr(39))}")
        return "'" + ", ".join(found).replace("'", "''") + "'"

    # ---- balancers, the backend ----

    @property
    def endpoint(self):
        """Where operators reach the management API: the balancer before the fronts."""
        return f"https://{self.hosts['client'].address}:{PORTS['manage']}"

    @property
    def data_url(self):
        """Where callers reach published APIs: the balancer before the nodes."""
        return f"http://{self.hosts['client'].address}:{PORTS['data']}"

    @property
    def echo(self):
        return f"{self.hosts['backend'].address}:{PORTS['echo']}"

    def _balancers(self):
        config = self.home / "haproxy.cfg"
        here = self.hosts["client"].address
        servers = {kind: "".join(
            f"    server {name} {self.hosts[name].address}:{PORTS[port]} "
            f"check port {PORTS[health]}\n" for name in names)
            for kind, names, port, health in (
                ("fronts", [f"control-{n}" for n in self.control_numbers], "front",
                 "front_health"),
                ("tls", [f"node-{n}" for n in self.node_numbers], "https", "node_health"),
                ("nodes", [f"node-{n}" for n in self.node_numbers], "http", "node_health"))}
        text = (TREE / "tests/chaos/haproxy.cfg").read_text()
        for word, value in {"DATA_TLS": f"{here}:{PORTS['data_tls']}", "NODES_TLS": servers["tls"],
                            "MANAGE": f"{here}:{PORTS['manage']}", "NODES": servers["nodes"],
                            "DATA": f"{here}:{PORTS['data']}", "FRONTS": servers["fronts"],
                            "SOCKET": self.home / "haproxy.sock"}.items():
            text = text.replace(f"@{word}@", str(value))
        config.write_text(text)
        self.unit("haproxy", self.hosts["client"], ["haproxy", "-db", "-f", config],
                  ready=functools.partial(listens, here, PORTS["data"]))
        self.unit("echo", self.hosts["backend"], [self.build / "bin/sluice-echo", self.echo],
                  ready=functools.partial(listens, *self.echo.split(":")))
        self._start("echo")
        self._start("haproxy")

    def demo(self):
        """Runs deploy/demo.sh through the balancers; answers the finished process."""
        data_tls = f"https://{self.hosts['client'].address}:{PORTS['data_tls']}"
        env = {"SLUICE_ENDPOINT": self.endpoint, "SLUICE_DOMAIN_NAME": "chaos",
               "SLUICE_PROJECT_ID": self.env["project"], "SLUICE_INSTANCE_ID": self.env["gateway"],
               "SLUICE_USERNAME": "admin", "SLUICE_PASSWORD": self.env["password"],
               "SLUICE_DATA_URL": self.data_url, "SLUICE_DATA2_URL": self.data_url,
               "SLUICE_DATA_TLS_URL": data_tls, "SLUICE_DATA2_TLS_URL": data_tls,
               "SLUICE_ECHO_ADDR": self.echo}
        place = self.home / "demo"
        place.mkdir(exist_ok=True)
        (place / "quickstart.env").write_text("".join(f"{k}={v}\n" for k, v in env.items()))
        return run(TREE / "deploy/demo.sh", check=False, env=dict(
            os.environ, SLUICE_VAR=str(place), SLUICE_BUILD=str(self.build),
            CURL_CA_BUNDLE=str(self.secrets / "tls.crt")))

    def balanced(self):
        """Whether both balancers find every server ready."""
        with socket.socket(socket.AF_UNIX) as stats:
            stats.connect(str(self.home / "haproxy.sock"))
            stats.sendall(b"show stat -1 4 -1\n")
            rows = stats.makefile().read().splitlines()[1:]
        return all(",UP," in row for row in rows if row)

    # ---- account, gateway, nodes ----

    def _provision(self):
        self.admin("service", "wait", ",".join(WORKERS), "--seconds", START_S)
        self.admin("domain", "create", "chaos")
        project = self.admin("project", "create", "chaos", "--domain", "chaos", field="id")
        user = json.loads(self.admin("user", "create", "admin", "--domain", "chaos", "--generate",
                                     "--policy", "APIG FullAccess"))
        key = json.loads(self.admin("access-key", "create", "--user", "admin", "--domain",
                                    "chaos"))
        gateway = self.admin("gateway", "create", "chaos", "--project", project, "--address",
                             self.hosts["client"].address, field="id")
        self.admin("gateway", "set", gateway, "quota_throttles=1000000", "api_default_limit=0",
                   "domain_call_limit=0")
        self.env = {"project": project, "gateway": gateway, "ak": key["access"],
                    "sk": key["secret"], "password": user["password"]}

    def add_node(self, number, **settings):
        """Assigns node-<number> to the gateway and declares its agent and its nginx."""
        name = f"node-{number}"
        host = self.hosts.get(name) or self.add_host(name)
        state = host.dir / "state"
        state.mkdir(exist_ok=True)
        if self.sanitized:
            state.chmod(0o755)
        self.admin("node", "add", name, "--gateway", self.env["gateway"], *self._buses(),
                   "--allow", self.allow, "--out", self.secrets / f"{name}.peer")
        health, own_health = (f"{host.address}:{PORTS[port]}" for port in ("node_health", "agent_health"))
        self.unit(name, host, self._configure(
            name, peer_file=self.secrets / f"{name}.peer", node_id=name,
            gateway_id=self.env["gateway"], state_dir=state, shm_name=f"{name}-{self.id}",
            http_listen=f"{host.address}:{PORTS['http']}",
            https_listen=f"{host.address}:{PORTS['https']}", health_listen=health,
            agent_health_listen=own_health,
            nginx_module=self.build / MODULE, nginx_workers=1,
            peer_listen=f"tcp://{host.address}:{PORTS['peer']}", **settings),
            ready=functools.partial(answers, f"http://{own_health}/healthz"))
        nginx = ["/usr/sbin/nginx", "-p", f"{state}/", "-c", state / "nginx.conf", "-e",
                 self.log / f"nginx-{number}.log", "-g", "daemon off;"]
        if self.sanitized:
            nginx = ["env", f"LD_PRELOAD={libasan()}"] + nginx
        self.unit(f"nginx-{number}", host, nginx, environ={"asan": ":detect_leaks=0"},
                  stop_signal=signal.SIGQUIT, draining=state / "draining",
                  ready=functools.partial(answers, f"http://{health}/readyz"))


def listens(address, port):
    """Whether something accepts connections there."""
    try:
        socket.create_connection((address, int(port)), timeout=1).close()
        return True
    except OSError:
        return False


def answers(url):
    """Whether a health address says 200."""
    base, path = url.rsplit("/", 1)
    try:
        return client.request(base, "GET", "/" + path, timeout=2).status == 200
    except (OSError, client.http.client.HTTPException):
        return False
