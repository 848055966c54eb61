"""What benches make of rounds: python3 measure_test.py TESTS [unittest arguments]."""
import pathlib
import sys
import tempfile
import unittest

TESTS = pathlib.Path(sys.argv.pop(1))
sys.path.insert(0, str(TESTS / "bench"))

import measure  # pylint: disable=wrong-import-position

SLACK = 1.10


def candidate(name, *cpu_us):
    """One with a round for each cost of a request."""
    made = measure.Candidate(name, [], "")
    made.rounds = [(cost, 1000, 1.0, 2.0, 0, 0.0) for cost in cpu_us]
    return made


class ReportTest(unittest.TestCase):
    """Which rows are named as over their budgets."""

    def missed(self, own, base, budget):
        return measure.report([base, measure.compared(own, base, budget)], SLACK)[1]

    def test_a_row_beyond_budget_and_slack_is_named(self):
        self.assertEqual(self.missed(candidate("own", 14, 14, 14), candidate("plain", 10, 10, 10), 1.2), ["own over plain"])

    def test_a_row_within_the_slack_is_not(self):
        self.assertEqual(self.missed(candidate("own", 13, 13, 13), candidate("plain", 10, 10, 10), 1.2), [])

    def test_a_row_without_a_budget_is_never_missed(self):
        self.assertEqual(self.missed(candidate("own", 99), candidate("plain", 1), None), [])

    def test_rounds_are_compared_with_their_own_base(self):
        # A machine that slows down slows both: medians of each apart would say 2.0.
        own, base = candidate("own", 10, 20, 40), candidate("plain", 10, 10, 40)
        self.assertEqual(measure.ratio(own, base), 1.0)


class H2LogTest(unittest.TestCase):
    """h2load's lines: start, status, microseconds."""

    def test_answers_count_and_failed_streams_do_not(self):
        with tempfile.TemporaryDirectory() as place:
            log = pathlib.Path(place) / "log"
            log.write_text("1700000000000001\t200\t1500\n1700000000000002\t-1\t9000\n1700000000000003\t429\t500\n")
            self.assertEqual(measure.h2_times_ms(log), [1.5, 0.5])
            self.assertFalse(log.exists())  # h2load appends: the next round begins anew


if __name__ == "__main__":
    unittest.main()
