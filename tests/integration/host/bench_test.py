"""`ferry bench`: what its JSON says, and what a wrong command line is told. The figures themselves are for no test."""
import json
import unittest

from ferry_process import TestCase, run

QUICK = ["--duration", "5ms", "--rounds", "1", "--pin", "-1"]
FIGURES = [("ping-pong", "blocking", "ns"), ("ping-pong", "reactor", "ns"), ("one-way send", "blocking", "messages/s"),
           ("one-way send_many", "blocking", "messages/s"), ("one-way reactor", "reactor", "messages/s"),
           ("bulk", "blocking", "bytes/s"), ("bulk", "reactor", "bytes/s")]


class Bench(TestCase):
    def bench(self, *arguments):
        done = run("bench", "--json", *QUICK, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def check_latencies(self, row):
        self.assertLess(0, row["median"])
        self.assertLessEqual(row["median"], row["p99"])
        self.assertLessEqual(row["p99"], row["p99.9"])
        self.assertLessEqual(row["p99.9"], row["max"])

    def test_each_figure_has_its_baseline_and_their_ratio(self):
        report = self.bench("uds", "tcp", "--baseline", "--spin", "off")
        self.assertEqual((report["rounds"], report["round_duration_ns"]), (1, 5_000_000))
        self.assertEqual([(row["transport"], row["measure"], row["plane"], row["unit"]) for row in report["figures"]],
                         [(transport, *figure) for transport in ("uds", "tcp") for figure in FIGURES])
        for row in report["figures"]:
            with self.subTest(transport=row["transport"], measure=row["measure"], plane=row["plane"]):
                (by_hand,) = row["baselines"]
                self.assertEqual(by_hand["name"], row["transport"])
                self.assertEqual((row["raw_median"], row["ratio"]), (by_hand["median"], by_hand["ratio"]))
                self.assertAlmostEqual(row["ratio"], row["median"] / by_hand["median"], 6)  # one round: no median of many
                self.assertEqual(row["size"], 1 << 20 if row["measure"] == "bulk" else 64)
                for side in (row, by_hand):
                    if row["measure"] == "ping-pong":
                        self.check_latencies(side)
                    else:
                        self.assertNotIn("p99", side)
                        self.assertLess(0, side["median"])
                    self.assertEqual("cpu_s_per_gb" in side, row["measure"] == "bulk")

    def test_what_to_measure_is_chosen(self):
        report = self.bench("tcp://127.0.0.1:0?nodelay=false", "--measures", "ping-pong", "--planes", "blocking",
                            "--spin", "off,20us", "--size", "1KiB")
        self.assertEqual([(row["spin"], row["size"], row["transport"]) for row in report["figures"]],
                         [(spin, 1024, "tcp://127.0.0.1:0?nodelay=false") for spin in ("off", "20us")])
        for row in report["figures"]:
            self.check_latencies(row)
            self.assertNotIn("ratio", row)

    def test_the_table_has_a_line_for_each(self):
        done = run("bench", "uds", "--baseline", "--spin", "off", "--measures", "bulk", "--planes", "blocking", *QUICK)
        lines = done.stdout.decode().splitlines()
        self.assertRegex(lines[0], "^transport .* ratio$")
        self.assertRegex(lines[1], r"^uds +bulk +1 MiB +blocking +off +[\d.]+ .?B/s ")
        self.assertRegex(lines[2], r"^  uds +bulk +1 MiB +by hand +[\d.]+ .?B/s .* [\d.]+$")

    def test_a_wrong_command_line_is_exit_code_2_and_says_why(self):
        for arguments, reason in ((["--duration", "0"], "cannot last 0"), (["--size", "99999GiB"], "1B to 1GiB"),
                                  (["--bulk-size", "0"], "1B to 1GiB"), (["--spin", "lots"], "expected off, auto"),
                                  (["--pin", "9999"], "may use the processors 0")):
            with self.subTest(arguments):
                done = run("bench", "uds", *arguments)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(reason, done.stderr.decode())


if __name__ == "__main__":
    unittest.main()
