package attach

import (
	"slices"
	"strings"
)

// Hostnames is the intersection of a listener's hostname and a route's
// hostnames, as HTTPRoute.spec.hostnames defines it, in the route's order and
// without duplicates. An empty listener hostname and an empty list stand for
// any; the intersection of both is [""]. It is nil if nothing is shared.
func Hostnames(listener string, route []string) []string {
	if len(route) == 0 {
		return []string{listener}
	}
	var shared []string
	for _, hostname := range route {
		if both, ok := intersect(listener, hostname); ok && !slices.Contains(shared, both) {
			shared = append(shared, both)
		}
	}
	return shared
}

// intersect returns the more specific of two hostnames if the other covers it.
func intersect(a, b string) (string, bool) {
	switch {
	case covers(a, b):
		return b, true
	case covers(b, a):
		return a, true
	}
	return "", false
}

// covers reports whether every name that specific stands for is one that
// general stands for. "*.shop.example" covers "a.b.shop.example" and
// "*.b.shop.example", but not "shop.example".
func covers(general, specific string) bool {
	if general == "" || general == specific {
		return true
	}
	suffix, wildcard := strings.CutPrefix(general, "*")
	return wildcard && strings.HasSuffix(strings.TrimPrefix(specific, "*"), suffix)
}
