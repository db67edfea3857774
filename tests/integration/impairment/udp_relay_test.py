"""The bad network itself: what it loses, delays, damages and reorders is what it was asked for."""
import socket
import time
import unittest

from ferry_process import LIMIT_S, TestCase
from udp_relay import UdpRelay


ECT0, CE = 2, 3  # RFC 3168, section 5


class Relayed(TestCase):
    def udp(self):
        end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        end.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        end.bind(("127.0.0.1", 0))
        end.settimeout(LIMIT_S)
        self.addCleanup(end.close)
        return end

    def path(self, **options):
        """A client connected to a relay, and the server behind it."""
        server, client = self.udp(), self.udp()
        relay = UdpRelay(server.getsockname()[1], **options)
        self.addCleanup(relay.close)
        client.connect(("127.0.0.1", relay.port))
        return client, server, relay

    def received(self, client, server, packets):
        """Sends packets and returns those that came, in their order."""
        for packet in packets:
            client.send(packet)
        came = []
        server.settimeout(0.02)
        while True:
            try:
                packet = server.recv(2048)
                if packet == b"end":
                    return came
                came.append(packet)
            except TimeoutError:
                client.send(b"end")  # again: it may be lost as well

    def test_packets_pass_both_ways(self):
        client, server, relay = self.path()
        client.send(b"there")
        packet, sender = server.recvfrom(100)
        server.sendto(b"back", sender)
        self.assertEqual((packet, client.recv(100)), (b"there", b"back"))
        counts = relay.stop()
        self.assertEqual((counts["up"]["delivered"], counts["down"]["delivered"]), (1, 1))

    def test_each_client_has_its_own_address(self):
        client, server, relay = self.path()
        other = self.udp()
        other.connect(("127.0.0.1", relay.port))
        for end, word in ((client, b"a"), (other, b"b")):
            end.send(word)
        for packet, sender in (server.recvfrom(100), server.recvfrom(100)):
            server.sendto(packet + packet, sender)
        self.assertEqual((client.recv(100), other.recv(100)), (b"aa", b"bb"))

    def test_a_rebound_client_comes_from_a_new_address(self):
        client, server, relay = self.path()
        client.send(b"before")
        before = server.recvfrom(100)[1]
        relay.rebind()
        client.send(b"after")
        after = server.recvfrom(100)[1]
        self.assertNotEqual(before, after)
        server.sendto(b"back", after)
        self.assertEqual(client.recv(100), b"back")

    def test_loss_follows_the_seed(self):
        packets = [bytes([i // 256, i % 256]) for i in range(1000)]
        runs = []
        for seed in (7, 7, 8):
            client, server, relay = self.path(loss=0.1, seed=seed)
            came = self.received(client, server, packets)
            self.assertTrue(60 <= 1000 - len(came) <= 140, len(came))
            self.assertGreaterEqual(relay.stop()["up"]["lost"], 1000 - len(came))
            runs.append(came)
        self.assertEqual(runs[0], runs[1])
        self.assertNotEqual(runs[0], runs[2])

    def carried_marks(self, marks, **options):
        """What becomes of packets with these ECN fields where the next large one meets congestion."""
        client, server, relay = self.path(**options)
        relay.mark(100)
        carried = []
        for mark in marks:
            client.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, mark)
            client.send(bytes(100))
            _, ((_, _, tos),), _, _ = server.recvmsg(200, 100)
            carried.append(tos[0] & 3)
        counts = relay.stop()["up"]
        self.assertEqual((counts["ecn_capable"], counts["congested"]), (marks.count(ECT0), carried.count(CE)))
        return carried

    def test_marks_pass_are_set_or_cleared(self):
        self.assertEqual(self.carried_marks([0, ECT0, ECT0]), [0, CE, ECT0])
        self.assertEqual(self.carried_marks([0, ECT0], bleach=True), [0, 0])

    def test_a_path_becomes_narrow_and_loses_one_packet_on_command(self):
        client, server, relay = self.path()
        relay.lose(50)
        relay.set_max_payload(100)
        for size in (10, 60, 70, 101, 100):
            client.send(bytes(size))
        self.assertEqual([len(server.recv(200)) for _ in range(3)], [10, 70, 100])
        counts = relay.stop()["up"]
        self.assertEqual((counts["lost"], counts["oversized"], counts["largest_delivered"]), (1, 1, 100))

    def test_delay_holds_each_way(self):
        client, server, relay = self.path(delay_ms=30)
        start = time.monotonic()
        client.send(b"ping")
        server.sendto(b"pong", server.recvfrom(100)[1])
        client.recv(100)
        self.assertGreaterEqual(time.monotonic() - start, 0.060)

    def test_jitter_reorders_and_loses_nothing(self):
        packets = [bytes([i]) for i in range(200)]
        client, server, relay = self.path(jitter_ms=20)
        for packet in packets:
            client.send(packet)
        came = [server.recv(100) for _ in packets]
        self.assertEqual(sorted(came), packets)
        self.assertNotEqual(came, packets)

    def test_the_rate_spreads_packets_and_its_queue_overflows(self):
        client, server, relay = self.path(rate_mbit=8, queue_bytes=20000)  # 1 ms per 1,000 bytes
        start = time.monotonic()
        for _ in range(300):
            client.send(bytes(1000))
        for _ in range(10):
            server.recv(2000)
        self.assertGreaterEqual(time.monotonic() - start, 0.009)
        counts = relay.stop()["up"]
        self.assertGreater(counts["overflowed"], 0)

    def test_damage_is_one_bit_or_the_tail(self):
        client, server, relay = self.path(flip=1, duplicate=1)
        client.send(bytes(100))
        came = [server.recv(200), server.recv(200)]
        self.assertEqual([sum(byte.bit_count() for byte in packet) for packet in came], [1, 1])
        client, server, relay = self.path(truncate=1)
        client.send(bytes(100))
        self.assertTrue(1 <= len(server.recv(200)) <= 100)


if __name__ == "__main__":
    unittest.main()
