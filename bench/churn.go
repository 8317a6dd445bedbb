package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// The load of the churn measurement: far from saturation, so that latency
// shows what the proxy does and not how long the queue is.
const (
	churnConnections = 16
	churnRate        = 2000 // Requests per second over all connections.
	churnInterval    = 50 * time.Millisecond
)

// measureChurn compares Sluice's latency with many routes while nothing
// changes and while a route changes every 50 ms, in interleaved rounds.
func measureChurn(ctx context.Context, w io.Writer, set settings, ps *processes, origin string) error {
	dir := filepath.Join(ps.dir, "churn")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	if err := writeGateway(dir, port, origin); err != nil {
		return err
	}
	for i := range set.routes {
		if err := writeRoute(dir, i, fmt.Sprintf("/route/%d", i), 1); err != nil {
			return err
		}
	}
	p, err := runSluice(ps, "sluice-churn", set.sluice, "epoll", dir)
	if err != nil {
		return err
	}
	defer p.stop()
	address := fmt.Sprintf("127.0.0.1:%d", port)
	if err := p.waitReady(ctx, "http://"+address+"/route/0"); err != nil {
		return err
	}
	if _, err := load(ctx, address, 2*time.Second); err != nil {
		return err // The first run only warms up.
	}
	var result churned
	for range set.rounds {
		if err := result.measure(ctx, address, dir, set); err != nil {
			return err
		}
	}
	result.write(w, set)
	return nil
}

// churned is what was measured: all latencies in milliseconds, and the p99 of
// each round.
type churned struct {
	quiet, changing       []float64
	quietP99, changingP99 []float64
	changes               int
}

// measure runs one round: without changes, then with them.
func (c *churned) measure(ctx context.Context, address, dir string, set settings) error {
	quiet, err := load(ctx, address, set.churn)
	if err != nil {
		return err
	}
	changes, changing, err := loadWithChanges(ctx, address, dir, c.changes, set)
	if err != nil {
		return err
	}
	c.changes = changes
	c.quiet, c.quietP99 = append(c.quiet, quiet...), append(c.quietP99, quantile(quiet, 0.99))
	c.changing, c.changingP99 = append(c.changing, changing...), append(c.changingP99, quantile(changing, 0.99))
	return nil
}

// loadWithChanges loads address while routes change, and returns how many have
// changed so far, before included.
func loadWithChanges(ctx context.Context, address, dir string, changes int, set settings) (int, []float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	result := make(chan error, 1)
	go func() {
		ticker := time.NewTicker(churnInterval)
		defer ticker.Stop()
		for ctx.Err() == nil {
			changes++
			number := changes % set.routes
			if err := writeRoute(dir, number, fmt.Sprintf("/route/%d", number), changes+1); err != nil {
				result <- err
				return
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
			}
		}
		result <- nil
	}()
	latencies, err := load(ctx, address, set.churn)
	cancel()
	if changeErr := <-result; err == nil {
		err = changeErr
	}
	return changes, latencies, err
}

func (c *churned) write(w io.Writer, set settings) {
	fmt.Fprintf(w, "\n## Latency with %d routes at %d requests/s, in milliseconds\n\n| | p50 | p99 | p99.9 |\n|---|---|---|---|\n", set.routes, churnRate)
	for _, row := range []struct {
		name   string
		values []float64
	}{{"quiet", c.quiet}, {fmt.Sprintf("a route changes every %s (%d changes)", churnInterval, c.changes), c.changing}} {
		fmt.Fprintf(w, "| %s | %.2f | %.2f | %.2f |\n", row.name, quantile(row.values, 0.5), quantile(row.values, 0.99), quantile(row.values, 0.999))
	}
	ratio := ratios(c.changingP99, c.quietP99)
	low, high := medianInterval(ratio)
	fmt.Fprintf(w, "\nThe p99 under change is %.2f times the quiet one (median of %d rounds, 95 %% interval %.2f – %.2f).\n", median(ratio), len(ratio), low, high)
}

// load sends requests at a fixed rate and returns their latencies in
// milliseconds, each from the moment at which it was due: a late answer delays
// the next request of its connection and is counted for both.
func load(ctx context.Context, address string, duration time.Duration) ([]float64, error) {
	var (
		group     sync.WaitGroup
		mutex     sync.Mutex
		latencies []float64
		failure   error
	)
	for i := range churnConnections {
		group.Go(func() {
			offset := time.Duration(i) * time.Second / churnRate
			own, err := loadConnection(ctx, address, offset, duration)
			mutex.Lock()
			defer mutex.Unlock()
			latencies = append(latencies, own...)
			if err != nil {
				failure = err
			}
		})
	}
	group.Wait()
	return latencies, failure
}

// loadConnection is one connection's part of load.
func loadConnection(ctx context.Context, address string, offset, duration time.Duration) ([]float64, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	request := "GET /route/0 HTTP/1.1\r\nHost: bench.example\r\n\r\n"
	const period = time.Second * churnConnections / churnRate
	var latencies []float64
	start := time.Now().Add(offset)
	for due := start; due.Sub(start) < duration && ctx.Err() == nil; due = due.Add(period) {
		time.Sleep(time.Until(due))
		if _, err := io.Copy(conn, strings.NewReader(request)); err != nil {
			return latencies, err
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return latencies, err
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			return latencies, err
		}
		if response.StatusCode != http.StatusOK {
			return latencies, fmt.Errorf("status %s", response.Status)
		}
		latencies = append(latencies, float64(time.Since(due).Microseconds())/1000)
	}
	return latencies, nil
}
