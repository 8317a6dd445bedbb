// Package tree is a persistent ordered map. A change costs O(log n) and leaves
// the map it was made from as it was, so that a map may be read by any number
// of goroutines while its successors are made.
//
// It is a treap (Seidel and Aragon, "Randomized Search Trees", 1996): a binary
// search tree by key and a heap by a random priority, which keeps it balanced.
package tree

import (
	"iter"
	"math/rand/v2"
	"sync/atomic"
)

// Map is an immutable ordered map. The zero Map is not usable; see [New].
type Map[K, V any] struct {
	compare func(a, b K) int
	root    *node[K, V]
	len     int
	edit    uint64 // nodes that have it may be changed; 0 for none
}

type node[K, V any] struct {
	key         K
	value       V
	priority    uint32
	edit        uint64 // that made it
	left, right *node[K, V]
}

// New makes an empty map whose keys are ordered by compare.
func New[K, V any](compare func(a, b K) int) Map[K, V] {
	return Map[K, V]{compare: compare}
}

// Len is the number of keys.
func (m Map[K, V]) Len() int { return m.len }

// Get returns the value of a key and whether the key is there.
func (m Map[K, V]) Get(key K) (V, bool) {
	for n := m.root; n != nil; {
		switch c := m.compare(key, n.key); {
		case c < 0:
			n = n.left
		case c > 0:
			n = n.right
		default:
			return n.value, true
		}
	}
	var none V
	return none, false
}

var edits atomic.Uint64

// Edit returns the map for many changes in a row: nodes that one of them has made
// the next ones change again instead of leaving them behind. Of the maps on the
// way only the last may be used, by one goroutine until there is no change more.
// The map itself stays as it is.
func (m Map[K, V]) Edit() Map[K, V] {
	m.edit = edits.Add(1)
	return m
}

// own returns a node that may be changed: the node itself, or a copy.
func (m *Map[K, V]) own(n *node[K, V]) *node[K, V] {
	if m.edit != 0 && n.edit == m.edit {
		return n
	}
	fresh := *n
	fresh.edit = m.edit
	return &fresh
}

// Set returns the map with the key set to the value.
func (m Map[K, V]) Set(key K, value V) Map[K, V] {
	m.root = m.set(m.root, key, value)
	return m
}

func (m *Map[K, V]) set(n *node[K, V], key K, value V) *node[K, V] {
	if n == nil {
		m.len++
		return &node[K, V]{key: key, value: value, priority: rand.Uint32(), edit: m.edit}
	}
	n = m.own(n)
	switch c := m.compare(key, n.key); {
	case c < 0:
		n.left = m.set(n.left, key, value)
		if n.left.priority > n.priority {
			return rotateRight(n)
		}
	case c > 0:
		n.right = m.set(n.right, key, value)
		if n.right.priority > n.priority {
			return rotateLeft(n)
		}
	default:
		n.value = value
	}
	return n
}

// The rotations change nodes in place: set owns both.

func rotateRight[K, V any](n *node[K, V]) *node[K, V] {
	up := n.left
	n.left, up.right = up.right, n
	return up
}

func rotateLeft[K, V any](n *node[K, V]) *node[K, V] {
	up := n.right
	n.right, up.left = up.left, n
	return up
}

// Delete returns the map without the key.
func (m Map[K, V]) Delete(key K) Map[K, V] {
	if _, ok := m.Get(key); !ok {
		return m
	}
	m.root = m.remove(m.root, key)
	m.len--
	return m
}

func (m *Map[K, V]) remove(n *node[K, V], key K) *node[K, V] {
	c := m.compare(key, n.key)
	if c == 0 {
		return m.join(n.left, n.right)
	}
	n = m.own(n)
	if c < 0 {
		n.left = m.remove(n.left, key)
	} else {
		n.right = m.remove(n.right, key)
	}
	return n
}

// join makes one tree of two, where all keys of a are less than those of b.
func (m *Map[K, V]) join(a, b *node[K, V]) *node[K, V] {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.priority > b.priority:
		a = m.own(a)
		a.right = m.join(a.right, b)
		return a
	default:
		b = m.own(b)
		b.left = m.join(a, b.left)
		return b
	}
}

// All yields all keys and values in order.
func (m Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { ascend(m.root, yield) }
}

func ascend[K, V any](n *node[K, V], yield func(K, V) bool) bool {
	return n == nil || ascend(n.left, yield) && yield(n.key, n.value) && ascend(n.right, yield)
}

// From yields the keys that are not less than start, and their values, in order.
func (m Map[K, V]) From(start K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { m.ascendFrom(m.root, start, yield) }
}

func (m Map[K, V]) ascendFrom(n *node[K, V], start K, yield func(K, V) bool) bool {
	if n == nil {
		return true
	}
	if m.compare(n.key, start) < 0 {
		return m.ascendFrom(n.right, start, yield)
	}
	return m.ascendFrom(n.left, start, yield) && yield(n.key, n.value) && ascend(n.right, yield)
}
