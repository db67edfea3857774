"""Ten thousand short connections through one relay leave no descriptor behind."""
import socketserver
import threading
import unittest

from ferry_process import LIMIT_S, TestCase, dial, receive_all

CONNECTIONS = 10_000
THREADS = 8


class Answer(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"answer to " + receive_all(self.request))


class Server(socketserver.ThreadingUnixStreamServer):
    request_queue_size = 1024
    daemon_threads = True


class ManyConnections(TestCase):
    def ask(self, descriptor, count, failures):
        for i in range(count):
            try:
                with dial(descriptor) as client:
                    question = b"%d" % i
                    client.sendall(question)
                    client.shutdown(1)
                    if receive_all(client) != b"answer to " + question:
                        failures.append("a wrong answer")
            except OSError as problem:
                failures.append(repr(problem))

    def test_no_descriptor_is_left(self):
        with Server(self.path("target.sock"), Answer) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            ferry = self.start("relay", "tcp://127.0.0.1:0", "uds://" + self.path("target.sock"))
            descriptor = ferry.listening()[0]
            failures = []
            self.ask(descriptor, 20, failures)  # whatever is opened once is open now
            before = ferry.open_descriptors()
            threads = [threading.Thread(target=self.ask, args=(descriptor, CONNECTIONS // THREADS, failures))
                       for _ in range(THREADS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            server.shutdown()
            self.assertEqual(failures, [])
            # The relay may still be closing the last ones: its own ledger says when it has.
            self.assertLessEqual(ferry.open_descriptors(), before + 2 * THREADS)
            self.assertEqual(ferry.terminate(), 0, ferry.log.text())
            ferry.log.wait_for(f"relayed {CONNECTIONS + 20} connections: 0 without a target, 0 reset, 0 cut")


if __name__ == "__main__":
    unittest.main()
