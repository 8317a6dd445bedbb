package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// running is a contestant at work with what was measured of it.
type running struct {
	contestant
	process *process
	address string
	port    int
	// cost is the processor time of one request in microseconds, a value for each round.
	cost []float64
	// rate is requests per second, likewise.
	rate []float64
}

// launchAll starts every contestant.
func launchAll(ctx context.Context, set settings, ps *processes, origin string) ([]*running, error) {
	var all []*running
	for _, c := range contestants(set.sluice) {
		p, address, err := c.launch(ctx, ps, origin)
		if err != nil {
			return nil, err
		}
		all = append(all, &running{contestant: c, process: p, address: address})
	}
	return all, nil
}

// measureCPU compares the processor time that each proxy spends on a request
// under saturation. Rounds interleave the contestants in changing order, and
// ratios are taken within a round, so that what else the machine does falls on
// all of them alike.
func measureCPU(ctx context.Context, w io.Writer, set settings, ps *processes, origin string) error {
	all, err := launchAll(ctx, set, ps, origin)
	if err != nil {
		return err
	}
	defer ps.stopAll(all)
	for _, connections := range set.connections {
		for _, r := range all {
			r.cost, r.rate = nil, nil
			if err := r.measure(ctx, connections, time.Second); err != nil {
				return err
			}
			r.cost, r.rate = nil, nil // The first run only warms up.
		}
		for round := range set.rounds {
			for i := range all {
				if err := all[(i+round)%len(all)].measure(ctx, connections, set.duration); err != nil {
					return err
				}
			}
		}
		writeCPU(w, all, connections)
	}
	return nil
}

// stopAll ends the contestants and leaves the origin running.
func (ps *processes) stopAll(all []*running) {
	for _, r := range all {
		r.process.stop()
	}
}

// measure loads the contestant once.
func (r *running) measure(ctx context.Context, connections int, duration time.Duration) error {
	return r.measureWith(func() (int, error) { return wrk(ctx, r.address, connections, duration) })
}

// measureWith loads the contestant once with what returns the number of requests.
func (r *running) measureWith(load func() (int, error)) error {
	before, err := r.process.cpu()
	if err != nil {
		return err
	}
	start := time.Now()
	requests, err := load()
	if err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	after, err := r.process.cpu()
	if err != nil {
		return err
	}
	var used time.Duration
	for pid := range after {
		used += after[pid] - before[pid]
	}
	r.cost = append(r.cost, float64(used.Microseconds())/float64(requests))
	r.rate = append(r.rate, float64(requests)/time.Since(start).Seconds())
	return nil
}

func writeCPU(w io.Writer, all []*running, connections int) {
	writeCost(w, all, fmt.Sprintf("Processor time per request, %d keep-alive connections, 128-byte bodies", connections), "request")
}

// writeCost writes what one unit of the load has cost.
func writeCost(w io.Writer, all []*running, title, unit string) {
	fmt.Fprintf(w, "\n## %s\n\n| proxy | µs per %s (median of %d) | to %s (median) | 95 %% interval | %ss/s |\n|---|---|---|---|---|\n", title, unit, len(all[0].cost), all[0].name, unit)
	for _, r := range all {
		ratio := ratios(r.cost, all[0].cost)
		low, high := medianInterval(ratio)
		fmt.Fprintf(w, "| %s | %.1f | %.2f | %.2f – %.2f | %.0f |\n", r.name, median(r.cost), median(ratio), low, high, median(r.rate))
	}
}

// measureMemory reads the anonymous memory of each proxy, one after the other,
// some time after it is ready and before it has had any load.
func measureMemory(ctx context.Context, w io.Writer, set settings, ps *processes, origin string) error {
	all, err := launchAll(ctx, set, ps, origin)
	if err != nil {
		return err
	}
	defer ps.stopAll(all)
	select {
	case <-time.After(set.settle):
	case <-ctx.Done():
		return ctx.Err()
	}
	fmt.Fprintf(w, "\n## Memory (RssAnon of all processes) %s after ready\n\n| proxy | KiB | to nginx |\n|---|---|---|\n", set.settle)
	var base int
	for _, r := range all {
		kib, err := r.process.rssAnon()
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		if r.name == reference {
			base = kib
		}
		fmt.Fprintf(w, "| %s | %d | %.2f |\n", r.name, kib, float64(kib)/float64(base))
	}
	return nil
}

var modelName = regexp.MustCompile(`(?m)^model name\s*: (.*)$`)

var haproxyVersion = regexp.MustCompile(`[0-9]+\.[0-9]+\.[0-9]+`)

// writeMachine says where and with what was measured.
func writeMachine(w io.Writer, set settings) {
	model := "unknown processor"
	if cpuinfo, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if match := modelName.FindSubmatch(cpuinfo); match != nil {
			model = string(match[1])
		}
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	kernel, _, _ := strings.Cut(string(release), "-") // what distributions append says nothing here
	nginx, _ := exec.Command("nginx", "-v").CombinedOutput()
	haproxy, _ := exec.Command("haproxy", "-v").Output()
	fmt.Fprintf(w, "# Measurements\n\n%d × %s, Linux %s, %s, %s, HAProxy %s. Load generator, origin and proxy share the processors; everything is on loopback. %d interleaved rounds of %s.\n",
		runtime.NumCPU(), model, strings.TrimSpace(kernel), runtime.Version(),
		strings.TrimPrefix(strings.TrimSpace(string(nginx)), "nginx version: "), haproxyVersion.Find(haproxy), set.rounds, set.duration)
}
