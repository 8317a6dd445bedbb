package route

import (
	"cmp"
	"iter"
	"slices"

	"github.com/sluicegateway/sluice/config"
)

// Shadow is a match that no request can reach.
type Shadow struct {
	// Listener and Hostname say where; the hostname is empty for any.
	Listener, Hostname string
	// Match never serves, because By takes all its requests.
	Match, By Place
}

// Shadowed returns the matches that can never be reached, because one that
// precedes them on the same listener and hostname takes every request that
// they would. Of regular expressions it understands equal ones and those that
// take every path. It looks at the whole table.
func (t *Table[A]) Shadowed() []Shadow {
	var shadows []Shadow
	for l, h := range t.hosts() {
		h.shadowed(func(c, by *candidate[A]) {
			shadows = append(shadows, Shadow{l.config.Name, h.hostname, describe(c), describe(by)})
		})
	}
	slices.SortFunc(shadows, func(a, b Shadow) int {
		return cmp.Or(
			cmp.Compare(a.Listener, b.Listener),
			cmp.Compare(a.Hostname, b.Hostname),
			cmp.Compare(a.Match.Route, b.Match.Route),
			cmp.Compare(a.Match.Rule, b.Match.Rule),
			cmp.Compare(a.Match.Match, b.Match.Match),
		)
	})
	return shadows
}

// shadowed reports the shadowed candidates and what shadows each. Only
// candidates of the same path or service can, and expressions that take every
// path.
func (h *host[A]) shadowed(report func(c, by *candidate[A])) {
	within(h.scanned, nil, report)
	for _, buckets := range []*sharded[string, []*candidate[A]]{&h.exact, &h.services} {
		for _, bucket := range buckets.all() {
			within(bucket, nil, report)
		}
	}
	everything := slices.DeleteFunc(slices.Clone(h.scanned), func(c *candidate[A]) bool { return !c.takesEveryPath() })
	for _, bucket := range h.prefix.all() {
		within(bucket, everything, report)
	}
}

// within reports the candidates of a bucket that are shadowed by one before
// them, in the bucket or in others.
func within[A any](bucket, others []*candidate[A], report func(c, by *candidate[A])) {
	for i, c := range bucket {
		includes := func(b *candidate[A]) bool { return b.includes(&c.conditions) }
		if j := slices.IndexFunc(others, includes); j >= 0 {
			report(c, others[j])
		} else if j := slices.IndexFunc(bucket[:i], includes); j >= 0 {
			report(c, bucket[j])
		}
	}
}

// hosts iterates over the hostnames of all listeners, in no order.
func (t *Table[A]) hosts() iter.Seq2[*listener[A], *host[A]] {
	return func(yield func(*listener[A], *host[A]) bool) {
		if t == nil {
			return
		}
		for _, l := range t.listeners.all() {
			for _, h := range l.hosts.all() {
				if l.config != nil && !yield(l, h) {
					return
				}
			}
		}
	}
}

// ordered returns all candidates in order of precedence.
func (h *host[A]) ordered() []*candidate[A] {
	ordered := slices.Clone(h.scanned)
	for _, buckets := range []*sharded[string, []*candidate[A]]{&h.exact, &h.services, &h.prefix} {
		for _, bucket := range buckets.all() {
			ordered = append(ordered, bucket...)
		}
	}
	slices.SortFunc(ordered, order)
	return ordered
}

// includes reports whether every request that c takes is one that b takes too.
func (b *conditions) includes(c *conditions) bool {
	return b.includesPath(c) &&
		(b.match.Method == "" || b.match.Method == c.match.Method) &&
		subset(b.match.Headers, c.match.Headers) &&
		subset(b.match.Query, c.match.Query)
}

func (b *conditions) includesPath(c *conditions) bool {
	if b.rpc != nil || c.rpc != nil {
		return b.rpc != nil && c.rpc != nil && b.rpc.includes(c.rpc)
	}
	return b.takesEveryPath() || b.match.Path.Type == c.match.Path.Type && b.path == c.path
}

func (b *conditions) takesEveryPath() bool {
	return b.expression != nil && (b.path == ".*" || b.path == "/.*")
}

func subset(some, all []config.ValueMatch) bool {
	for _, m := range some {
		if !slices.Contains(all, m) {
			return false
		}
	}
	return true
}
