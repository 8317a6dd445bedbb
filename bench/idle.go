package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// idleConnections is how many are open at once.
const idleConnections = 2000

// measureIdle compares the memory of connections that have carried one request
// and carry none at the moment.
func measureIdle(ctx context.Context, w io.Writer, set settings, ps *processes, id *identity, origin string) error {
	fmt.Fprintf(w, "\n## Anonymous memory of one idle connection, %d of them after one request each\n\n| proxy | HTTP/1.1 in TLS, KiB | HTTP/2 in TLS, KiB |\n|---|---|---|\n", idleConnections)
	kib := map[string][]float64{}
	for _, v := range []version{{name: "idle-tls", tls: true}, {name: "idle-h2", tls: true, h2: true}} {
		all, err := launchVersion(ctx, set, ps, v, id, origin)
		if err != nil {
			return err
		}
		for _, r := range all {
			each, err := r.idle(ctx, v, 2*set.settle) // by then memory that is not needed was given back
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			kib[r.name] = append(kib[r.name], each)
		}
		ps.stopAll(all)
	}
	for _, name := range []string{reference, "haproxy", "sluice"} {
		fmt.Fprintf(w, "| %s | %.1f | %.1f |\n", name, kib[name][0], kib[name][1])
	}
	return nil
}

// idle opens the connections and returns the KiB that each of them takes.
func (r *running) idle(ctx context.Context, v version, settle time.Duration) (float64, error) {
	before, err := r.process.rssAnon()
	if err != nil {
		return 0, err
	}
	connections := make([]net.Conn, idleConnections)
	defer func() {
		for _, c := range connections {
			if c != nil {
				c.Close()
			}
		}
	}()
	var opening errgroup.Group
	opening.SetLimit(32)
	for i := range connections {
		opening.Go(func() (err error) {
			connections[i], err = openIdle(r.port, v)
			return err
		})
	}
	if err := opening.Wait(); err != nil {
		return 0, err
	}
	select {
	case <-time.After(settle):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	after, err := r.process.rssAnon()
	return float64(after-before) / idleConnections, err
}

// openIdle makes a connection and has one request answered on it.
func openIdle(port int, v version) (net.Conn, error) {
	protocol, ask := "http/1.1", askHTTP1
	if v.h2 {
		protocol, ask = "h2", askHTTP2
	}
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", fmt.Sprintf("127.0.0.1:%d", port), loopbackTLS(protocol))
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if err := ask(c); err != nil {
		c.Close()
		return nil, err
	}
	c.SetDeadline(time.Time{})
	return c, nil
}

func askHTTP1(c net.Conn) error {
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReaderSize(c, 512), nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// askHTTP2 sends one request in frames and reads frames until its answer has
// ended (RFC 9113 sections 3.4 and 6).
func askHTTP2(c net.Conn) error {
	block := append([]byte{0x82, 0x84, 0x87, 0x41, 9}, "localhost"...) // GET / https (RFC 7541 appendix A)
	request := bytes.NewBufferString("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	const settings, headers = 4, 1
	writeFrame(request, settings, 0, 0, nil)
	writeFrame(request, headers, 0x5, 1, block) // END_STREAM, END_HEADERS
	writeFrame(request, settings, 1, 0, nil)    // ACK of what the server sends first
	if _, err := c.Write(request.Bytes()); err != nil {
		return err
	}
	var header [9]byte
	for {
		if _, err := io.ReadFull(c, header[:]); err != nil {
			return err
		}
		length := int64(binary.BigEndian.Uint32(header[:4]) >> 8)
		if _, err := io.CopyN(io.Discard, c, length); err != nil {
			return err
		}
		if header[8] == 1 && header[4]&1 != 0 && header[3] <= headers {
			return nil
		}
	}
}

func writeFrame(w *bytes.Buffer, kind, flags, stream byte, payload []byte) {
	w.Write([]byte{0, 0, byte(len(payload)), kind, flags, 0, 0, 0, stream})
	w.Write(payload)
}
