"""management: reads, lists, creations and updates through front, beside pgbench on the same cluster, in turn."""
import os
import re
import statistics
import subprocess

import gateway
import stack as stacks

BIN = "/usr/lib/postgresql/15/bin"
GROUP_APIS = 1000
RARE = 1000  # one API in so many answers PATCH: the filter that matches few
# what: (clients, pgbench's counterpart, least ratio of rates; None: none is set)
BUDGETS = {("read", 8): 0.12, ("create", 8): 0.10}
REGISTRIES = (1, 2, 4)  # processes
CLIENTS = (1, 8)
MORE_BUDGET, SAME_BUDGET = 3.0, 1.0  # four registries over one: with a core for each and front's own, and without
READY_S = 30
LIST_BUDGET, LATENCY_BUDGET = 4.0, 8.0  # list of few over read; one client's read over pgbench's

FILL = """
INSERT INTO api_group (instance_id, id, name, sl_domain)
SELECT '{0}', md5('g' || n), 'bench_' || n, 'd' FROM generate_series(0, ({1} - 1) / {2}) n;
INSERT INTO api (instance_id, id, group_id, name, type, req_protocol, req_method, req_uri, req_uri_shape,
                 auth_type, backend_type, mock_info, register_time)
SELECT '{0}', md5('a' || n), md5('g' || n / {2}), 'bench_' || n, 1, 'HTTPS', CASE n % {3} WHEN 0 THEN 'PATCH' ELSE 'GET' END,
       '/bench/' || n, '/bench/' || n, 'NONE', 'MOCK', '{{}}', now() - n * interval '1 second'
FROM generate_series(0, {1} - 1) n;
INSERT INTO quota_usage (instance_id, quota, used, "limit") VALUES ('{0}', 'apis', {1}, 1000000)
ON CONFLICT (instance_id, quota, scope) DO UPDATE SET used = quota_usage.used + {1}, "limit" = 1000000;
INSERT INTO api_group (instance_id, id, name, sl_domain) VALUES ('{0}', md5('new'), 'bench_new', 'd');
INSERT INTO quota_usage (instance_id, quota, scope, used, "limit") VALUES ('{0}', 'group_apis', md5('new'), 0, 1000000);
CREATE TABLE bench_row (id text PRIMARY KEY, body text);
INSERT INTO bench_row SELECT md5('a' || n), 'a row of pgbench' FROM generate_series(0, {1} - 1) n;
CREATE TABLE bench_made (id bigserial PRIMARY KEY, body text);
VACUUM ANALYZE;
"""
SCRIPTS = {"select": "\\set n random(0, {0} - 1)\nSELECT body FROM bench_row WHERE id = md5('a' || :n);\n",
           "insert": "INSERT INTO bench_made (body) VALUES ('a row of pgbench');\n"}
# `turn` numbers the requests of a run, `run` the runs. Those without a body are made before it begins.
LUA = """
local turn, ids, ready = 0, {{ {ids} }}, {{}}
local body = [[{body}]]
local function made(id, text)
  return wrk.format("{method}", (("{path}"):gsub("ID", id)),
                    {{["X-Auth-Token"] = "{token}", ["Content-Type"] = "application/json"}}, text)
end
function init()
  for at, id in ipairs(body == "" and ids or {{}}) do
    ready[at] = made(id)
  end
end
function request()
  turn = turn + 1
  local at = turn % #ids + 1
  return ready[at] or made(ids[at], (body:gsub("TURN", "{run}x" .. turn)))
end
"""
API = ('{{"group_id": "{0}", "name": "made_TURN", "type": 1, "req_protocol": "HTTPS", "req_method": "GET",'
       ' "req_uri": "/made/TURN", "auth_type": "NONE", "backend_type": "MOCK", "mock_info": {{"result_content": "hi"}}}}')


class Bench:
    """One deployment, filled, with its pgbench and wrk."""

    def __init__(self, options, stack, made):
        self.options, self.stack, self.made, self.runs = options, stack, made, 0
        settings = (stack.var / "config/registry-1.yaml").read_text()
        self.database = re.search(r"^database: *[\"']?(.*?)[\"']?$", settings, re.M).group(1)
        self.token = made.token().headers["x-subject-token"]
        self.psql(FILL.format(made.instance, options.apis, GROUP_APIS, RARE))
        few = f"SELECT string_agg(quote_literal(md5('a' || n)), ',') FROM generate_series(0, {min(options.apis, 1000) - 1}) n"
        self.ids = self.psql(few).strip().replace("'", '"')
        # The group of what is created, and that of the APIs that are changed.
        self.new, self.first = self.psql("SELECT md5('new'), md5('g0')").strip().split("|")

    def psql(self, text):
        return subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", self.database], input=text, text=True,
                              capture_output=True, check=True).stdout

    def pgbench(self, name, clients):
        """Transactions a second, and milliseconds of one."""
        script = self.options.var / f"{name}.sql"
        script.write_text(SCRIPTS[name].format(self.options.apis))
        out = subprocess.run([f"{BIN}/pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", "1", "-T",
                              str(self.options.seconds), "-f", script, self.database], text=True, capture_output=True,
                             check=True).stdout
        rate = float(re.search(r"tps = ([\d.]+)", out).group(1))
        return rate, clients * 1000 / rate

    def wrk(self, method, path, body, clients):
        """Requests a second, all answered 2xx, and milliseconds of the median one."""
        self.runs += 1
        script = self.options.var / "wrk.lua"
        script.write_text(LUA.format(ids=self.ids, method=method, path=self.made.target(path), token=self.token, body=body,
                                     run=self.runs))
        out = subprocess.run(["wrk", "-t1", f"-c{clients}", f"-d{self.options.seconds}s", "--latency", "-s", script,
                              self.made.env["SLUICE_ENDPOINT"]], text=True, capture_output=True, check=True).stdout
        refused = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)", out)
        if refused and not self.options.smoke:
            raise RuntimeError(f"{method} {path}: {refused.group(0)}")
        value, unit = re.search(r"50%\s+([\d.]+)(us|ms|s)", out).groups()
        return float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)), float(value) * {"us": .001, "ms": 1, "s": 1000}[unit]

    def candidates(self):
        """What is measured: (name, its counterpart of pgbench, how)."""
        body, changed = API.format(self.new), API.format(self.first)
        return [("read", "select", lambda clients: self.wrk("GET", "/apis/ID", "", clients)),
                ("list of few", "select", lambda clients: self.wrk("GET", "/apis?limit=20&req_method=PATCH", "", clients)),
                ("list of all", "select", lambda clients: self.wrk("GET", "/apis?limit=20", "", clients)),
                ("create", "insert", lambda clients: self.wrk("POST", "/apis", body, clients)),
                ("update", "insert", lambda clients: self.wrk("PUT", "/apis/ID", changed, clients))]

    def round(self, clients):
        """{name: (rate, ms)} of everything once, in turn."""
        found = {name: self.pgbench(name, clients) for name in SCRIPTS}
        for name, _, how in self.candidates():
            found[name] = how(clients)
        return found


class Registries:
    """The quickstart's two registries, and more of them with the same settings."""

    def __init__(self, stack):
        self.stack, self.more = stack, []

    def run(self, count):
        """Sees to it that so many run."""
        self.stack.sv("up" if count > 1 else "down", "registry-2")
        while 2 + len(self.more) > max(count, 2):
            self.end(self.more.pop())
        while 2 + len(self.more) < count:
            self.more.append(self.start(f"registry-{3 + len(self.more)}"))

    def start(self, name):
        secrets, config = self.stack.var / "secrets", self.stack.var / f"config/{name}.yaml"
        if not config.exists():
            self.stack.admin("peer", "new", name, "--role", "worker:registry", "--bus", secrets / "bus-1.peer", "--bus",
                             secrets / "bus-2.peer", "--allow", self.stack.var / "allow", "--out", secrets / f"{name}.peer")
        config.write_text((self.stack.var / "config/registry-1.yaml").read_text().replace("registry-1", name))
        health = re.search(r"(?m)^health_listen: unix:(.*)$", config.read_text())[1]
        with (self.stack.var / f"log/{name}.log").open("ab") as log:
            process = subprocess.Popen([self.stack.build / "bin/sluice-registry", "--config", config], stdout=log, stderr=log,
                                       stdin=subprocess.DEVNULL, start_new_session=True)
        ready = ["curl", "-fs", "-o", os.devnull, "--unix-socket", health, "http://registry/readyz"]
        stacks.wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, READY_S, f"{name} to be ready")
        return process

    @staticmethod
    def end(process):
        process.terminate()
        process.wait(READY_S)

    def stop(self):
        for process in self.more:
            self.end(process)


def compare(bench, workers, lines, missed):
    """Four registries over one, in turn, each after it was asked for as long: as far as the machine has cores for them."""
    most, clients = REGISTRIES[-1], CLIENTS[-1]
    budget = MORE_BUDGET if os.cpu_count() > most else SAME_BUDGET
    ratios = []
    for number in range(bench.options.rounds):
        rates = {}
        for count in (1, most) if number % 2 == 0 else (most, 1):
            workers.run(count)
            bench.wrk("GET", "/apis/ID", "", clients)
            rates[count] = bench.wrk("GET", "/apis/ID", "", clients)[0]
        ratios.append(rates[most] / rates[1])
    ratio = statistics.median(ratios)
    lines.append([f"{most} over 1", clients, "read", "", "", f"{ratio:.3f}", "", f">= {budget:g}, {os.cpu_count()} cores"])
    if ratio * bench.options.slack < budget:
        missed.append(f"{most} registries over one")


def measure(bench, registries, clients, lines, missed):
    """Rounds of all rows."""
    rounds = [bench.round(clients) for _ in range(bench.options.rounds)]

    def median(function):
        return statistics.median(function(found) for found in rounds)

    for name, peer, _ in bench.candidates():
        ratio = median(lambda found, n=name, p=peer: found[n][0] / found[p][0])
        slower = median(lambda found, n=name, p=peer: found[n][1] / found[p][1])
        budget = BUDGETS.get((name, clients))
        note = f">= {budget}" if budget else ""
        if budget and ratio * bench.options.slack < budget:
            missed.append(f"{name}, {clients} clients, {registries} registries")
        if name == "read" and clients == 1:
            note = f"latency <= {LATENCY_BUDGET:g}"
            if slower > LATENCY_BUDGET * bench.options.slack:
                missed.append(f"latency of a read, {registries} registries")
        if name == "list of few":
            over = median(lambda found: found["list of few"][1] / found["read"][1])
            note = f"{over:.1f} reads, <= {LIST_BUDGET:g}"
            if over > LIST_BUDGET * bench.options.slack:
                missed.append(f"list of few, {clients} clients, {registries} registries")
        lines.append([registries, clients, name, f"{median(lambda found, n=name: found[n][0]):.0f}",
                      f"{median(lambda found, p=peer: found[p][0]):.0f}", f"{ratio:.3f}", f"{slower:.1f}", note])


def run(options):
    """Prints the table; answers what missed its budget."""
    lines, missed = [], []
    options.apis = options.apis[-1]
    stack, made = gateway.start(options.build, options.var / "stack")
    workers = Registries(stack)
    try:
        bench = Bench(options, stack, made)
        for registries in REGISTRIES:
            workers.run(registries)
            for clients in CLIENTS:
                measure(bench, registries, clients, lines, missed)
        compare(bench, workers, lines, missed)
    finally:
        workers.stop()
        stack.quickstart("clean")
    print(gateway.heading(options.build))
    print(f"run:       {options.rounds} rounds of {options.seconds} s each, in turn; {options.apis} APIs; "
          "pgbench -M prepared on the same cluster\n")
    print(gateway.table(lines, ["registries", "clients", "what", "a second", "pgbench", "ratio", "latency", "budget"]))
    return missed
