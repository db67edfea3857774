package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/lucas-clemente/quic-go"
)

func serve() error {
	tlsConf, err := tlsConfig(true)
	if err != nil {
		return err
	}
	trace := &tracer{}
	listener, err := quic.ListenAddr("127.0.0.1:0", tlsConf, config(trace))
	if err != nil {
		return err
	}
	ended, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	report(map[string]interface{}{"listening": listener.Addr().String()})
	for {
		connection, err := listener.Accept(ended)
		if err != nil {
			return listener.Close()
		}
		go serveConnection(connection, trace)
	}
}

func serveConnection(connection quic.Connection, trace *tracer) {
	if *datagrams > 0 {
		go echoDatagrams(connection)
	}
	for {
		stream, err := connection.AcceptStream(context.Background())
		if err != nil {
			trace.report(map[string]interface{}{"connection": explain(err)})
			return
		}
		go serveStream(stream)
	}
}

func echoDatagrams(connection quic.Connection) {
	for {
		message, err := connection.ReceiveMessage()
		if err != nil {
			return
		}
		if connection.SendMessage(message) != nil {
			return
		}
	}
}

func serveStream(stream quic.Stream) {
	hash := sha256.New()
	var sink io.Writer = hash
	switch *behaviour {
	case "reset":
		stream.CancelWrite(quic.StreamErrorCode(*code))
	case "stop":
		stream.CancelRead(quic.StreamErrorCode(*code))
	case "discard": // for measurements: nothing is made of the bytes
		sink = io.Discard
	case "echo":
		sink = io.MultiWriter(hash, stream)
	}
	received, err := io.CopyBuffer(sink, stream, make([]byte, 1<<16))
	if *behaviour != "reset" {
		if closing := stream.Close(); err == nil {
			err = closing
		}
	}
	report(map[string]interface{}{
		"stream": stream.StreamID(), "received": received, "sha256": fmt.Sprintf("%x", hash.Sum(nil)), "error": explain(err),
	})
}
