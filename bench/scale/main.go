// Command scale measures what a large shared Gateway costs: thousands of
// ListenerSets, each with certificates of its own, and tens of thousands of
// routes. It puts the objects of such a Gateway into the control half and the
// data plane of Sluice, in one process and without an API server, and then changes
// one object at a time. It fails where a goal is missed, or where a change is not
// served.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Goals of the whole: anonymous memory, and the time from a change of an object
// until it is served.
const (
	goalMemory = 400 * mebibyte
	goalChange = 50 * time.Millisecond
)

type options struct {
	sets, routes, services int // routes and Services are for each set
	changes                int // of each kind
	only, profiles, out    string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.IntVar(&o.sets, "sets", 2500, "ListenerSets")
	flag.IntVar(&o.routes, "routes", 16, "routes of each ListenerSet")
	flag.IntVar(&o.services, "services", 4, "Services of each ListenerSet")
	flag.IntVar(&o.changes, "changes", 200, "changes of each kind, an even number")
	flag.StringVar(&o.only, "only", "", "make this kind of change only")
	flag.StringVar(&o.profiles, "profiles", "", "write profiles of memory and of the processor into this folder")
	flag.StringVar(&o.out, "out", "", "write the results as Markdown to this file too")
	flag.Parse()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.sets < 20 || min(o.routes, o.services) < 4 || o.changes < 2 || o.changes%2 != 0 {
		return errors.New("it takes 20 ListenerSets, 4 routes and Services of each, and an even number of changes")
	}
	report := newReport(o)
	w, err := newWorld(o)
	if err != nil {
		return err
	}
	g, err := startGateway(ctx)
	if err != nil {
		return err
	}
	defer g.stop()
	if err := measureLoad(g, w, report); err != nil {
		return err
	}
	if err := measureChanges(ctx, g, w, report, o); err != nil {
		return err
	}
	if o.out != "" {
		if err := report.write(o.out); err != nil {
			return err
		}
	}
	return report.err()
}
