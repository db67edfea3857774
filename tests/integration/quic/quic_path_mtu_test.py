"""How large packets get on a path whose limit nobody tells: between addresses that are not loopback's, through a relay that
drops what is larger.
"""
import unittest

import own_network
from quic_peer import QuicTestCase

SMALLEST = 1200  # what every path carries (RFC 9000, section 14)
BULK = 2 << 20


class PathMtu(QuicTestCase):
    def dialogue_through(self, max_payload):
        _, port = self.ferry_server(host=own_network.ADDRESS)
        relay = self.relay(port, address=own_network.ADDRESS, max_payload=max_payload)
        return self.dialogue(relay.port, host=own_network.ADDRESS, server_name="localhost"), relay

    def settles(self, max_payload, largest):
        dialogue, relay = self.dialogue_through(max_payload)
        for _ in range(4):
            dialogue.exchange(bytes(BULK))
        dialogue.end()
        for counts in relay.stop().values():
            self.assertEqual(counts["largest_delivered"], largest)
            self.assertLess(counts["oversized"], 20)  # three probes of each size, and an end of them

    def test_a_wide_path_carries_the_largest_packets(self):
        self.settles(1472, 1444)

    def test_a_narrow_path_gets_what_fits(self):
        self.settles(1350, 1342)

    def test_a_path_that_carries_the_least_gets_that(self):
        self.settles(SMALLEST, SMALLEST)

    def test_a_path_that_becomes_narrow_stalls_nobody(self):
        dialogue, relay = self.dialogue_through(1472)
        dialogue.exchange(bytes(BULK))
        relay.set_max_payload(1300)
        dialogue.exchange(bytes(BULK))
        dialogue.end()
        for counts in relay.stop().values():
            self.assertEqual(counts["largest_delivered"], 1444)
            self.assertGreater(counts["oversized"], 0)


if __name__ == "__main__":
    own_network.enter()
    unittest.main()
