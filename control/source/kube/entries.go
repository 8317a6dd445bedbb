package kube

import (
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/api/equality"
)

// entries is a list in a status that several controllers share, and which of it are
// this one's.
type entries[T any] struct {
	all, own []T
	places   []int // of own in all
}

func entriesOf[T any](all []T, mine func(T) bool) entries[T] {
	e := entries[T]{all: all}
	for i, entry := range all {
		if mine(entry) {
			e.own = append(e.own, entry)
			e.places = append(e.places, i)
		}
	}
	return e
}

// edits replace the own entries by others and touch nobody else's; nil if they are
// the same. Their order says nothing: a controller that writes another one must not be
// answered for ever.
func (e entries[T]) edits(field string, want []T) []Operation {
	if sameEntries(e.own, want) {
		return nil
	}
	if len(e.all) == 0 {
		return []Operation{{Op: "add", Path: "/status", Value: content{field: want}}}
	}
	var edits []Operation
	for _, i := range slices.Backward(e.places) {
		edits = append(edits, Operation{Op: "remove", Path: "/status/" + field + "/" + strconv.Itoa(i)})
	}
	for _, entry := range want {
		edits = append(edits, Operation{Op: "add", Path: "/status/" + field + "/-", Value: entry})
	}
	return edits
}

func sameEntries[T any](a, b []T) bool {
	rest := slices.Clone(a)
	for _, entry := range b {
		at := slices.IndexFunc(rest, func(other T) bool { return equality.Semantic.DeepEqual(other, entry) })
		if at < 0 {
			return false
		}
		rest = slices.Delete(rest, at, at+1)
	}
	return len(rest) == 0
}
