package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is what was found so far. Each finding is printed at once.
type report struct {
	setting string
	memory  []row
	changes []row
	missed  []error
}

type row []string

func newReport(o options) *report {
	return &report{setting: fmt.Sprintf("%d ListenerSets, %d routes, %d Services; %d processors, %s, %s.",
		o.sets, o.sets*o.routes, o.sets*o.services, runtime.NumCPU(), runtime.Version(), runtime.GOARCH)}
}

// found takes a number that has no goal.
func (r *report) found(what string, got any) { r.add(row{what, fmt.Sprint(got), ""}) }

// atMost takes a size that has a goal.
func (r *report) atMost(what string, got, most size) {
	r.add(row{what, fmt.Sprint(got), "≤ " + fmt.Sprint(most)})
	r.hold(what, got, most)
}

func (r *report) add(found row) {
	r.memory = append(r.memory, found)
	fmt.Printf("%-50s %12s  %s\n", found[0], found[1], found[2])
}

func (r *report) hold(what string, got, most any) {
	switch got := got.(type) {
	case size:
		if got <= most.(size) {
			return
		}
	case time.Duration:
		if got <= most.(time.Duration) {
			return
		}
	}
	r.missed = append(r.missed, fmt.Errorf("%s: %v, and the goal is at most %v", what, got, most))
}

// changed takes the changes of one kind. The goal is for the median: the machine
// may do other work, which is in the rest.
func (r *report) changed(k kind, all []change) {
	served := func(c change) time.Duration { return c.served }
	done := func(c change) time.Duration { return c.done }
	cpu := func(c change) time.Duration { return c.cpu }
	half := quantile(all, 0.5, served)
	found := row{k.name, inMilliseconds(half), inMilliseconds(quantile(all, 0.99, served)),
		inMilliseconds(quantile(all, 0.5, done)), inMilliseconds(mean(all, cpu))}
	r.changes = append(r.changes, found)
	fmt.Printf("%-50s served p50 %s p99 %s, settled p50 %s, processor %s ms\n", found[0], found[1], found[2], found[3], found[4])
	if !k.wide {
		r.hold(k.name, half, goalChange)
	}
}

func quantile(all []change, q float64, of func(change) time.Duration) time.Duration {
	values := make([]time.Duration, len(all))
	for i, c := range all {
		values[i] = of(c)
	}
	slices.SortFunc(values, cmp.Compare)
	return values[min(len(values)-1, int(q*float64(len(values))))]
}

func mean(all []change, of func(change) time.Duration) (sum time.Duration) {
	for _, c := range all {
		sum += of(c)
	}
	return sum / time.Duration(len(all))
}

func inMilliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond))
}

// err joins the goals that were missed.
func (r *report) err() error { return errors.Join(r.missed...) }

// write writes the findings as a page.
func (r *report) write(name string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Measurements of a large Gateway\n\n%s [bench/README.md](../bench/README.md#a-large-gateway) says what is measured, and how to do so again.\n\n", r.setting)
	table(&b, row{"", "measured", "goal"}, r.memory)
	fmt.Fprintf(&b, "\nThe cost of one change, in milliseconds; the goal is that half of them are served within %.0f:\n\n", float64(goalChange.Milliseconds()))
	table(&b, row{"", "served, p50", "p99", "statuses too, p50", "processor, mean"}, r.changes)
	return os.WriteFile(name, []byte(b.String()), 0o644)
}

func table(b *strings.Builder, head row, rows []row) {
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, r := range rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(r, " | "))
	}
}
