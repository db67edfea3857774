"""Runs the built `udp_relay`, a bad network between a client and a server on loopback."""
import json
import os
import signal
import subprocess

from ferry_process import FERRY, LIMIT_S, Lines

PROGRAM = os.path.join(os.path.dirname(FERRY), "../tests/udp_relay")


class UdpRelay:
    """A relay to `port`; options are those of the program with _ for -: `delay_ms=25, loss=0.01`."""

    def __init__(self, port, **options):
        words = []
        for name, value in options.items():
            option = "--" + name.replace("_", "-")
            words += [option] if value is True else [option, str(value)]
        self.process = subprocess.Popen([PROGRAM, str(port), *words], stdout=subprocess.PIPE)
        self.output = Lines(self.process.stdout)
        self.port = int(self.output.wait_for(r"^listening 127\.0\.0\.1:(\d+)$").group(1))
        self.rebound = 0

    def rebind(self):
        """Gives every client a new address towards the server."""
        self.process.send_signal(signal.SIGUSR1)
        self.rebound += 1
        self.output.wait_for("^rebound$", occurrence=self.rebound)

    def stop(self):
        """Ends it; returns what happened to packets, {"up": {...}, "down": {...}}."""
        self.process.terminate()
        self.close()
        return json.loads(self.output.lines[-1])

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(LIMIT_S)
        self.output.join()
        self.process.stdout.close()
