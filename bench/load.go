package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// handshakes makes connections, one after the other on each of eight clients:
// a full handshake, one request, the end. It returns how many there were. The
// client offers the key exchanges that it is given, or all that it knows.
func handshakes(exchanges ...tls.CurveID) func(context.Context, int, time.Duration) (int, error) {
	config := loopbackTLS("http/1.1")
	config.CurvePreferences = exchanges
	return func(ctx context.Context, port int, duration time.Duration) (int, error) {
		return connections(ctx, port, duration, config)
	}
}

func connections(ctx context.Context, port int, duration time.Duration, config *tls.Config) (int, error) {
	var count atomic.Int64
	address := fmt.Sprintf("127.0.0.1:%d", port)
	end := time.Now().Add(duration)
	var clients errgroup.Group
	for range 8 {
		clients.Go(func() error {
			for time.Now().Before(end) && ctx.Err() == nil {
				if err := oneConnection(address, config); err != nil {
					return err
				}
				count.Add(1)
			}
			return nil
		})
	}
	err := clients.Wait()
	return int(count.Load()), err
}

const closingRequest = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

func oneConnection(address string, config *tls.Config) error {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", address, config)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, closingRequest); err != nil {
		return err
	}
	answer, err := io.ReadAll(c)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200")) {
		return fmt.Errorf("the answer was %.100q, %v", answer, err)
	}
	return nil
}

// loopbackTLS is for connections to what this program has started itself.
func loopbackTLS(protocol string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}}
}

func wrkTLS(ctx context.Context, port int, duration time.Duration) (int, error) {
	return wrk(ctx, fmt.Sprintf("https://127.0.0.1:%d/", port), 64, duration)
}

var (
	h2loadDone   = regexp.MustCompile(`requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored`)
	h2loadStatus = regexp.MustCompile(`status codes: \d+ 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx`)
)

// h2load loads a port by HTTP/2 and returns the number of answers.
func h2load(ctx context.Context, port int, duration time.Duration, args ...string) (int, error) {
	seconds := max(1, int(duration.Seconds()))
	scheme := "http"
	if speaksTLS(port) {
		scheme = "https"
	}
	args = append([]string{"-t1", fmt.Sprint("-D", seconds)}, append(args, fmt.Sprintf("%s://127.0.0.1:%d/bench.Echo/Call", scheme, port))...)
	output, err := exec.CommandContext(ctx, "h2load", args...).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("h2load: %w: %s", err, output)
	}
	done, status := h2loadDone.FindSubmatch(output), h2loadStatus.FindSubmatch(output)
	if done == nil || status == nil {
		return 0, fmt.Errorf("h2load printed no numbers: %s", output)
	}
	bad := bytes.Trim(bytes.Join([][]byte{done[3], done[4], status[1], status[2], status[3]}, nil), "0")
	if len(bad) > 0 || string(done[1]) == "0" {
		return 0, fmt.Errorf("h2load: not all was answered well: %s", output)
	}
	return strconv.Atoi(string(done[1]))
}

// speaksTLS asks the port.
func speaksTLS(port int) bool {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Second}, "tcp", fmt.Sprintf("127.0.0.1:%d", port), loopbackTLS("h2"))
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func h2Requests(ctx context.Context, port int, duration time.Duration) (int, error) {
	return h2load(ctx, port, duration, "-c8", "-m16")
}

// grpcFields make a request of h2load a call.
var grpcFields = []string{"-H", "content-type: application/grpc", "-H", "te: trailers"}

func unaryCalls(ctx context.Context, port int, duration time.Duration) (int, error) {
	return calls(ctx, port, duration, 1, 100, "-c8", "-m16")
}

func streamingCalls(ctx context.Context, port int, duration time.Duration) (int, error) {
	return calls(ctx, port, duration, 100, 1000, "-c8", "-m4")
}

// calls sends so many messages of so many bytes in each call.
func calls(ctx context.Context, port int, duration time.Duration, messages, size int, args ...string) (int, error) {
	file, err := os.CreateTemp("", "sluice-bench-call-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	message := append([]byte{0, 0, 0, byte(size >> 8), byte(size)}, make([]byte, size)...)
	if _, err := file.Write(bytes.Repeat(message, messages)); err != nil {
		return 0, err
	}
	if err := file.Close(); err != nil {
		return 0, err
	}
	return h2load(ctx, port, duration, append(append(args, "-d", file.Name()), grpcFields...)...)
}
