"""What a quic connection makes of congestion: each algorithm of the option `cc` in its own way, by loss and by ECN marks.

The figures are those of the sender's qlog, so that they are the same on a busy machine.
"""
import random
import unittest

from quic_peer import QuicTestCase

FULL_BYTES = 1000  # packets of a stream's bytes have more, acknowledgements less


class Congestion(QuicTestCase):
    def exchange(self, dialogue, size):
        dialogue.exchange(random.Random(size).randbytes(size))

    def windows(self, events):
        """The congestion windows, in order."""
        return [event["data"]["congestion_window"] for event in events if event["name"] == "recovery:metrics_updated"]

    def events_of_incident(self, incident, **options):
        """Of a connection that has never filled its path, and one packet of which met with `incident`."""
        _, port = self.ferry_server()
        relay = self.relay(port)
        dialogue = self.dialogue(relay.port, qlog=True, **options)
        for _ in range(16):  # which makes the window large beside what is acknowledged with that packet
            self.exchange(dialogue, 4000)
        incident(relay)
        self.exchange(dialogue, 7000)
        dialogue.end()
        counts = relay.stop()["up"]
        self.assertEqual(counts["lost"] + counts["congested"], 1)
        return dialogue.events()

    def test_each_algorithm_answers_a_loss_in_its_own_way(self):
        # RFC 9438, section 4.6; RFC 9002, section 7.3.2. BBR goes down to what is under way; BBRv2 bears a loss while it
        # looks for the path's capacity.
        for cc, least, most in (("cubic", 0.69, 0.85), ("reno", 0.49, 0.60), ("bbr", 0, 0.40), ("bbr2", 0.95, 1.2)):
            with self.subTest(cc):
                events = self.events_of_incident(lambda relay: relay.lose(FULL_BYTES), cc=cc)
                (lost,) = [i for i, event in enumerate(events) if event["name"] == "recovery:packet_lost"]
                before, after = self.windows(events[:lost])[-1], self.windows(events[lost:])[0]
                self.assertTrue(least <= after / before <= most, after / before)

    def counts_of_marks(self, events):
        """What the peer told of marks that it got, in order: those of capability and those of congestion."""
        frames = [frame for event in events if event["name"] == "transport:packet_received" for frame in event["data"]["frames"]]
        return [(frame["ect0"], frame["ce"]) for frame in frames if frame["frame_type"] == "ack" and "ce" in frame]

    def test_a_mark_of_congestion_is_told_and_answered_like_a_loss(self):
        events = self.events_of_incident(lambda relay: relay.mark(FULL_BYTES), cc="reno")
        self.assertEqual([event for event in events if event["name"] == "recovery:packet_lost"], [])
        self.assertEqual(self.counts_of_marks(events)[-1][1], 1)
        windows = self.windows(events)
        self.assertTrue(0.49 <= windows[-1] / max(windows) <= 0.60, windows)

    def test_a_path_that_clears_marks_is_used_without_them(self):
        _, port = self.ferry_server()
        relay = self.relay(port, bleach=True)
        dialogue = self.dialogue(relay.port)
        for _ in range(16):
            self.exchange(dialogue, 20_000)
        dialogue.end()
        counts = relay.stop()
        for direction in counts.values():
            self.assertGreater(direction["ecn_capable"], 0)
            self.assertLess(direction["ecn_capable"], direction["arrived"] / 2)
        self.assertGreater(counts["up"]["delivered_bytes"], 16 * 20_000)

    def test_marks_go_on_where_a_path_carries_them(self):
        _, port = self.ferry_server()
        relay = self.relay(port)
        dialogue = self.dialogue(relay.port, qlog=True)
        for _ in range(16):
            self.exchange(dialogue, 20_000)
        dialogue.end()
        counts = relay.stop()["up"]
        self.assertGreater(counts["ecn_capable"], counts["arrived"] / 2)
        ect0, ce = self.counts_of_marks(dialogue.events())[-1]
        self.assertGreater(ect0, 16 * 20_000 // 8192)
        self.assertEqual(ce, 0)


if __name__ == "__main__":
    unittest.main()
