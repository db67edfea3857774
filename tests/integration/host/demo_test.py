"""`scripts/demo`: what the README promises of it."""
import os
import re
import subprocess
import unittest

from ferry_process import FERRY

DEMO = os.path.join(os.path.dirname(__file__), "../../../scripts/demo")
DEMO_S = 150


class Demo(unittest.TestCase):
    def test_a_service_changes_its_transport_and_every_transport_is_measured(self):
        build = os.path.dirname(os.path.dirname(os.path.abspath(FERRY)))
        done = subprocess.run([DEMO, build], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEMO_S)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        before, after = done.stdout.split("Now the file is edited", 1)
        self.assertRegex(before, r"listens at tcp://127\.0\.0\.1:\d+")
        self.assertRegex(before, r"(?m)^hello, engine$")
        self.assertRegex(after, r"listens at uds://\S+engine\.sock")
        self.assertRegex(after, r"(?m)^hello again, engine$")
        for transport in ("shm", "uds", "npipe", "tcp", "quic"):
            for measure in ("ping-pong", "one-way send", "one-way send_many", "bulk"):
                self.assertEqual(len(re.findall(rf"(?m)^{transport} +{measure} +\d.* (?:off|auto) +[\d.]+ ", after)), 2,
                                 f"{transport} {measure}: {after}")


if __name__ == "__main__":
    unittest.main()
