"""A quic listener among hosts that follow no rules: it answers strangers with little, remembers little, and serves its clients.

QUIC_FULL=1 (scripts/release-check) attacks with the numbers that a release must bear.
"""
import contextlib
import json
import os
import random
import subprocess
import unittest

from ferry_process import FERRY, LIMIT_S
from quic_peer import QuicTestCase

ATTACK = os.path.join(os.path.dirname(FERRY), "../tests/quic_attack")
FULL = "QUIC_FULL" in os.environ
PACKETS = 100_000 if FULL else 3_000
FRAMES = 1_000_000 if FULL else 30_000
BELIEVED_LIMIT = 200_000_000 if not os.environ.get("FERRY_SANITIZE") else 1 << 30  # of 1,024 handshakes (backlog)
MEMORY_LIMIT = (64 if not os.environ.get("FERRY_SANITIZE") else 512) << 20  # of growth, whatever comes
FLOOD_LIMIT = (16 if not os.environ.get("FERRY_SANITIZE") else 512) << 20  # of growth by frames of those who were let in

# What the listener ends connections with that send these frames (RFC 9000, section 20.1). It bears any number of others.
STREAM_LIMIT_ERROR, CONNECTION_ID_LIMIT_ERROR = "4", "9"
CLOSES = {"new_connection_id": {CONNECTION_ID_LIMIT_ERROR}, "reset_stream": {STREAM_LIMIT_ERROR}}


class Hostile(QuicTestCase):
    def start_attack(self, port, kind, count):
        attack = subprocess.Popen([ATTACK, str(port), kind, str(count)], stdout=subprocess.PIPE)
        self.addCleanup(attack.stdout.close)
        self.addCleanup(attack.kill)
        return attack

    def end_attack(self, attack, kind):
        output, _ = attack.communicate(timeout=10 * LIMIT_S)
        self.assertEqual(attack.returncode, 0)
        tally = json.loads(output)
        if FULL:
            print(f"{kind}: {tally}")
        return tally

    def attack(self, port, kind, count):
        return self.end_attack(self.start_attack(port, kind, count), kind)

    def assert_growth(self, ferry, before, limit):
        growth = ferry.peak_bytes() - before
        if FULL:
            print(f"memory grew by {growth / 1e6:.1f} MB")
        self.assertLess(growth, limit)

    def good_client(self, port, size=50_000):
        data = random.Random(size).randbytes(size)
        done = self.ferry_client(port, data)
        self.assertEqual((done.returncode, done.stdout == data), (0, True), done.stderr)

    def survive(self, kind, count, limit=MEMORY_LIMIT):
        """Attacks beside good clients, which are served all the time and after; memory stays within its bound."""
        ferry, port = self.ferry_server()
        self.good_client(port)
        before = ferry.resident_bytes()
        attack = self.start_attack(port, kind, count)
        served = 0
        while served == 0 or attack.poll() is None:
            self.good_client(port)
            served += 1
        tally = self.end_attack(attack, kind)
        if FULL:
            print(f"{served} good clients were served meanwhile")
        self.good_client(port)
        self.assert_growth(ferry, before, limit)
        self.assertIsNone(ferry.process.poll())
        return tally

    def strangers(self, kind):
        tally = self.survive(kind, PACKETS)
        self.assertEqual(tally["packets"], PACKETS)
        self.assertLessEqual(tally["received_bytes"], 3 * tally["sent_bytes"])  # RFC 9000, section 8.1

    def test_spoofed_first_packets(self):
        self.strangers("initials")

    def test_spoofed_first_packets_that_are_all_believed(self):
        """Without Retry each is answered, retransmissions included, until its budget is used up."""
        ferry, port = self.ferry_server(retry="never", handshake_timeout="1s")
        before = ferry.resident_bytes()
        tally = self.attack(port, "initials", PACKETS)
        self.assertLessEqual(tally["received_bytes"], 3 * tally["sent_bytes"])
        self.assertGreater(tally["received_bytes"], tally["sent_bytes"] // 10)
        self.assert_growth(ferry, before, BELIEVED_LIMIT)
        self.good_client(port)

    def test_handshakes_that_never_end_make_room_for_others(self):
        _, port = self.ferry_server(retry="never", backlog=16, handshake_timeout="60s")
        self.attack(port, "initials", 200)
        self.good_client(port)

    def test_first_packets_that_overtook_the_beginning_are_asked_for_an_address(self):
        _, port = self.ferry_server()
        self.assertEqual(self.attack(port, "overtakers", 20)["retries"], 20)
        self.good_client(port)

    def test_a_server_that_was_restarted_tells_its_old_clients(self):
        ferry, port = self.ferry_server()
        query = f"alpn=ferry&ca={self.cert}&idle_timeout=600s"
        client = subprocess.Popen([FERRY, "connect", f"quic://127.0.0.1:{port}?{query}"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(client.stdout.close)
        self.addCleanup(client.kill)
        client.stdin.write(b"x")
        client.stdin.flush()
        self.assertEqual(client.stdout.read(1), b"x")
        ferry.kill()
        listen = {"descriptor": f"quic://127.0.0.1:{port}", "options": {"alpn": "ferry", "cert": self.cert, "key": self.key}}
        self.serve({"name": "quic", "service": "echo", "listen": [listen]}, name="again.json")
        with contextlib.suppress(BrokenPipeError):  # what is written is what the new server answers with a reset
            client.stdin.write(b"y")
            client.stdin.close()
        self.assertEqual(client.wait(LIMIT_S), 7)

    def test_garbage(self):
        self.strangers("garbage")

    def test_packets_of_unknown_connections(self):
        self.strangers("unknown")

    def test_first_packets_replayed_cut_and_flipped(self):
        self.strangers("mutations")

    def test_frames_that_cost_the_receiver_more_than_the_sender(self):
        for kind in ("path_challenge", "new_connection_id", "retire_connection_id", "reset_stream", "rapid_resets", "ping"):
            with self.subTest(kind):
                tally = self.survive(kind, FRAMES, FLOOD_LIMIT)
                self.assertGreaterEqual(tally["frames"], FRAMES)
                self.assertEqual(set(tally["closes"]), CLOSES.get(kind, set()), tally)

    def test_a_stop_counts_before_any_data_and_beside_a_close(self):
        server = self.user_server()
        self.attack(server.port, "stop_and_close", 8)
        self.assertEqual(server.reports(1)[0]["write_code"], 4712)

    def test_a_path_that_damages_repeats_and_reorders(self):
        _, port = self.ferry_server()
        relay = self.relay(port, flip=0.05, truncate=0.05, duplicate=0.2, jitter_ms=3, seed=4)
        self.good_client(relay.port, 300_000)
        counts = relay.stop()["up"]
        self.assertGreater(min(counts["flipped"], counts["truncated"], counts["duplicated"]), 0)


if __name__ == "__main__":
    unittest.main()
