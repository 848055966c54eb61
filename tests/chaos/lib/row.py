"""A row of the failure table: what is struck, what is expected, what was measured."""
import copy
import dataclasses
import signal
import sys
import threading
import time

import client
import cluster
import relay
import strayer
import world
from audit import Ledger
from load import REPEAT, Load, Target
from stack import wait_until

BEFORE_S = 1.0  # of load before a strike
AFTER_S = 3.0  # and after all is whole: longer than silence takes to be noticed
SKEW_S = 0.05  # between our clock and accounting's, with what a call's answer takes to be read
RELAY_PORT = 9000
ASKED = (0, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGQUIT, -signal.SIGINT)
WHOLE_S = 90  # nothing takes longer; the row fails


@dataclasses.dataclass
class Row:
    """One failure. `strike(scene)` does the damage and, where nobody else does, ends it."""

    name: str
    strike: object
    failed_calls: int = 0  # at most, of calls that no limit refuses
    refused_calls: int = None  # by a limit, where accounting is away; None: none may be
    gap_s: float = 1.0  # longest time without a call that succeeds
    slowest_ms: float = None  # of the calls that succeed
    refused: int = None  # attempts of writes, at most; None: any number
    unfinished: int = 0  # writes that were never acknowledged, in all their attempts
    whole_s: float = 15  # from the strike, or from its end where the test ends it
    needs: object = None  # needs(cluster): why it cannot be run here, or None
    loose: bool = False  # limits may be exceeded: the row says why
    least_units: float = 80  # per cent of the tight limit that must be admitted


class Scene:
    """What a strike works with: the cluster, and the passing of time under load."""

    def __init__(self, cluster, api, load):
        self.cluster = cluster
        self.api = api
        self.load = load
        self.started = time.monotonic()
        self.notes = []
        self.faults = []

    def unit(self, name):
        return self.cluster.units[name]

    def kill(self, *names):
        """Kills processes one after another, each once its supervisor brought back the last."""
        for name in names:
            unit, starts = self.unit(name), self.unit(name).starts
            unit.kill()
            wait_until(lambda u=unit, s=starts: u.starts > s and u.serves(), 20,
                       f"{name} to serve again")
            self.healed()

    def drain(self, unit):
        """Restarts a unit as an upgrade does: asked to end, waited for, started, waited for."""
        unit.restart()
        wait_until(self.cluster.balanced, 20, "the balancers to use every server")

    def far_away(self, hosts, targets, delay_s):
        """Delays new connections of `hosts` to targets [(address, port)] by a relay; answers what
        ends that, and with it the connections."""
        return self.led_through(hosts, targets, lambda address, port: [
            relay.__file__, str(delay_s), address,
            *(f"{port + at}={target[0]}:{target[1]}" for at, target in enumerate(targets))])

    def led_through(self, hosts, targets, words):
        """Leads new connections of `hosts` to targets [(address, port)] to a script of ours, which
        words(address, port) starts: the n-th target is its port + n. Answers what ends that."""
        place = self.cluster.hosts["backend"]
        ways = {target: (place.address, RELAY_PORT + at) for at, target in enumerate(targets)}
        unit = self.cluster.unit("relay", place, [sys.executable, *words(place.address, RELAY_PORT)],
                                 ready=lambda: cluster.listens(place.address, RELAY_PORT))
        unit.start()
        unit.wait(20)
        for host in hosts:
            host.detour(ways)

        def end():
            for host in hosts:
                host.detour({})
            unit.stop()
            del self.cluster.units["relay"]
        return end

    def astray(self, name, percent, *how):
        """Leads a node's messages to and from every bus through strayer.py; answers what ends that
        and tells how many went through."""
        cluster = self.cluster
        buses = [unit.host for unit in cluster.kind("bus")]
        peers = [cluster.secrets / f"{peer}.peer" for peer in
                 [name] + [unit.name for unit in cluster.kind("bus")]]
        end = self.led_through(
            [self.unit(name).host], [(host.address, port) for host in buses for port in (7001, 7003)],
            lambda address, port: [strayer.__file__, *how, address, port, percent, *peers])
        self.unit(name).restart()

        def end_and_tell():
            end()
            carried = (cluster.log / "relay.log").read_text().splitlines()[-1:]
            self.check(carried, "nothing went through the relay")
            self.note(f"through the relay: more than {''.join(carried)}")
            self.healed()
        return end_and_tell

    def wait_for_writes(self):
        """Waits until writes are acknowledged again."""
        begun = time.monotonic()
        wait_until(lambda: any(w.acknowledged and w.done > begun for w in
                               self.load.writes[-500:] if w.done), WHOLE_S, "acknowledged writes")

    def lasts(self, seconds):
        """Lets the damage act for a while."""
        threading.Event().wait(seconds)

    def healed(self):
        """The damage is over: from here on the cluster has to become whole."""
        self.started = time.monotonic()

    def note(self, text):
        self.notes.append(text)

    def check(self, true, text):
        """Something a row asserts besides its numbers."""
        if not true:
            self.faults.append(text)


class Api:
    """What callers call and operators publish while things break."""

    def __init__(self, cluster, contract):
        self.cluster = cluster
        key = cluster.env
        env = {"SLUICE_PROJECT_ID": key["project"], "SLUICE_INSTANCE_ID": key["gateway"],
               "SLUICE_AK": key["ak"], "SLUICE_SK": key["sk"], "SLUICE_DATA_URL": cluster.data_url,
               "SLUICE_ENDPOINT": cluster.endpoint, "SLUICE_ECHO_ADDR": cluster.echo,
               "SLUICE_DOMAIN_NAME": "chaos", "SLUICE_USERNAME": "admin",
               "SLUICE_PASSWORD": key["password"]}
        self.world = world.World(_Stack(env), contract, True)
        # Kinds of calls whose limit is far below what comes: units, window in seconds.
        self.limits = {"narrow": (30, 60), "tight": (5, 1)}

    def publish(self):
        """An open API, a signed one with a wide limit, two whose limits bite, one to publish."""
        made = self.world
        made.group("g")
        made.app("p")
        for name, auth in (("open", "NONE"), ("signed", "APP"), ("narrow", "NONE"),
                           ("tight", "NONE"), ("probe", "NONE")):
            made.api(name, auth_type=auth)
            made.publish(name)
        made.auth("p", "signed")
        for name, limit, unit in (("signed", 1000, "SECOND"), ("narrow", 30, "MINUTE"),
                                  ("tight", 5, "SECOND")):
            made.throttle(f"t_{name}", time_unit=unit, api_call_limits=limit)
            made.binding(name, f"t_{name}")
        made.settle("signed")

    def at(self, host):
        """The operator's side as seen by who asks the front of one control host."""
        there = copy.copy(self.world)
        there.env = dict(there.env, SLUICE_ENDPOINT=f"https://{host.address}:7443")
        return there

    def targets(self):
        """For Load: the kinds of calls, and who signs them."""
        host = self.world.names["g"]["sl_domain"]
        app = self.world.names["p"]
        return {"open": Target("/open", host), "narrow": Target("/narrow", host),
                "tight": Target("/tight", host),
                "signed": Target("/signed", host, (app["app_key"], app["app_secret"]))}

    def serve(self, number, nodes):
        """Publishes another path behind the probe; answers which of the nodes (addresses) do not
        lead there once the reply says that all do, or None when it does not say so in a second."""
        made = self.world
        probe = made.names["probe"]
        probe["body"]["backend_api"]["req_uri"] = f"/back/{number}"
        made.want(200, "PUT", f"/apis/{probe['id']}", probe["body"])
        body = {"action": "online", "api_id": probe["id"], "env_id": world.RELEASE}
        if "nodes" in made.want(201, "POST", "/apis/action?wait_ms=1000", body):
            return None
        host = {"Host": made.names["g"]["sl_domain"]}
        return [address for address in nodes if client.request(
            f"http://{address}:8080", "GET", "/probe", host).json["path"] != f"/back/{number}"]

    def live(self):
        """Whether a publication is acknowledged and live on every node at once."""
        body = {"action": "online", "api_id": self.world.names["probe"]["id"],
                "env_id": world.RELEASE}
        try:
            reply = self.world.manage("POST", "/apis/action?wait_ms=1000", body, check=False)
            if reply.status != 201 or "nodes" in reply.json:
                return False
            nodes = self.world.manage(
                "GET", f"raw:/v2/{self.world.project}/sluice/instances/{self.world.instance}/nodes",
                check=False)
            return nodes.status == 200 and len(nodes.json["nodes"]) > 0 and all(
                node["health"] == "ready" for node in nodes.json["nodes"])
        except OSError:
            return False


class _Stack:  # what World asks of a deployment
    def __init__(self, env):
        self.env = env


class Table:
    """Plays rows one after another under one load, and prints what came of them."""

    HEAD = ("row", "calls", "failed", "limited", "units %", "gap s", "slowest ms", "writes", "refused",
            "unfinished", "lost", "twice", "whole s")

    def __init__(self, cluster, api):
        self.cluster = cluster
        self.api = api
        self.load = Load(cluster, api.targets())
        self.lines = []
        self.skips = []
        self.passed = self.failed = 0

    def play(self, rows):
        """Runs the rows."""
        self.load.start()
        try:
            wait_until(lambda: len(self.load.writes) > 2, 30, "the first writes")
            for row in rows:
                self._one(row)
        finally:
            self.load.stop()

    def _one(self, row):
        reason = row.needs and row.needs(self.cluster)
        if reason:
            self.skips.append(f"{row.name}: {reason}")
            print(f"skip {row.name}: {reason}", flush=True)
            return
        begun = time.monotonic()
        ends = {name: len(unit.ends) for name, unit in self.cluster.units.items()}
        scene = Scene(self.cluster, self.api, self.load)
        scene.lasts(BEFORE_S)
        whole = None
        try:
            row.strike(scene)
            whole = self._whole(scene)
        except (AssertionError, RuntimeError, OSError) as fault:
            scene.faults.append(f"{type(fault).__name__}: {fault}")
        scene.lasts(AFTER_S)
        self._settle()
        self._ends(scene, ends)
        self._judge(row, scene, begun, whole)
        self.load.quiet.clear()

    def _ends(self, scene, before):
        """No process of ours may end but as it was told to."""
        for name, unit in self.cluster.units.items():
            odd = [status for status in unit.ends[before.get(name, 0):] if status not in ASKED]
            if odd and not name.startswith("postgres"):
                scene.check(all(status > 0 for status in odd), f"{name} crashed: {odd}")
                scene.note(f"{name} ended with {odd}")

    def _whole(self, scene):
        wait_until(lambda: not self.cluster.not_serving(), WHOLE_S,
                   f"all to serve: {self.cluster.not_serving()}")
        wait_until(self.cluster.balanced, WHOLE_S, "the balancers to use every server")
        wait_until(self.api.live, WHOLE_S, "a publication live on every node")
        return time.monotonic() - scene.started

    def _settle(self):
        """Lets no write begin until judged, and waits for those that have."""
        self.load.quiet.set()
        wait_until(lambda: all(w.done for w in self.load.writes), 90, "every write to end")

    def _judge(self, row, scene, begun, whole):
        end = time.monotonic()
        calls = [c for c in list(self.load.calls) if begun <= c.due < end]
        writes = [w for w in list(self.load.writes) if begun <= w.due]
        ledger = Ledger(self.cluster)
        limited = [c for c in calls if c.kind == "signed" and c.status == 429]
        failed = [c for c in calls if c.status != 200 and c not in limited
                  and not (c.kind in self.api.limits and c.status == 429)]
        good = sorted(c.done for c in calls if c.status == 200 and c.kind not in self.api.limits)
        gap = max((b - a for a, b in zip(good, good[1:])), default=float("inf"))
        slowest = max((c.done - c.due for c in calls if c.status == 200), default=0) * 1000
        late = max((c.begun - c.due for c in calls), default=0)
        if late > 0.2:
            scene.note(f"the load itself was up to {late:.2f} s late: a busy machine")
        unfinished = [w for w in writes if not w.acknowledged and not _made_before(w, ledger)]
        units = self._admitted(calls, "tight")
        lost, twice = ledger.lost(self.load.writes), ledger.twice(writes)
        refused = sum(status in (0, *REPEAT) for w in writes for status in w.attempts)
        for true, text in (
                (row.refused is None or refused <= row.refused, f"{refused} attempts of writes "
                 f"were refused: {[w.attempts for w in writes if len(w.attempts) > 1][:5]}"),
                (calls and writes, "no load ran"),
                (len(failed) <= row.failed_calls,
                 f"{len(failed)} calls failed, at most {row.failed_calls} may: "
                 f"{[(c.kind, c.why or c.status, round(c.due - scene.started, 2)) for c in failed[:8]]}"),
                (len(limited) <= (row.refused_calls or 0), f"{len(limited)} calls were limited"),
                (units >= row.least_units, f"{units:.0f} % of the tight limit was admitted, "
                 f"{row.least_units} % are expected"),
                (gap <= row.gap_s + late, f"{gap:.1f} s without a good call, at most {row.gap_s} s"),
                (not row.slowest_ms or slowest <= row.slowest_ms + late * 1000, f"a call took {slowest:.0f} ms"),
                (len(unfinished) <= row.unfinished, f"writes never acknowledged: "
                 f"{[(w.kind, w.name, w.attempts[-6:]) for w in unfinished[:5]]}"),
                (not lost, f"acknowledged but lost: {lost[:5]}"),
                (not twice, f"applied twice: {twice[:5]}"),
                (whole is not None and whole <= row.whole_s, f"whole after {whole} s, "
                 f"{row.whole_s} s are expected"),
                (row.loose or not self._over(calls), f"a limit was exceeded: {self._over(calls)}")):
            scene.check(true, text)
        cells = (row.name, len(calls), f"{len(failed)} <= {row.failed_calls}", len(limited),
                 f"{units:.0f}", f"{gap:.2f} <= {row.gap_s}", f"{slowest:.0f}", len(writes), refused,
                 f"{len(unfinished)} <= {row.unfinished}", len(lost), len(twice),
                 f"{whole:.1f} <= {row.whole_s}" if whole is not None else "never")
        self.lines.append((cells, scene.faults, scene.notes))
        self.passed += not scene.faults
        self.failed += bool(scene.faults)
        print(f"{'FAIL' if scene.faults else 'ok  '} " + row.name + ": " + ", ".join(
            f"{head} {cell}" for head, cell in zip(self.HEAD[1:], cells[1:])), flush=True)
        for text in scene.notes + scene.faults:
            print(f"     {text}", flush=True)

    def _over(self, calls):
        """Windows in which more calls were admitted than a limit allows."""
        windows = {}
        offset = time.time() - time.monotonic()
        for call in calls:
            if call.kind in self.api.limits and call.status == 200:
                limit, length = self.api.limits[call.kind]
                first, last = (int((at + offset) // length) for at in
                               (call.due - SKEW_S, call.done + SKEW_S))
                if first == last:
                    seen = windows.setdefault((call.kind, first), [0, limit])
                    seen[0] += 1
        return {window: count for window, (count, limit) in windows.items() if count > limit}

    def _admitted(self, calls, kind):
        """Per cent of the limit's units that were admitted in the whole windows of the row."""
        limit, length = self.api.limits[kind]
        offset = time.time() - time.monotonic()
        mine = [call for call in calls if call.kind == kind]
        first, last = (int((at + offset) // length) for at in
                       (min((c.due for c in mine), default=0), max((c.due for c in mine), default=0)))
        admitted = sum(call.status == 200 and first < (call.begun + offset) // length < last
                       for call in mine)
        return 100 * admitted / (limit * (last - first - 1)) if last - first > 1 else 100


def _made_before(write, ledger):
    """A repeated create that a lost answer had acknowledged already: refused as a duplicate."""
    return (write.kind == "create" and len(write.attempts) > 1
            and write.attempts[-1] in (400, 409) and write.name in ledger.stored)
