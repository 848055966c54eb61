"""publish: how long from a publish to the first 200 on both nodes, for gateways of several sizes."""
import http.client
import threading
import time
import urllib.parse

import gateway
import measure

BUDGET_P50_MS, BUDGET_P99_MS = 10, 30  # at 10,000 APIs; smaller gateways have to hold it too


class Poller(threading.Thread):
    """Asks one node for one path, again and again over one connection, until it answers 200."""

    def __init__(self, url, host, path, deadline):
        super().__init__(daemon=True)
        split = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(split.hostname, split.port, timeout=10)
        self.host, self.path, self.deadline = host, path, deadline
        self.asked, self.served_at = threading.Event(), None

    def run(self):
        while time.monotonic() < self.deadline:
            self.connection.request("GET", self.path, headers={"Host": self.host})
            reply = self.connection.getresponse()
            reply.read()
            self.asked.set()
            if reply.status == 200:
                self.served_at = time.monotonic()
                break
        self.connection.close()


def fill(made, count):
    """A gateway with `count` published APIs, over groups of at most 500."""
    for number in range(count):
        group = f"g{number // 500}"
        if group not in made.names:
            made.group(group)
        made.api(f"s{number}", group=group, backend_type="MOCK", backend_api=None, mock_info={"result_content": "{}"})
        made.waits = False
        made.publish(f"s{number}")
        made.waits = True


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
    for size in options.sizes:
        measure_size(options, size, lines, missed)
    print(gateway.heading(options.build))
    print(f"run:       {options.publishes} publishes a size, one after another; the commit lies between request and "
          "reply\n")
    print(gateway.table(lines, ["APIs", "from -> to", "p50 ms", "p99 ms", "max ms", "budget p50/p99"]))
    return missed
