"""publish: how long from a publish to the first 200 on both nodes, for gateways of several sizes."""
import concurrent.futures
import http.client
import sys
import threading
import time
import urllib.parse

import gateway
import measure

CLIENTS = 8
GROUP_APIS = 1000  # the documented most of a group
BATCH = 100
BUDGET_P50_MS, BUDGET_P99_MS, BUDGET_APIS = 10, 30, 10_000  # smaller gateways have to hold it too


def is_ok(reply, _body):
    return reply.status == 200


class Poller(threading.Thread):
    """Asks one node for one path, again and again over one connection, until its answer is `served`."""

    def __init__(self, url, host, path, deadline, served=is_ok, **headers):
        super().__init__(daemon=True)
        self.served, self.headers = served, {"Host": host, **headers}
        split = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(split.hostname, split.port, timeout=10)
        self.path, self.deadline = path, deadline
        self.asked, self.served_at = threading.Event(), None

    def run(self):
        while time.monotonic() < self.deadline:
            self.connection.request("GET", self.path, headers=self.headers)
            reply = self.connection.getresponse()
            body = reply.read()
            self.asked.set()
            if self.served(reply, body):
                self.served_at = time.monotonic()
                break
        self.connection.close()


def want(made, method, path, body):
    """A request that must succeed; the contract is the stories' affair."""
    reply = made.manage(method, path, body, check=False)
    if reply.status not in (200, 201):
        raise RuntimeError(f"{method} {path}: {reply}")
    return reply.json


def fill(made, count):
    """A gateway with `count` published APIs, over groups of at most 1,000, by CLIENTS clients at once."""
    def create(number):
        return want(made, "POST", "/apis", {
            "name": f"s{number}_{made.uid}", "group_id": made.names[f"g{number // GROUP_APIS}"]["id"], "type": 1,
            "req_protocol": "BOTH", "req_method": "GET", "req_uri": f"/s{number}", "match_mode": "NORMAL",
            "auth_type": "NONE", "backend_type": "MOCK", "mock_info": {"result_content": "{}"}})["id"]

    def publish(ids):
        want(made, "POST", "/apis/publish?action=online", {"apis": ids, "env_id": made.env_id("RELEASE")})

    for group in range((count + GROUP_APIS - 1) // GROUP_APIS):
        made.group(f"g{group}")
    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        ids = list(pool.map(create, range(count)))
        list(pool.map(publish, [ids[at:at + BATCH] for at in range(0, count, BATCH)]))
    print(f"{count} APIs made and published in {time.monotonic() - started:.0f} s", file=sys.stderr)


def once(made, urls, number, group):
    """Creates and publishes one API; ms from the request and from its reply to 200 on the slowest node."""
    name = f"p{number}"
    made.api(name, group=group, backend_type="MOCK", backend_api=None, mock_info={"result_content": "{}"})
    host = made.names[group]["sl_domain"]
    pollers = [Poller(url, host, f"/{name}", time.monotonic() + 20) for url in urls]
    for poller in pollers:
        poller.start()
    for poller in pollers:
        poller.asked.wait(10)
    made.waits = False
    sent = time.monotonic()
    made.publish(name)
    replied = time.monotonic()
    made.waits = True
    for poller in pollers:
        poller.join(30)
    if any(poller.served_at is None for poller in pollers):
        raise RuntimeError(f"{name} did not go live on every node")
    last = max(poller.served_at for poller in pollers)
    made.offline(name)
    made.want(204, "DELETE", f"/apis/{made.names[name]['id']}")
    made.made.pop()
    return (last - sent) * 1000, (last - replied) * 1000


def measure_size(options, size, lines, missed):
    stack = None
    try:
        stack, made = gateway.start(options.build, options.var / f"stack{size}")
        urls = [stack.env["SLUICE_DATA_URL"], stack.env["SLUICE_DATA2_URL"]]
        fill(made, size)
        made.group("fresh")
        made.api("first", group="fresh", backend_type="MOCK", backend_api=None, mock_info={"result_content": "{}"})
        made.publish("first")  # waits until the nodes have all of it
        pairs = [once(made, urls, number, "fresh") for number in range(options.publishes)]
        for what, values in (("request sent", [p[0] for p in pairs]), ("reply", [p[1] for p in pairs])):
            p50, p99 = measure.percentile(values, 0.5), measure.percentile(values, 0.99)
            lines.append([size, f"{what} -> 200 on both", f"{p50:.1f}", f"{p99:.1f}", f"{max(values):.1f}",
                          f"<= {BUDGET_P50_MS} / {BUDGET_P99_MS}"])
            if what == "reply" and (p50 > BUDGET_P50_MS * options.slack or p99 > BUDGET_P99_MS * options.slack):
                missed.append(f"{size} APIs")
    finally:
        if stack:
            stack.quickstart("clean")


def run(options):
    """Prints the table; answers the sizes that missed the budget."""
    lines, missed = [], []
    options.publishes = options.publishes or 200
    for size in options.sizes:
        measure_size(options, size, lines, missed)
    print(gateway.heading(options.build))
    print(f"run:       {options.publishes} publishes a size, one after another; the commit lies between request and "
          "reply\n")
    print(gateway.table(lines, ["APIs", "from -> to", "p50 ms", "p99 ms", "max ms", "budget p50/p99"]))
    return missed
