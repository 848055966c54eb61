"""front and nodes show every declared metric, and what becomes of an API's calls is counted under its id"""
import client
import metrics

SERVED = True


def told(world, variable, process):
    reply = client.request(world.env[variable], "GET", "/metrics")
    assert reply.status == 200, reply
    return metrics.check(reply.body.decode(), process)


def story(world):
    told(world, "SLUICE_METRICS_FRONT", "front")
    world.group("g")
    for name in ("open", "few", "lost"):
        world.api(name, **({"backend": {"url_domain": "127.0.0.1:1"}} if name == "lost" else {}))
        world.publish(name)
    world.throttle("t", api_call_limits=2, time_unit="HOUR")
    world.binding("few", "t")
    world.settle("few")
    wanted = {"open": ["2xx"] * 3, "few": ["2xx", "2xx", "4xx"], "lost": ["5xx"]}
    for name, classes in wanted.items():
        answers = [world.call("GET", f"/{name}", 2) for _ in classes]
        assert [f"{reply.status // 100}xx" for reply in answers] == classes, answers
    now = told(world, "SLUICE_METRICS_NODE2", "node")
    for name, classes in wanted.items():
        api = world.names[name]["id"]
        for one in ("1xx", "2xx", "3xx", "4xx", "5xx"):
            seen = now[f'sluice_api_requests_total{{api_id="{api}",class="{one}"}}']
            assert seen == classes.count(one), f"{name}: {seen} of {one}"
        assert now[f'sluice_api_throttled_total{{api_id="{api}"}}'] == (name == "few")
        assert now[f'sluice_api_request_seconds_count{{api_id="{api}"}}'] == len(classes)
        assert now[f'sluice_api_sent_bytes_total{{api_id="{api}"}}'] > 100
