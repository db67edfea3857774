package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"math/rand"
	"sync"
	"time"

	"github.com/lucas-clemente/quic-go"
)

func dial() error {
	tlsConf, err := tlsConfig(false)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	trace := &tracer{}
	begin := time.Now()
	connection, err := quic.DialAddrContext(ctx, flag.Arg(0), tlsConf, config(trace))
	if err != nil {
		return err
	}
	handshake := time.Since(begin)
	var group sync.WaitGroup
	for i := 0; i < *streams; i++ {
		stream, err := connection.OpenStreamSync(ctx)
		if err != nil {
			return err
		}
		if deadline, set := ctx.Deadline(); set {
			_ = stream.SetDeadline(deadline)
		}
		group.Add(1)
		go func(seed int64) {
			defer group.Done()
			runStream(stream, seed)
		}(int64(i))
	}
	group.Wait()
	fields := map[string]interface{}{"seconds": time.Since(begin).Seconds(), "handshake_seconds": handshake.Seconds()}
	if *datagrams > 0 {
		fields["datagrams"] = exchangeDatagrams(connection)
	}
	if err := connection.CloseWithError(0, ""); err != nil {
		return err
	}
	trace.report(fields)
	return nil
}

// pattern is an endless stream of bytes that both directions of an echo can make for themselves.
func pattern(seed int64) io.Reader { return rand.New(rand.NewSource(seed)) }

var errDiffers = errors.New("the echo differs")

func runStream(stream quic.Stream, seed int64) {
	if *behaviour == "bulk" {
		runBulk(stream)
		return
	}
	sent := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(stream, io.LimitReader(pattern(seed), *size), make([]byte, 1<<16))
		switch *behaviour {
		case "reset":
			stream.CancelWrite(quic.StreamErrorCode(*code))
		case "stop":
			stream.CancelRead(quic.StreamErrorCode(*code))
			time.Sleep(time.Second) // the end of this process closes the connection, before the stop has left
		default:
			if err == nil {
				err = stream.Close()
			}
		}
		sent <- err
	}()
	received, err := compare(stream, pattern(seed))
	if err == nil && *behaviour == "echo" && received != *size {
		err = io.ErrUnexpectedEOF
	}
	report(map[string]interface{}{
		"stream": stream.StreamID(), "received": received, "error": explain(err), "send_error": explain(<-sent),
	})
}

type zeros struct{}

func (zeros) Read(bytes []byte) (int, error) { return len(bytes), nil }

// runBulk writes as fast as it can to a server that discards, and takes the time until that has everything.
func runBulk(stream quic.Stream) {
	begin := time.Now()
	sent, err := io.CopyBuffer(stream, io.LimitReader(zeros{}, *size), make([]byte, 1<<20))
	if err == nil {
		err = stream.Close()
	}
	if err == nil {
		_, err = io.Copy(io.Discard, stream)
	}
	report(map[string]interface{}{
		"stream": stream.StreamID(), "sent": sent, "error": explain(err), "bulk_seconds": time.Since(begin).Seconds(),
	})
}

// compare reads to the end; what comes must be what `expected` gives.
func compare(from io.Reader, expected io.Reader) (int64, error) {
	var total int64
	got, want := make([]byte, 1<<16), make([]byte, 1<<16)
	for {
		count, err := from.Read(got)
		if _, failure := io.ReadFull(expected, want[:count]); failure != nil {
			return total, failure
		}
		if string(got[:count]) != string(want[:count]) {
			return total, errDiffers
		}
		total += int64(count)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// exchangeDatagrams sends one at a time, and again when no echo comes: they may be lost.
func exchangeDatagrams(connection quic.Connection) int {
	echoes := make(chan []byte)
	go func() {
		for {
			message, err := connection.ReceiveMessage()
			if err != nil {
				return
			}
			echoes <- message
		}
	}()
	returned := 0
	for i := 0; i < *datagrams; i++ {
		message := make([]byte, 100)
		message[0], message[1] = byte(i>>8), byte(i)
		if connection.SendMessage(message) != nil {
			break
		}
		select {
		case echo := <-echoes:
			if string(echo) == string(message) {
				returned++
			}
		case <-time.After(time.Second):
		}
	}
	return returned
}
