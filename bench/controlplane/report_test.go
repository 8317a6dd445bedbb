package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCountsAreWrong(t *testing.T) {
	for _, c := range []struct {
		what                        string
		from, to, last, next, begun int
		wrong                       bool
	}{
		{"as many as were asked for", 0, 10, 2, 5, 5, false},
		{"fewer, as they are being counted", 0, 10, 2, 3, 9, false},
		{"the same again", 0, 10, 3, 3, 9, false},
		{"more than were asked for", 0, 10, 2, 6, 5, true},
		{"fewer than before", 0, 10, 4, 3, 9, true},
		{"going, as many as were asked for", 10, 0, 8, 5, 5, false},
		{"going, more than were asked for", 10, 0, 8, 4, 5, true},
		{"going, and back again", 10, 0, 8, 9, 5, true},
	} {
		if got := wrongCount(c.from, c.to, c.last, c.next, c.begun); got != c.wrong {
			t.Errorf("%s: wrong is %v", c.what, got)
		}
	}
}

func TestQuantiles(t *testing.T) {
	var all []time.Duration
	for i := range 200 {
		all = append(all, time.Duration(200-i)*time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 101 * time.Millisecond, 0.99: 199 * time.Millisecond, 1: 200 * time.Millisecond} {
		if got := quantile(all, q); got != want {
			t.Errorf("the quantile %v is %v, want %v", q, got, want)
		}
	}
}

func TestMissedGoalsAreErrors(t *testing.T) {
	r := report{machine: "a machine", driver: "probe"}
	r.found("how many", 3)
	atMost(&r, "errors", 0, 0)
	if err := r.err(); err != nil {
		t.Errorf("a goal that was reached is an error: %v", err)
	}
	atMost(&r, "p99", 60*time.Millisecond, 50*time.Millisecond)
	if err := r.err(); err == nil || !strings.Contains(err.Error(), "probe: p99: 60ms") {
		t.Errorf("a goal that was missed is %v", err)
	}
	page := filepath.Join(t.TempDir(), "page.md")
	if err := r.write(page); err != nil {
		t.Fatal(err)
	}
	content, _ := os.ReadFile(page)
	if !strings.Contains(string(content), "| probe | p99 | 60ms | ≤ 50ms |") {
		t.Errorf("the page lacks a row:\n%s", content)
	}
}
