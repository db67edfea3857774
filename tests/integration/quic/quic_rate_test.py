"""Throughput over a path of 100 Mbit/s, 50 ms round trip and 1 % loss, by congestion control. Run by scripts/release-check."""
import time
import unittest

from quic_peer import QuicTestCase

QUEUE_BYTES = 625_000  # what the path holds: 100 Mbit/s for 50 ms


class Rate(QuicTestCase):
    def rate(self, cc, megabytes):
        """Bytes per second that one stream carries from `ferry connect` to a server that takes all."""
        _, port = self.ferry_server(service="discard")
        relay = self.relay(port, delay_ms=25, rate_mbit=100, loss=0.01, seed=2, queue_bytes=QUEUE_BYTES)
        start = time.monotonic()
        done = self.ferry_client(relay.port, bytes(megabytes * 1_000_000), cc=cc, timeout=300)
        rate = megabytes * 1_000_000 / (time.monotonic() - start)
        self.assertEqual(done.returncode, 0, done.stderr)
        counts = relay.stop()["up"]
        print(f"{cc}: {rate / 1e6:.2f} MB/s over 100 Mbit/s, 50 ms, 1 % loss; {counts['overflowed']} packets overflowed")
        return rate

    def test_bbr2_fills_a_lossy_path(self):
        self.assertGreaterEqual(self.rate("bbr2", 60), 10e6)

    def test_the_others_are_reported(self):
        for cc in ("cubic", "reno", "bbr"):
            self.rate(cc, 8)


if __name__ == "__main__":
    unittest.main()
