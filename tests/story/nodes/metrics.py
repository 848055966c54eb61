"""every process shows its declared metrics, and what becomes of an API's calls is counted under its id"""
import glob
import http.client
import pathlib
import socket

import client
import metrics
from stack import wait_until

SERVED = True


def told(world, variable, process):
    reply = client.request(world.env[variable], "GET", "/metrics")
    assert reply.status == 200, reply
    return metrics.check(reply.body.decode(), process)


def ask_unix(path, target):
    """A request over a unix socket: status and body."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(20)
    connection.sock.connect(path)
    connection.request("GET", target)
    reply = connection.getresponse()
    body = reply.read().decode()
    connection.close()
    return reply.status, body


def others(world):
    """unit → where it listens, as its configuration says."""
    found = {}
    for path in sorted(glob.glob(f"{world.stack.var}/config/*.yaml")):
        for line in pathlib.Path(path).read_text().splitlines():
            if line.startswith(("health_listen: unix:", "agent_health_listen: unix:")):
                found[pathlib.Path(path).stem] = line.split("unix:", 1)[1]
    return found


def figures(world):
    """Every bus and worker is alive and ready and shows what it should; the sums of all of them."""
    sums = {}
    units = others(world)
    assert {name.split("-")[0] for name in units} == {"bus", "registry", "identity", "publisher", "throttle", "node"}, units
    for unit, path in units.items():
        assert ask_unix(path, "/healthz") == (200, "ok\n"), unit
        assert ask_unix(path, "/readyz") == (200, "ready\n"), unit
        status, body = ask_unix(path, "/metrics")
        assert status == 200, f"{unit}: {body}"
        for name, value in metrics.check(body, {"bus": "bus", "node": "agent"}.get(unit.split("-")[0], "worker")).items():
            sums[name] = sums.get(name, 0) + value
    return sums


def story(world):
    told(world, "SLUICE_METRICS_FRONT", "front")
    before = figures(world)
    world.group("g")
    for name in ("open", "few", "lost"):
        world.api(name, **({"backend": {"url_domain": "127.0.0.1:1"}} if name == "lost" else {}))
        world.publish(name)
    world.throttle("t", api_call_limits=2, time_unit="DAY")
    world.binding("few", "t")
    world.settle("few")
    wanted = {"open": ["2xx"] * 3, "lost": ["5xx"]}
    for name, classes in wanted.items():
        answers = [world.call("GET", f"/{name}", 2) for _ in classes]
        assert [f"{reply.status // 100}xx" for reply in answers] == classes, answers
    wanted["few"] = [f"{reply.status // 100}xx" for reply in world.admitted(2, lambda _: world.call("GET", "/few", 2), more=1)]
    assert wanted["few"].count("2xx") == 2 and wanted["few"][-1] == "4xx", wanted

    def well():
        """The figures once every process finds its peers: an answer that took long looks like none for a moment."""
        found = figures(world)
        lives = [found[f"sluice_{name}"] for name in ("agent_well", "agent_accounting", "agent_bus_live", "worker_bus_live")]
        return found if lives == [2, 2, 4, 2 * 6] else None
    after = wait_until(well, 30, "every process to find its peers")
    assert after['sluice_worker_commands_total{outcome="done"}'] - before[
        'sluice_worker_commands_total{outcome="done"}'] >= 10, after
    assert after["sluice_bus_commands_passed_total"] - before["sluice_bus_commands_passed_total"] >= 10, after
    assert after["sluice_agent_revision"] > before["sluice_agent_revision"], after
    assert after["sluice_bus_peers"] >= 2 * 8, after

    def counted():
        """The figures once the last call is in them: a worker may count after its answer is there."""
        figures_now = told(world, "SLUICE_METRICS_NODE2", "node")
        return figures_now if all(figures_now.get(f'sluice_api_request_seconds_count{{api_id="{world.names[name]["id"]}"}}')
                                  == len(classes) for name, classes in wanted.items()) else None
    now = wait_until(counted, 30, "all calls to be counted")
    for name, classes in wanted.items():
        api = world.names[name]["id"]
        for one in ("1xx", "2xx", "3xx", "4xx", "5xx"):
            seen = now[f'sluice_api_requests_total{{api_id="{api}",class="{one}"}}']
            assert seen == classes.count(one), f"{name}: {seen} of {one}"
        assert now[f'sluice_api_throttled_total{{api_id="{api}"}}'] == classes.count("4xx")
        assert now[f'sluice_api_request_seconds_count{{api_id="{api}"}}'] == len(classes)
        assert now[f'sluice_api_sent_bytes_total{{api_id="{api}"}}'] > 100
