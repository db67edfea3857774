// quic_go_peer is the other side of the quic plugin's interoperability tests: quic-go, an implementation that shares no
// code with ngtcp2, as an echo server and as a client. Each line of standard output is a JSON object: `listening`, then one
// for each stream that ended and one for each connection that did.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/lucas-clemente/quic-go"
	"github.com/lucas-clemente/quic-go/logging"
)

var (
	certificate = flag.String("cert", "", "certificate that this side presents")
	key         = flag.String("key", "", "its key")
	authority   = flag.String("ca", "", "what the other side's certificate is verified with; a server asks for one then")
	name        = flag.String("name", "localhost", "what the server's certificate must be for")
	alpn        = flag.String("alpn", "ferry", "protocol")
	retry       = flag.Bool("retry", false, "server: validate addresses by Retry")
	behaviour   = flag.String("behaviour", "echo", "of each stream, server: echo, sink, discard, reset or stop; client: echo, bulk, reset or stop")
	code        = flag.Uint64("code", 0, "error code of reset and stop")
	size        = flag.Int64("size", 1, "client: bytes on each stream")
	streams     = flag.Int("streams", 1, "client: streams at once")
	datagrams   = flag.Int("datagrams", 0, "client: send so many and count the echoes; server: any number echoes them")
	timeout     = flag.Duration("timeout", 60*time.Second, "client: of the whole")
)

var output sync.Mutex

// report prints one line.
func report(fields map[string]interface{}) {
	line, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	output.Lock()
	defer output.Unlock()
	fmt.Println(string(line))
}

// explain names an error by what the tests ask for: its kind and code.
func explain(err error) string {
	var stream *quic.StreamError
	var application *quic.ApplicationError
	var transport *quic.TransportError
	var idle *quic.IdleTimeoutError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &stream):
		return fmt.Sprintf("stream %d", stream.ErrorCode)
	case errors.As(err, &application):
		return fmt.Sprintf("application %d %s", application.ErrorCode, application.ErrorMessage)
	case errors.As(err, &transport):
		return fmt.Sprintf("transport %#x %s", uint64(transport.ErrorCode), transport.ErrorMessage)
	case errors.As(err, &idle):
		return "idle timeout"
	default:
		return err.Error()
	}
}

// tracer counts what only the inside of a connection sees.
type tracer struct {
	logging.NullTracer
	mutex      sync.Mutex
	keyUpdates int
	retries    int
	lost       int
}

func (t *tracer) TracerForConnection(context.Context, logging.Perspective, logging.ConnectionID) logging.ConnectionTracer {
	return &connectionTracer{tracer: t}
}

type connectionTracer struct {
	logging.NullConnectionTracer
	tracer *tracer
}

func (c *connectionTracer) UpdatedKey(logging.KeyPhase, bool) { c.tracer.count(&c.tracer.keyUpdates) }
func (c *connectionTracer) ReceivedRetry(*logging.Header)     { c.tracer.count(&c.tracer.retries) }
func (c *connectionTracer) LostPacket(logging.EncryptionLevel, logging.PacketNumber, logging.PacketLossReason) {
	c.tracer.count(&c.tracer.lost)
}

func (t *tracer) count(counter *int) {
	t.mutex.Lock()
	*counter++
	t.mutex.Unlock()
}

func (t *tracer) report(fields map[string]interface{}) {
	t.mutex.Lock()
	fields["key_updates"], fields["retries"], fields["lost"] = t.keyUpdates, t.retries, t.lost
	t.mutex.Unlock()
	report(fields)
}

func config(t *tracer) *quic.Config {
	return &quic.Config{
		MaxIncomingStreams:       1000,
		EnableDatagrams:          *datagrams > 0,
		RequireAddressValidation: func(net.Addr) bool { return *retry },
		MaxIdleTimeout:           *timeout,
		Tracer:                   t,
	}
}

func main() {
	if len(os.Args) < 2 || (os.Args[1] != "server" && os.Args[1] != "client") {
		fmt.Fprintln(os.Stderr, "usage: quic_go_peer server [OPTIONS] | client [OPTIONS] ADDRESS")
		os.Exit(2)
	}
	if err := flag.CommandLine.Parse(os.Args[2:]); err != nil {
		os.Exit(2)
	}
	run := serve
	if os.Args[1] == "client" {
		run = dial
	}
	if err := run(); err != nil {
		report(map[string]interface{}{"failed": explain(err)})
		os.Exit(1)
	}
}
