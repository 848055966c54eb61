"""changes: how fast, how large and how quiet a change is: one among many APIs, many after another, many at once.

The load is open loop (steady.c): a request's time counts from the moment that it was due.
"""
import concurrent.futures
import contextlib
import http.client
import itertools
import os
import statistics
import time

import fleet  # first: it puts tests/lib on the path
import gateway
import local
import measure
import publish
import signer
import stack as stacks
import steady

RESET_MS, SWITCH_MS = 300, 1000  # what apps' and APIs' owners were promised
P99_MS, BYTES_MAX, SLOWER_MS = 100, 65536, 1.0  # slowest of 4 nodes; a node and change; a request's p99 by publishes
NODES = 4
PUBLISHES = 200  # a size and number of nodes
TWO_NODES = 10_000  # APIs from which a publish is looked at on two nodes as well
AGAIN_S = 0.1  # between two publishes under load
REFERRING, BURST = 10_000, 1000  # APIs that name one policy; publishes at once
REPEATS = 20  # changes whose bytes are counted
LIVE_S = 60  # until a change must be live; the longest load


def load_of(bed, node, rate):
    """Requests by the clock to APIs of the first group, of one node."""
    requests = bed.options.var / "requests"
    with requests.open("wb") as file:
        for number in range(min(bed.count, fleet.GROUP_APIS)):
            request = local.raw("GET", f"/fleet/{number}", bed.host(0))
            file.write(len(request).to_bytes(4, "big") + request)
    return steady.Load(bed.options.build, node.address[1], rate, requests, measure.PROXY_CORE, LIVE_S)


def keep_to(pids, cores):
    """Lets all threads of the processes run on these cores alone; what ended meanwhile has no need."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            for task in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(task), cores)


@contextlib.contextmanager
def apart(bed, node):
    """The node's worker has a core for itself and its load: what a publish costs elsewhere shall not count as its delay."""
    trees = [process.pid for other in bed.nodes if other.own for process in (other.agent, other.nginx)]
    trees += [os.getpid(), bed.stack.pid("postgres"), *map(int, bed.stack.leftovers())]
    rest = {pid for root in trees for pid in measure.tree(root)} - set(node.workers)
    try:
        keep_to(rest, {int(measure.LOAD_CORE)})
        keep_to(node.workers, {int(measure.PROXY_CORE)})
        yield
    finally:
        keep_to({*rest, *node.workers}, measure.CORES)


def until_live(nodes, host, path, served, change, **headers):
    """ms from the request and from the reply of `change()` until the last node answers `served`."""
    headers.setdefault("X-Apig-Mode", "debug")
    pollers = [publish.Poller(node.url, host, path, time.monotonic() + LIVE_S, served, **headers) for node in nodes]
    for poller in pollers:
        poller.start()
    for poller in pollers:
        poller.asked.wait(10)
    sent = time.monotonic()
    change()
    replied = time.monotonic()
    for poller in pollers:
        poller.join(LIVE_S)
    if any(poller.served_at is None for poller in pollers):
        raise RuntimeError(f"{path} did not go live on every node")
    last = max(poller.served_at for poller in pollers)
    return (last - sent) * 1000, (last - replied) * 1000


def budget_of(count, nodes):
    """(p50, p99) that a publish may take from its reply to the first 200 on the slowest node; None: none is set."""
    return (publish.BUDGET_P50_MS, publish.BUDGET_P99_MS) if nodes == 2 and count <= publish.BUDGET_APIS else (None, P99_MS)


def quick(bed, nodes, count, lines, missed):
    """One API after another goes online among `count`."""
    pairs = [publish.once(bed.world, [node.url for node in nodes], next(bed.turns), "fresh") for _ in range(bed.publishes)]
    for what, values in (("request sent", [p[0] for p in pairs]), ("reply", [p[1] for p in pairs])):
        found = measure.percentile(values, 0.5), measure.percentile(values, 0.99)
        budget = budget_of(count, len(nodes)) if what == "reply" else (None, None)
        lines.append([count, len(nodes), f"{what} -> 200 on the slowest", *(f"{value:.1f}" for value in found), f"{max(values):.1f}",
                      " / ".join(f"<= {most}" for most in budget if most)])
        if any(most and value > most * bed.options.slack for value, most in zip(found, budget)):
            missed.append(f"{count} APIs, {len(nodes)} nodes")


def reset(bed, nodes):
    """Gives the app another secret; ms from the reply until the slowest node refuses the old one."""
    app, host = bed.world.names["owner"], bed.world.names["fresh"]["sl_domain"]
    signed = signer.sign("GET", "/guarded", {"Host": host}, b"", app["app_key"], app["app_secret"])
    del signed["Host"]

    def change():
        app["app_secret"] = publish.want(bed.world, "PUT", f"/apps/secret/{app['id']}", {})["app_secret"]
    return until_live(nodes, host, "/guarded", lambda reply, _body: reply.status == 401, change, **signed)[1]


def switch(bed, nodes, version, text):
    """Lets the API serve another of its versions; ms from the reply until the slowest node answers with it."""
    return until_live(nodes, bed.world.names["fresh"]["sl_domain"], "/switched", lambda _reply, body: body == text,
                      lambda: publish.want(bed.world, "PUT", f"/apis/publish/{bed.world.names['switched']['id']}",
                                           {"version_id": version}))[1]


def owned(bed):
    """An API that an app calls, and one with two versions: the id of each by what it answers."""
    mock = {"group": "fresh", "backend_type": "MOCK", "backend_api": None}
    bed.world.api("guarded", auth_type="APP", mock_info={"result_content": "{}"}, **mock)
    bed.world.api("switched", mock_info={"result_content": "one"}, **mock)
    bed.world.publish("guarded")
    bed.world.app("owner")
    bed.world.auth("owner", "guarded")
    versions = {}
    for text in ("one", "two"):
        api = bed.world.names["switched"]
        publish.want(bed.world, "PUT", f"/apis/{api['id']}", {**api["body"], "mock_info": {"result_content": text}})
        bed.world.publish("switched")
        versions[text.encode()] = api["version_id"]
    bed.settle()
    return versions


def owners(bed, nodes, count, lines, missed):
    """What owners change at once: a secret, and which version is served."""
    bed.owned = getattr(bed, "owned", None) or itertools.cycle(owned(bed).items())
    turns = list(itertools.islice(bed.owned, bed.publishes))
    for what, budget_ms, times in (
            ("secret reset: reply -> the old one refused", RESET_MS, [reset(bed, nodes) for _ in turns]),
            ("version switched: reply -> answered", SWITCH_MS, [switch(bed, nodes, id_, text) for text, id_ in turns])):
        p99 = measure.percentile(times, .99)
        lines.append([count, len(nodes), f"{what} on the slowest", f"{measure.percentile(times, .5):.1f}", f"{p99:.1f}",
                      f"{max(times):.1f}", f"<= {budget_ms}"])
        if p99 > budget_ms * bed.options.slack:
            missed.append(f"{what}, {count} APIs")


def republish(bed, number):
    """Publishes an API of the filling again."""
    publish.want(bed.world, "POST", "/apis/action", {"action": "online", "api_id": fleet.hex_id("a", number),
                                                     "env_id": bed.world.env_id("RELEASE")})


def bytes_of(bed, node, change):
    """Bytes that a node gets for one `change()`, what it gets anyway taken off; the entries that it made."""
    def received(work):
        begin, before = time.monotonic(), fleet.received_bytes(node.agent_pid)
        work()
        return fleet.received_bytes(node.agent_pid) - before, time.monotonic() - begin

    def changes():
        for turn in range(REPEATS):
            change(turn)
        bed.settle()

    head = bed.head()
    got, took = received(changes)
    idle, idle_s = received(lambda: stacks.select_pause(max(2.0, took)))
    entries = bed.psql(f"SELECT count(*) FROM runtime_entry WHERE gateway_id = '{bed.world.instance}' AND revision > {head}")
    return max(0, got - idle * took / idle_s) / REPEATS, int(entries)


def policy(bed):
    """A throttle that the first REFERRING APIs are bound to."""
    bed.world.throttle("shared", api_call_limits=1_000_000)
    bed.psql(f"""
        CREATE TEMP TABLE bound AS SELECT md5('p' || n) AS publish, n FROM generate_series(0, {min(bed.count, REFERRING) - 1}) n;
        INSERT INTO throttle_binding (instance_id, id, throttle_id, publish_id)
            SELECT '{bed.world.instance}', md5('b' || n), '{bed.world.names["shared"]["id"]}', publish FROM bound;
        INSERT INTO runtime_change (gateway_id, kind, key) SELECT '{bed.world.instance}', 'api', publish FROM bound""")
    bed.settle()


def change_policy(bed, limit):
    publish.want(bed.world, "PUT", f"/throttles/{bed.world.names['shared']['id']}", {
        "name": f"shared_{bed.world.uid}", "time_interval": 1, "time_unit": "HOUR", "api_call_limits": limit})


def policy_rows(bed, nodes, count, lines, sizes, missed):
    policy(bed)
    times = []
    for limit in range(2_000_000, 2_000_000 + REPEATS):
        def served(reply, _body, text=f"limit:{limit},"):
            return text in (reply.getheader("X-Apig-RateLimit-api") or "")
        times.append(until_live(nodes, bed.host(0), "/fleet/0", served, lambda n=limit: change_policy(bed, n))[1])
    what = f"policy of {min(count, REFERRING)} APIs: reply -> obeyed on the slowest"
    lines.append([count, len(nodes), what, f"{measure.percentile(times, .5):.1f}", f"{measure.percentile(times, .99):.1f}",
                  f"{max(times):.1f}", f"<= {P99_MS}"])
    if measure.percentile(times, .99) > P99_MS * bed.options.slack:
        missed.append("a policy's change")
    size_row(bed, nodes, "policy", lambda turn: change_policy(bed, 3_000_000 + turn), sizes, missed)


def size_row(bed, nodes, what, change, sizes, missed):
    size, entries = bytes_of(bed, nodes[-1], change)
    sizes.append([bed.count, what, f"{size:.0f}", entries, f"<= {BYTES_MAX}"])
    if size > BYTES_MAX * bed.options.slack or entries > REPEATS:
        missed.append(f"bytes of a changed {what} among {bed.count}")


def every(seconds, work):
    """Calls work(0), work(1)… by the clock, one each AGAIN_S; answers how many."""
    begin = time.monotonic()
    for turn in itertools.count():
        due = begin + turn * AGAIN_S - time.monotonic()
        if turn * AGAIN_S >= seconds:
            return turn
        if due > 0:
            stacks.select_pause(due)
        work(turn)
    return None


def under_load(bed, node, options, quiet, missed):
    """Pairs of the same load, without publishes and with ten a second of the APIs that it calls."""
    pairs, publishes = [], 0
    for _ in range(options.rounds):
        pair = [load_of(bed, node, options.rate) for _ in range(2)]
        with pair[0].running():
            stacks.select_pause(options.seconds)
        with pair[1].running():
            publishes += every(options.seconds, lambda turn: republish(bed, turn % min(bed.count, fleet.GROUP_APIS)))
        pairs.append(pair)
        bed.settle()
    slower = statistics.median(with_.p99_ms - without.p99_ms for without, with_ in pairs)
    for at, what in enumerate(("no publishes", f"{publishes} publishes, {1 / AGAIN_S:.0f} a second")):
        loads = [pair[at] for pair in pairs]
        errors, reconnects = sum(load.errors for load in loads), sum(load.reconnects for load in loads)
        quiet.append([bed.count, what, sum(load.requests for load in loads), f"{statistics.median(load.rate for load in loads):.0f}",
                      errors, reconnects, f"{statistics.median(load.p99_ms for load in loads):.2f}",
                      f"{slower:+.2f} <= +{SLOWER_MS:g}" if at else ""])
        if errors or reconnects:
            missed.append(f"errors or reconnects with {what}")
    if slower > SLOWER_MS * options.slack and not options.smoke:
        missed.append("p99 under publishes")


def all_say(bed, node, count, word):
    """Sees to it that a node says so as well: each of the first APIs answers `word`."""
    connection = http.client.HTTPConnection(node.address[0], int(node.address[1]), timeout=10)
    for number in range(count):
        connection.request("GET", f"/fleet/{number}", headers={"Host": bed.host(number)})
        body = connection.getresponse().read()
        assert body == word, (node.name, number, body)
    connection.close()


def burst(bed, nodes, quiet, missed):
    """So many APIs with another body, published by several clients at once, under a tenth of the load."""
    count, word = min(bed.count, BURST), f"burst {next(bed.turns)}"
    bed.psql(f"""UPDATE api SET mock_info = jsonb_set(mock_info, '{{result_content}}', to_jsonb('{word}'::text))
        WHERE instance_id = '{bed.world.instance}' AND id IN (SELECT md5('a' || n) FROM generate_series(0, {count - 1}) n)""")
    load = load_of(bed, nodes[-1], bed.options.rate / 10)
    with load.running():
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(publish.CLIENTS) as pool:
            list(pool.map(lambda n: republish(bed, n), range(count)))
        replied = time.monotonic()
        bed.settle()
        live = time.monotonic()
    for node in nodes:
        all_say(bed, node, count, word.encode())
    quiet.append([bed.count, f"burst of {count} in {replied - begin:.1f} s, live on {len(nodes)} nodes {live - replied:.2f} s later",
                  load.requests, f"{load.rate:.0f}", load.errors, load.reconnects, f"{load.p99_ms:.2f}", ""])
    if load.errors or load.reconnects:
        missed.append("errors or reconnects in a burst")


class Part:
    """What shared.py plays; the tables as lists."""

    nodes = NODES

    def __init__(self, options):
        self.options, self.sizes = options, options.apis
        self.lines, self.sizes_of, self.quiet, self.missed = [], [], [], []

    def around(self):
        return contextlib.nullcontext()

    def begin(self, bed):
        """The API that others are made beside."""
        bed.turns, bed.publishes = itertools.count(), self.options.publishes or PUBLISHES
        bed.world.group("fresh")
        bed.world.api("first", group="fresh", backend_type="MOCK", backend_api=None, mock_info={"result_content": "{}"})
        bed.world.publish("first")

    def at(self, bed, count):
        """On one node, on two where that has a budget, and on all."""
        for nodes in (1, 2) if budget_of(count, 2)[0] and (count >= TWO_NODES or self.options.smoke) else (1,):
            with bed.only(nodes) as some:
                quick(bed, some, count, self.lines, self.missed)
        quick(bed, bed.nodes, count, self.lines, self.missed)
        owners(bed, bed.nodes, count, self.lines, self.missed)
        size_row(bed, bed.nodes, "API", lambda turn: republish(bed, turn % bed.count), self.sizes_of, self.missed)

    def end(self, bed):
        """Under load, in a burst; last a policy, which may refuse a first call."""
        with apart(bed, bed.nodes[-1]):
            under_load(bed, bed.nodes[-1], self.options, self.quiet, self.missed)
        burst(bed, bed.nodes, self.quiet, self.missed)
        policy_rows(bed, bed.nodes, bed.count, self.lines, self.sizes_of, self.missed)

    def text(self):
        """Its three tables."""
        return "\n".join([
            f"run:       {self.options.publishes or PUBLISHES} publishes a size and number of nodes, one after another; {REPEATS} changes whose "
            f"bytes are counted; {self.options.rounds} pairs of {self.options.seconds} s at {self.options.rate} requests a second over "
            f"{steady.CONNECTIONS} connections, load and worker on core {measure.PROXY_CORE}, all else on core {measure.LOAD_CORE}\n",
            gateway.table(self.lines, ["APIs", "nodes", "from -> to", "p50 ms", "p99 ms", "max ms", "budget p50/p99"]), "",
            gateway.table(self.sizes_of, ["APIs", "a changed", "bytes a node", "entries", "budget bytes"]), "",
            gateway.table(self.quiet, ["APIs", "beside the load", "requests", "a second", "errors", "reconnects", "p99 ms", "budget p99"]),
            ""])
