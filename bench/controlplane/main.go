// Command controlplane measures what a change of objects costs in a cluster: how
// soon routes are attached and served, whether a change costs a request, and what
// thousands of routes take. It drives the API server of KUBECONFIG, in which
// Sluice is installed, and fails where a goal is missed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// driver is one measurement. It returns what it found, in words, and an error
// that joins all goals missed.
type driver struct {
	name string
	run  func(context.Context, *bench) error
}

var drivers = []driver{
	{"attached", attached},
	{"probe", probe},
	{"change", change},
	{"load", load},
}

// options are how much is done.
type options struct {
	class, image  string
	only          string
	attach, probe int // routes
	rounds        int // of changes
	namespaces    int // under load
	perNamespace  int // routes in each
	churn         time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.class, "class", "sluice", "GatewayClass to measure")
	flag.StringVar(&o.image, "image", "sluice:dev", "image with the program sluice, whose echo is the backend")
	flag.StringVar(&o.only, "only", "", "run these drivers only: attached, probe, change, load, separated by commas")
	flag.IntVar(&o.attach, "attach", 1000, "routes that are attached to one Gateway")
	flag.IntVar(&o.probe, "probe", 3000, "routes that are applied and asked for, one after the other")
	flag.IntVar(&o.rounds, "rounds", 20, "changes of a route under requests")
	flag.IntVar(&o.namespaces, "namespaces", 50, "namespaces under load")
	flag.IntVar(&o.perNamespace, "routes", 100, "routes in each of these namespaces")
	flag.DurationVar(&o.churn, "churn", 30*time.Second, "how long endpoints and routes change under load")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	b, err := newBench(o)
	if err != nil {
		return err
	}
	var missed error
	for _, d := range drivers {
		if o.only != "" && !slices.Contains(strings.Split(o.only, ","), d.name) {
			continue
		}
		if err := b.inNamespace(ctx, "bench-"+d.name, func() error { return d.run(ctx, b) }); err != nil {
			missed = errors.Join(missed, fmt.Errorf("%s: %w", d.name, err))
		}
	}
	return missed
}

// say prints a line of the result.
func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// goal is an error where what was measured is more than it may be.
func goal[N int | int64 | float64 | time.Duration](what string, got, most N) error {
	if got > most {
		return fmt.Errorf("%s: %v, and the goal is at most %v", what, got, most)
	}
	return nil
}
