"""Throughput of one stream over the loopback: Ferry to Ferry beside quic-go to quic-go, in turns. Run by
scripts/release-check, on a machine with nothing else to do.
"""
import json
import os
import statistics
import unittest

from ferry_process import run
from quic_peer import QuicTestCase, skip_without_peer

ROUNDS = int(os.environ.get("QUIC_BULK_ROUNDS", 5))
BYTES = 512 << 20


class Bulk(QuicTestCase):
    def quic_go(self, port):
        """Bytes per second."""
        (stream,), _ = self.peer_client(port, behaviour="bulk", size=BYTES)
        self.assertEqual((stream["sent"], stream["error"]), (BYTES, ""))
        return BYTES / stream["bulk_seconds"]

    def ferry(self):
        done = run("bench", "quic", "--measures", "bulk", "--planes", "blocking", "--spin", "off", "--rounds", 3,
                   "--duration", "500ms", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        (figure,) = json.loads(done.stdout)["figures"]
        return figure["median"]

    def test_ferry_is_ahead_of_quic_go(self):
        server = self.peer_server(behaviour="discard")
        rates = {"ferry": [], "quic-go": []}
        for _ in range(ROUNDS):
            rates["ferry"].append(self.ferry())
            rates["quic-go"].append(self.quic_go(server.port))
        medians = {name: statistics.median(values) for name, values in rates.items()}
        for name, values in rates.items():
            print(f"{name}: {medians[name] / 1e6:.0f} MB/s ({min(values) / 1e6:.0f} to {max(values) / 1e6:.0f})")
        ratio = medians["ferry"] / medians["quic-go"]
        print(f"ferry carries {ratio:.2f} times what quic-go does")
        self.assertGreater(ratio, 1)


if __name__ == "__main__":
    skip_without_peer()
    unittest.main()
