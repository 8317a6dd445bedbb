package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// report is what was found so far. Each finding is printed at once.
type report struct {
	machine string // what was measured on
	driver  string // that runs
	rows    []row
	missed  []error
}

type row struct{ driver, what, got, goal string }

// found takes a number that has no goal.
func (r *report) found(what string, got any) { r.add(row{what: what, got: fmt.Sprint(got)}) }

// atMost takes a number that has a goal.
func atMost[N cmp.Ordered](r *report, what string, got, most N) {
	r.add(row{what: what, got: fmt.Sprint(got), goal: "≤ " + fmt.Sprint(most)})
	if got > most {
		r.missed = append(r.missed, fmt.Errorf("%s: %s: %v, and the goal is at most %v", r.driver, what, got, most))
	}
}

func (r *report) add(found row) {
	found.driver = r.driver
	r.rows = append(r.rows, found)
	fmt.Printf("%-9s %-70s %10s  %s\n", found.driver, found.what, found.got, found.goal)
}

// err joins the goals that were missed.
func (r *report) err() error { return errors.Join(r.missed...) }

// write writes the findings as a page.
func (r *report) write(name string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Measurements in a cluster\n\n%s [bench/README.md](../bench/README.md#in-a-cluster) says what is measured, and how to do so again.\n\n| driver | | measured | goal |\n|---|---|---|---|\n", r.machine)
	for _, row := range r.rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", row.driver, row.what, row.got, row.goal)
	}
	return os.WriteFile(name, []byte(b.String()), 0o644)
}

// size is in bytes.
type size int64

const mebibyte size = 1 << 20

func (s size) String() string { return fmt.Sprintf("%.1f MiB", float64(s)/float64(mebibyte)) }

// cores are processors' time by time.
type cores float64

func (c cores) String() string { return fmt.Sprintf("%.3f", float64(c)) }

// rounded is a time as it is shown.
func rounded(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}
