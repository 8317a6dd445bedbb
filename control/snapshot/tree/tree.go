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
)

// Map is an immutable ordered map. The zero Map is not usable; see [New].
type Map[K, V any] struct {
	compare func(a, b K) int
	root    *node[K, V]
	len     int
}

type node[K, V any] struct {
	key         K
	value       V
	priority    uint32
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

// Set returns the map with the key set to the value.
func (m Map[K, V]) Set(key K, value V) Map[K, V] {
	m.root = m.set(m.root, key, value)
	return m
}

func (m *Map[K, V]) set(n *node[K, V], key K, value V) *node[K, V] {
	if n == nil {
		m.len++
		return &node[K, V]{key: key, value: value, priority: rand.Uint32()}
	}
	fresh := *n
	switch c := m.compare(key, n.key); {
	case c < 0:
		fresh.left = m.set(n.left, key, value)
		if fresh.left.priority > fresh.priority {
			return rotateRight(&fresh)
		}
	case c > 0:
		fresh.right = m.set(n.right, key, value)
		if fresh.right.priority > fresh.priority {
			return rotateLeft(&fresh)
		}
	default:
		fresh.value = value
	}
	return &fresh
}

// The rotations change nodes in place: both nodes are copies that set just made.

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
		return join(n.left, n.right)
	}
	fresh := *n
	if c < 0 {
		fresh.left = m.remove(n.left, key)
	} else {
		fresh.right = m.remove(n.right, key)
	}
	return &fresh
}

// join makes one tree of two, where all keys of a are less than those of b.
func join[K, V any](a, b *node[K, V]) *node[K, V] {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.priority > b.priority:
		fresh := *a
		fresh.right = join(a.right, b)
		return &fresh
	default:
		fresh := *b
		fresh.left = join(a, b.left)
		return &fresh
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
