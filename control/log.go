package control

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
)

// logFindings logs what the translation found. Sources log what they refuse.
func (c *Control) logFindings(s *State, found []diagnostic.Diagnostic) {
	for _, d := range found {
		c.logFinding(s.Locate(d))
	}
}

func (c *Control) logFinding(d diagnostic.Diagnostic) {
	var attrs []slog.Attr
	if d.Object != (snapshot.Key{}) {
		attrs = append(attrs, slog.String("object", d.Object.String()))
	}
	if d.File != "" {
		attrs = append(attrs, slog.String("file", d.File), slog.Int("line", d.Line))
	}
	if d.Field != "" {
		attrs = append(attrs, slog.String("field", d.Field))
	}
	if d.Fix != "" {
		attrs = append(attrs, slog.String("fix", d.Fix))
	}
	c.options.Log.LogAttrs(context.Background(), level(d.Severity), d.Message, attrs...)
}

func level(s diagnostic.Severity) slog.Level {
	switch s {
	case diagnostic.Error:
		return slog.LevelError
	case diagnostic.Warning:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// logConditions logs, once, each condition that is no longer fine or is fine
// again. It is silent on objects of which an error has just been logged, which
// says the same with more detail.
func (c *Control) logConditions(before, after *State, changed map[snapshot.Key]status.Status, found []diagnostic.Diagnostic) {
	told := make(map[snapshot.Key]bool, len(found))
	for _, d := range found {
		if d.Severity == diagnostic.Error {
			told[d.Object] = true
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(changed), snapshot.Key.Compare) {
		if told[key] {
			continue
		}
		for condition := range turned(before.Status(key), after.Status(key)) {
			c.logCondition(key, condition)
		}
	}
}

// turned yields the conditions that say something new: bad ones, and those that
// were bad.
func turned(before, after status.Status) func(yield func(Condition) bool) {
	type place struct{ part, conditionType string }
	old := map[place]Condition{}
	for c := range Conditions(before) {
		old[place{c.Part, c.Type}] = c
	}
	return func(yield func(Condition) bool) {
		for c := range Conditions(after) {
			was, known := old[place{c.Part, c.Type}]
			same := known && was.Status == c.Status && was.Reason == c.Reason && was.Message == c.Message
			dull := c.Fine() && (!known || was.Fine())
			if !same && !dull && !yield(c) {
				return
			}
		}
	}
}

func (c *Control) logCondition(key snapshot.Key, condition Condition) {
	attrs := []slog.Attr{slog.String("object", key.String())}
	if condition.Part != "" {
		attrs = append(attrs, slog.String("part", condition.Part))
	}
	attrs = append(attrs, slog.String("reason", condition.Reason), slog.String("message", condition.Message))
	level := slog.LevelWarn
	if condition.Fine() {
		level = slog.LevelInfo
	}
	c.options.Log.LogAttrs(context.Background(), level, condition.Type+" is "+string(condition.Status), attrs...)
}
