"""Benches that share a deployment: python3 shared_test.py TESTS [unittest arguments]."""
import argparse
import contextlib
import pathlib
import sys
import types
import unittest
import unittest.mock

TESTS = pathlib.Path(sys.argv.pop(1))
sys.path.insert(0, str(TESTS / "bench"))
for name in ("contract", "signer", "world"):  # nothing is started here, and the SDK need not be there
    sys.modules[name] = types.SimpleNamespace()

import shared  # pylint: disable=wrong-import-position
import changes  # pylint: disable=wrong-import-position
import start  # pylint: disable=wrong-import-position

OPTIONS = {"apis": [10, 10_000], "publishes": None, "smoke": False, "what": "fleet", "slack": 1.1}


class Bed:
    """A deployment that grows by words."""

    def __init__(self):
        self.nodes, self.count, self.said = [1, 2], 0, []

    def add_node(self):
        self.nodes.append(len(self.nodes) + 1)

    def fill(self, count):
        self.count = max(self.count, count)
        self.said.append(f"fill {count}")


class Part:
    """Says what it is asked."""

    def __init__(self, name, sizes, nodes):
        self.name, self.sizes, self.nodes = name, sizes, nodes

    def begin(self, bed):
        bed.said.append(f"{self.name} begins with {len(bed.nodes)}")

    def at(self, bed, count):
        bed.said.append(f"{self.name} at {count}")

    def end(self, bed):
        bed.said.append(f"{self.name} ends")


class PlayTest(unittest.TestCase):
    """The order in which parts look at a deployment that grows."""

    def test_each_part_looks_at_its_sizes_of_one_deployment(self):
        bed = Bed()
        shared.play(bed, [Part("a", [0, 5], 3), Part("b", [5, 1], 4)])
        self.assertEqual(bed.said, ["a begins with 4", "b begins with 4", "fill 0", "a at 0", "fill 1", "b at 1", "fill 5", "a at 5",
                                    "b at 5", "a ends", "b ends"])

    def test_a_part_without_sizes_is_played_at_the_end(self):
        bed = Bed()
        shared.play(bed, [Part("a", [], 2)])
        self.assertEqual(bed.said, ["a begins with 2", "a ends"])


class SizesTest(unittest.TestCase):
    """Which sizes a part looks at."""

    def start(self, **more):
        return start.Part(argparse.Namespace(**{**OPTIONS, **more})).sizes

    def test_memory_is_not_asked_of_a_handful_beside_others(self):
        self.assertEqual(self.start(), [0, 10_000])

    def test_a_bench_of_its_own_takes_what_it_is_given(self):
        self.assertEqual(self.start(what="start"), [0, 10, 10_000])


class BudgetTest(unittest.TestCase):
    """What a publish may take."""

    def setUp(self):
        self.bed, self.lines, self.missed = argparse.Namespace(publishes=3, options=argparse.Namespace(slack=1.1), world=None), [], []
        self.addCleanup(setattr, changes.publish, "once", changes.publish.once)

    def quick(self, nodes, count, reply_ms):
        changes.publish.once = lambda *_: (1000.0, reply_ms)
        self.bed.turns = iter(range(3))
        changes.quick(self.bed, [argparse.Namespace(url="")] * nodes, count, self.lines, self.missed)
        return self.missed

    def test_two_nodes_hold_the_budget_of_the_median_too(self):
        self.assertEqual(self.quick(2, 10_000, 12.0), ["10000 APIs, 2 nodes"])
        self.assertEqual([line[-1] for line in self.lines], ["", "<= 10 / <= 30"])

    def test_four_nodes_hold_their_own(self):
        self.assertEqual(self.quick(4, 100_000, 90.0), [])
        self.assertEqual(self.quick(4, 100_000, 120.0), ["100000 APIs, 4 nodes"])

    def test_two_nodes_among_more_apis_hold_that_of_four(self):
        self.assertEqual(self.quick(2, 100_000, 90.0), [])


class DescriptorsTest(unittest.TestCase):
    """What tunnels change of this process."""

    def test_limits_come_back(self):
        limits = shared.tunnels.resource.getrlimit(shared.tunnels.resource.RLIMIT_NOFILE)
        part = shared.tunnels.Part(argparse.Namespace(publishes=None, tunnels=7))
        with contextlib.ExitStack() as around:
            around.enter_context(part.around())
            self.assertEqual(part.count, 7)
        self.assertEqual(shared.tunnels.resource.getrlimit(shared.tunnels.resource.RLIMIT_NOFILE), limits)


class EndedTest(unittest.TestCase):
    """A run that is ended while its deployment comes up."""

    def test_nothing_stays(self):
        said = []

        class Ended:
            """A stack whose start is interrupted as SIGTERM does it."""

            def __init__(self, *_, **__):
                pass

            def up(self):
                raise SystemExit(143)

            def quickstart(self, what):
                said.append(what)

        with unittest.mock.patch.object(shared.gateway.stacks, "Stack", Ended), self.assertRaises(SystemExit):
            shared.gateway.start("build", "var")
        self.assertEqual(said, ["clean"])


if __name__ == "__main__":
    unittest.main()
