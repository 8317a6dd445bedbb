// Command bench measures what a proxied request costs: Sluice on each of its
// engines, nginx and a net/http reverse proxy, in front of one origin, on
// loopback; and with TLS, HTTP/2 and gRPC Sluice, nginx and HAProxy. It prints tables and, with -out, writes them as Markdown.
//
//	go run . -sluice ../build/sluice -out RESULTS.md
//
// It needs nginx and wrk. Everything that it starts ends with it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// settings are the command's flags.
type settings struct {
	sluice      string
	out         string
	rounds      int
	duration    time.Duration
	settle      time.Duration
	connections []int
	routes      int
	churn       time.Duration
	only        string
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == reverseProxyCommand {
		serveReverseProxy(os.Args[2], os.Args[3])
		return
	}
	if len(os.Args) == 3 && os.Args[1] == callServerCommand {
		serveCalls(os.Args[2])
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	set, err := parseFlags()
	if err == nil {
		err = run(ctx, set)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseFlags() (settings, error) {
	var set settings
	var connections string
	flag.StringVar(&set.sluice, "sluice", "../build/sluice", "the sluice binary")
	flag.StringVar(&set.out, "out", "", "write the tables as Markdown to this file too")
	flag.IntVar(&set.rounds, "rounds", 15, "interleaved rounds; each runs every contestant once")
	flag.DurationVar(&set.duration, "duration", 3*time.Second, "length of one run of wrk")
	flag.DurationVar(&set.settle, "settle", 15*time.Second, "time between ready, or the last request, and the memory reading")
	flag.StringVar(&connections, "connections", "64,8", "numbers of keep-alive connections")
	flag.IntVar(&set.routes, "routes", 5000, "routes in the churn measurement")
	flag.DurationVar(&set.churn, "churn", 3*time.Second, "length of each half of a round of the churn measurement")
	flag.StringVar(&set.only, "only", "memory,cpu,churn", "what to measure; versions is TLS, HTTP/2 and gRPC beside nginx and HAProxy, http3 beside Caddy")
	flag.Parse()
	for field := range strings.SplitSeq(connections, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 {
			return set, fmt.Errorf("-connections %q: want numbers such as 64,8", connections)
		}
		set.connections = append(set.connections, n)
	}
	if set.rounds < 1 {
		return set, fmt.Errorf("-rounds %d: want at least 1", set.rounds)
	}
	var err error
	set.sluice, err = filepath.Abs(set.sluice)
	return set, err
}

// run measures everything that was asked for and writes the report.
func run(ctx context.Context, set settings) error {
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	procs := &processes{dir: dir}
	defer procs.stop()

	origin, err := startOrigin(procs)
	if err != nil {
		return err
	}
	var report strings.Builder
	writer := io.MultiWriter(os.Stdout, &report)
	writeMachine(writer, set)
	for _, part := range []struct {
		name    string
		measure func(context.Context, io.Writer, settings, *processes, string) error
	}{{"memory", measureMemory}, {"cpu", measureCPU}, {"churn", measureChurn}, {"versions", measureVersions}, {"http3", measureHTTP3}} {
		if !strings.Contains(set.only, part.name) {
			continue
		}
		if err := part.measure(ctx, writer, set, procs, origin); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	if set.out == "" {
		return nil
	}
	return os.WriteFile(set.out, []byte(report.String()), 0o644)
}
