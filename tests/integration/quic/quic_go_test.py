"""The quic transport and quic-go, each as client and as server, over good and bad networks.

QUIC_FULL=1 (scripts/release-check) adds the sizes and the losses that take long.
"""
import hashlib
import os
import random
import ssl
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor

from quic_peer import QuicTestCase, skip_without_peer

FULL = "QUIC_FULL" in os.environ
SIZES = [1, 1200, 65536, 3 << 20] + ([64 << 20] if FULL else [])

HUNDREDFOLD = [1, 20000] + ([1 << 20] if FULL else [])


def run_sha256(certificate):
    """Of the certificate in a PEM file, as DER."""
    with open(certificate, encoding="ascii") as file:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest()


def payload(size):
    return random.Random(size).randbytes(size)


class QuicGoClient(QuicTestCase):
    """quic-go connects to `ferry serve`."""

    def echo(self, port, size, streams=1, **options):
        reports, last = self.peer_client(port, size=size, streams=streams, **options)
        self.assertEqual([(s["received"], s["error"], s["send_error"]) for s in reports], [(size, "", "")] * streams, last)
        return last

    def test_a_hundred_streams_are_served_at_once(self):
        _, port = self.ferry_server()
        for size in HUNDREDFOLD:
            self.echo(port, size, streams=100)

    def test_a_relay_gives_each_stream_a_connection_of_its_own(self):
        _, echo = self.ferry_server()
        relay, port = self.ferry_server(service="relay", to=f"quic://127.0.0.1:{echo}?ca={self.cert}")
        self.echo(port, 20000, streams=20)

    def test_datagrams_come_back(self):
        server = self.user_server()
        self.assertEqual(self.echo(server.port, 1000, streams=5, datagrams=50)["datagrams"], 50)

    def test_a_server_without_datagrams_says_so(self):
        _, port = self.ferry_server(datagrams=0)
        self.assertEqual(self.echo(port, 1000, datagrams=1)["datagrams"], 0)

    def test_reset_and_stop_codes_arrive(self):
        server = self.user_server()
        self.peer_client(server.port, behaviour="reset", code=4711, size=100000, streams=2)
        self.assertEqual({(r["ended"], r["read_code"]) for r in server.reports(2)}, {("reset", 4711)})
        server = self.user_server()
        self.peer_client(server.port, behaviour="stop", code=4712, size=3 << 20, streams=2)
        self.assertEqual({r["write_code"] for r in server.reports(2)}, {4712})

    def test_every_size_comes_back(self):
        _, port = self.ferry_server()
        for size in SIZES:
            self.echo(port, size)

    def test_many_clients_at_once(self):
        _, port = self.ferry_server()
        with ThreadPoolExecutor(10) as pool:
            for _ in pool.map(lambda _: self.echo(port, 20000), range(10)):
                pass

    def test_a_key_update_goes_unnoticed(self):
        _, port = self.ferry_server()
        self.assertGreater(self.echo(port, 8 << 20)["key_updates"], 0)

    def test_retry_proves_the_clients_address(self):
        _, port = self.ferry_server(retry="always")
        self.assertEqual(self.echo(port, 1000)["retries"], 1)
        _, port = self.ferry_server()
        self.assertEqual(self.echo(port, 1000)["retries"], 0)

    def test_a_certified_client_is_served_and_others_are_not(self):
        cert, key = self.keygen("client")
        ferry, port = self.ferry_server(client_ca=cert)
        self.echo(port, 1000, cert=cert, key=key)
        for refused in ({}, {"cert": self.cert, "key": self.key}):
            streams, last = self.peer_client(port, size=1000, **refused)
            self.assertTrue("failed" in last or streams[0]["error"], (streams, last))

    def test_what_does_not_match_is_refused(self):
        _, port = self.ferry_server()
        for options, why in (({"name": "other.example"}, "other.example"), ({"alpn": "h3"}, "0x178"),
                             ({"ca": self.keygen("other")[0]}, "unknown authority")):
            streams, last = self.peer_client(port, **options)
            self.assertIn(why, last.get("failed", ""), options)

    def test_a_reset_stream_ends_its_connection_alone(self):
        _, port = self.ferry_server()
        for size in (1, 300000):  # quic-go resets a stream of one byte before it has sent any of it
            streams, last = self.peer_client(port, behaviour="reset", code=7, size=size)
            self.assertRegex(streams[0]["error"], "^(application|stream) ")
            self.assertLess(last["seconds"], 5)
        self.echo(port, 1000)

    def test_a_stopped_stream_ends_its_connection_alone(self):
        _, port = self.ferry_server()
        self.peer_client(port, behaviour="stop", code=7, size=100000)
        self.echo(port, 1000)

    def test_a_client_that_moves_is_followed(self):
        _, port = self.ferry_server()
        relay = self.relay(port, delay_ms=10, rate_mbit=40)
        stop = threading.Event()

        def move():
            while not stop.wait(0.2):
                relay.rebind()

        mover = threading.Thread(target=move)
        mover.start()
        try:
            self.echo(relay.port, 2 << 20)
        finally:
            stop.set()
            mover.join()
        self.assertGreater(relay.commands, 0)

    def test_a_lossy_path_loses_nothing(self):
        _, port = self.ferry_server()
        for loss, size in ((0.01, 300000), (0.1, 30000)) + (((0.01, 8 << 20), (0.1, 1 << 20)) if FULL else ()):
            relay = self.relay(port, delay_ms=25, loss=loss, seed=5)
            self.echo(relay.port, size, timeout=60)
            self.assertGreater(relay.stop()["up"]["lost"], 0)


class QuicGoServer(QuicTestCase):
    """`ferry connect` connects to quic-go."""

    def echo(self, port, size, **options):
        data = payload(size)
        done = self.ferry_client(port, data, **options)
        self.assertEqual((done.returncode, done.stdout == data), (0, True), done.stderr)

    def test_every_size_comes_back_after_the_half_close(self):
        server = self.peer_server()
        for size in SIZES:
            self.echo(server.port, size)
        for size, report in zip(SIZES, server.reports("stream", len(SIZES))):
            self.assertEqual((report["sha256"], report["error"]), (hashlib.sha256(payload(size)).hexdigest(), ""))

    def user(self, server, *arguments, **options):
        return self.user_client(server.port, arguments, **options)

    def test_a_hundred_streams_are_used_at_once(self):
        server = self.peer_server()
        for size in HUNDREDFOLD:
            streams = [line for line in self.user(server, "--streams", 100, "--size", size) if "stream" in line]
            self.assertEqual([(s["received"], s["same"], s["read"], s["write"]) for s in streams],
                             [(size, True, "end", "ok")] * 100)

    def test_datagrams_come_back(self):
        server = self.peer_server(datagrams=1)
        self.assertIn({"datagrams": 50}, self.user(server, "--datagrams", 50))
        server = self.peer_server()
        self.assertIn({"datagrams": 0}, self.user(server, "--datagrams", 1))

    def test_reset_and_stop_codes_arrive_both_ways(self):
        server = self.peer_server()
        self.user(server, "--behaviour", "reset", "--code", 4711, "--size", 300000, "--streams", 2)
        self.assertEqual({report["error"] for report in server.reports("stream", 2)}, {"stream 4711"})
        server = self.peer_server(behaviour="reset", code=4713)
        lines = [line for line in self.user(server, "--streams", 2) if "stream" in line]
        self.assertEqual({(line["read"], line["read_code"]) for line in lines}, {("reset", 4713)})
        server = self.peer_server(behaviour="stop", code=4714)
        lines = [line for line in self.user(server, "--streams", 2, "--size", 8 << 20) if "stream" in line]
        self.assertEqual({(line["write"], line["write_code"]) for line in lines}, {("reset", 4714)})

    def test_the_server_s_certificate_and_the_protocol_are_known(self):
        lines = self.user(self.peer_server())
        fingerprint = run_sha256(self.cert)
        self.assertEqual((lines[0]["peer"], lines[0]["protocol"]), (fingerprint, "ferry"))

    def test_the_connection_is_closed_once_and_without_error(self):
        server = self.peer_server()
        self.echo(server.port, 1000)
        self.assertRegex(server.reports("connection")[0]["connection"], r"^(application|transport) (0|0x0) $")

    def test_key_updates_go_unnoticed(self):
        server = self.peer_server()
        self.echo(server.port, 8 << 20)
        self.assertGreater(server.reports("connection")[0]["key_updates"], 0)

    def test_retry_is_answered(self):
        server = self.peer_server(retry=True)
        self.echo(server.port, 1000)

    def test_a_server_that_asks_for_a_certificate_gets_it(self):
        cert, key = self.keygen("client")
        server = self.peer_server(ca=cert)
        self.echo(server.port, 1000, cert=cert, key=key)
        done = self.ferry_client(server.port, b"x")
        self.assertEqual(done.returncode, 5, done.stderr)

    def test_what_does_not_match_is_refused_and_named(self):
        server = self.peer_server()
        other = self.keygen("other")[0]
        messages = set()
        for options, why in (({"server_name": "other.example"}, "other.example"), ({"alpn": "h3"}, "(?i)alpn|application"),
                             ({"ca": other}, "(?i)authority|issuer|signer|trust"), ({"pin": "0" * 64}, "(?i)pin")):
            done = self.ferry_client(server.port, b"", **options)
            self.assertEqual(done.returncode, 5, done.stderr)
            self.assertRegex(done.stderr.decode(), why)
            messages.add(done.stderr)
        self.assertEqual(len(messages), 4)

    def test_a_reset_stream_is_an_error(self):
        server = self.peer_server(behaviour="reset", code=7)
        self.assertNotEqual(self.ferry_client(server.port, b"x").returncode, 0)

    def test_a_lossy_path_loses_nothing(self):
        server = self.peer_server()
        for loss, size in ((0.01, 300000), (0.1, 30000)) + (((0.01, 8 << 20), (0.1, 1 << 20)) if FULL else ()):
            relay = self.relay(server.port, delay_ms=25, loss=loss, seed=6)
            self.echo(relay.port, size, timeout=60)


if __name__ == "__main__":
    skip_without_peer()
    unittest.main()
