// Command controlplane measures what a change of objects costs in a cluster: how
// soon routes are attached and served, whether a change costs a request, and what
// thousands of routes take of memory and processor. It drives the API server of
// KUBECONFIG, in which Sluice is installed, and fails where a goal is missed. It
// needs ways to the addresses of Gateways.
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

// driver is one measurement. What it finds goes into the report; its error says
// why it could not measure.
type driver struct {
	name string
	run  func(context.Context, *bench) error
}

// The first one starts Sluice anew.
var drivers = []driver{
	{"idle", idle},
	{"attached", attached},
	{"probe", probe},
	{"change", change},
	{"load", load},
}

// limit is the longest that a driver may take.
const limit = 15 * time.Minute

// options are how much is done.
type options struct {
	class, image, installation string
	only, out                  string
	attach, probe              int // routes
	rounds                     int // of changes
	namespaces                 int // under load
	perNamespace               int // routes in each
	churn                      time.Duration
	// relax is what goals of time are multiplied by.
	relax int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parseFlags()
	if err == nil {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		os.Exit(1)
	}
}

func parseFlags() (options, error) {
	var o options
	quick := flag.Bool("quick", false, "do a tenth, and bear ten times the time: for machines that do other work too")
	flag.StringVar(&o.class, "class", "sluice", "GatewayClass to measure")
	flag.StringVar(&o.image, "image", "sluice:dev", "image with the program sluice, whose echo is the backend")
	flag.StringVar(&o.installation, "installation", "sluice-system", "namespace of Sluice's Pods")
	flag.StringVar(&o.only, "only", "", "run these drivers only: idle, attached, probe, change, load, separated by commas")
	flag.StringVar(&o.out, "out", "", "write the results as Markdown to this file too")
	flag.IntVar(&o.attach, "attach", 1000, "routes that are attached to one Gateway")
	flag.IntVar(&o.probe, "probe", 3000, "routes that are applied and asked for, one after the other")
	flag.IntVar(&o.rounds, "rounds", 20, "changes of a route under requests")
	flag.IntVar(&o.namespaces, "namespaces", 50, "namespaces under load")
	flag.IntVar(&o.perNamespace, "routes", 100, "routes in each of these namespaces")
	flag.DurationVar(&o.churn, "churn", 30*time.Second, "how long endpoints change under load")
	flag.Parse()
	o.relax = 1
	if *quick {
		o.attach, o.probe, o.namespaces, o.churn, o.relax = o.attach/10, o.probe/10, o.namespaces/10, o.churn/3, 10
	}
	if min(o.attach, o.probe, o.rounds, o.namespaces, o.perNamespace) < 1 {
		return o, errors.New("there is nothing to measure with less than one route, round or namespace")
	}
	for name := range strings.SplitSeq(o.only, ",") {
		if o.only != "" && !slices.ContainsFunc(drivers, func(d driver) bool { return d.name == name }) {
			return o, fmt.Errorf("-only %s: there is no driver of that name", name)
		}
	}
	return o, nil
}

func run(ctx context.Context, o options) error {
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	var failed error
	for _, d := range drivers {
		if o.only != "" && !slices.Contains(strings.Split(o.only, ","), d.name) {
			continue
		}
		b.report.driver = d.name
		if err := b.inNamespace(ctx, "bench-"+d.name, func(ctx context.Context) error { return d.run(ctx, b) }); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", d.name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	if o.out != "" {
		failed = errors.Join(failed, b.report.write(o.out))
	}
	return errors.Join(failed, b.report.err())
}
