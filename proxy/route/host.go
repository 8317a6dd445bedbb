package route

import (
	"slices"
	"strings"
)

// host is the candidates of one hostname of one listener. Like all of a table
// it is immutable.
type host[A any] struct {
	hostname string
	// exact is keyed by the path, which is /service/method for those of gRPC.
	exact    sharded[string, []*candidate[A]]
	services sharded[string, []*candidate[A]]
	scanned  []*candidate[A]
	// prefix is keyed without the trailing slash: "/" is "".
	prefix sharded[string, []*candidate[A]]
	// longest is at least the length of the longest prefix. It bounds the
	// search in a path with thousands of slashes.
	longest int
}

// kind says where a candidate is found, in the order in which the search goes.
type kind uint8

const (
	// atPath is an exact path, or a method of gRPC with its service.
	atPath kind = iota
	// atService is a service of gRPC, whatever its method.
	atService
	// scanned is a path by a regular expression, or a method of gRPC whose
	// service is not named: each is tried in turn.
	scanned
	atPrefix
)

// with returns the host after a change, nil if nothing is left of it.
func (h *host[A]) with(changed hostChange[A], gone map[*compiled[A]]bool) *host[A] {
	next := *h
	exact, services, prefix := h.exact.edit(), h.services.edit(), h.prefix.edit()
	for b, added := range changed {
		switch b.kind {
		case atPath:
			mergeBucket(exact, b.path, added, gone)
		case atService:
			mergeBucket(services, b.path, added, gone)
		case scanned:
			next.scanned = merge(h.scanned, added, gone)
		case atPrefix:
			mergeBucket(prefix, b.path, added, gone)
			next.longest = max(next.longest, len(b.path))
		}
	}
	next.exact, next.services, next.prefix = exact.sharded, services.sharded, prefix.sharded
	if next.exact.len+next.services.len+next.prefix.len+len(next.scanned) == 0 {
		return nil
	}
	return &next
}

func mergeBucket[A any](e *edit[string, []*candidate[A]], path string, added []*candidate[A], gone map[*compiled[A]]bool) {
	before, _ := e.get(path)
	if merged := merge(before, added, gone); len(merged) > 0 {
		e.set(path, merged)
	} else {
		e.delete(path)
	}
}

// merge returns a bucket in order of precedence. A route that is attached twice
// under one hostname stands in it once.
func merge[A any](before, added []*candidate[A], gone map[*compiled[A]]bool) []*candidate[A] {
	merged := slices.DeleteFunc(slices.Concat(before, added), func(c *candidate[A]) bool { return gone[c.route] })
	slices.SortFunc(merged, order)
	return slices.Compact(merged)
}

// find returns the first candidate, in order of precedence, that takes the
// request, or nil.
func (h *host[A]) find(s *search) *candidate[A] {
	bucket, _ := h.exact.get(s.request.Path)
	if c := first(bucket, s); c != nil {
		return c
	}
	if service, _, ok := call(s.request); ok && h.services.len > 0 {
		bucket, _ := h.services.get(service)
		if c := first(bucket, s); c != nil {
			return c
		}
	}
	if c := first(h.scanned, s); c != nil {
		return c
	}
	for prefix, ok := cutTo(s.request.Path, h.longest), true; ok; prefix, ok = cutElement(prefix) {
		bucket, _ := h.prefix.get(prefix)
		if c := first(bucket, s); c != nil {
			return c
		}
	}
	return nil
}

func first[A any](bucket []*candidate[A], s *search) *candidate[A] {
	for _, c := range bucket {
		miss := c.test(s.request)
		if miss == hit {
			return c
		}
		if s.trace != nil {
			s.trace.lost(describe(c), miss.explain(&c.conditions, s.request))
		}
	}
	return nil
}

// cutTo returns the longest part of the path, in whole elements, that is not
// longer than n.
func cutTo(path string, n int) string {
	if len(path) <= n {
		return path
	}
	return path[:max(0, strings.LastIndexByte(path[:n+1], '/'))]
}

// cutElement cuts off the last element of a path: "/a/b", "/a", "".
func cutElement(path string) (string, bool) {
	if path == "" {
		return "", false
	}
	return path[:max(0, strings.LastIndexByte(path, '/'))], true
}
