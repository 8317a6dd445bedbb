package route

import (
	"hash/maphash"
	"iter"
	"maps"
	"slices"
)

// sharded is an immutable map that is changed by copying a part: an edit copies
// the list of shards and those shards that it touches, so a change of one key
// costs about the same in a map of a hundred and of a hundred thousand.
type sharded[K comparable, V any] struct {
	// shards are none, or a power of two.
	shards []map[K]V
	len    int
}

// shardLen is the number of keys per shard at which there are to be more shards.
const shardLen = 32

var seed = maphash.MakeSeed()

func (s *sharded[K, V]) get(k K) (V, bool) {
	if len(s.shards) == 0 {
		var none V
		return none, false
	}
	v, ok := s.shards[s.shard(k)][k]
	return v, ok
}

func (s *sharded[K, V]) shard(k K) int {
	if len(s.shards) == 1 {
		return 0
	}
	return int(maphash.Comparable(seed, k) & uint64(len(s.shards)-1))
}

// all iterates in no order.
func (s *sharded[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, shard := range s.shards {
			for k, v := range shard {
				if !yield(k, v) {
					return
				}
			}
		}
	}
}

// edit is a sharded map in the making; it leaves the one it came from as it is.
type edit[K comparable, V any] struct {
	sharded[K, V]
	// owned tells the shards that are already copies.
	owned []bool
}

func (s *sharded[K, V]) edit() *edit[K, V] {
	return &edit[K, V]{
		sharded: sharded[K, V]{shards: slices.Clone(s.shards), len: s.len},
		owned:   make([]bool, len(s.shards)),
	}
}

func (e *edit[K, V]) set(k K, v V) {
	if e.len >= shardLen*len(e.shards) {
		e.grow()
	}
	shard := e.own(k)
	if _, ok := shard[k]; !ok {
		e.len++
	}
	shard[k] = v
}

func (e *edit[K, V]) delete(k K) {
	if _, ok := e.get(k); ok {
		delete(e.own(k), k)
		e.len--
	}
}

func (e *edit[K, V]) own(k K) map[K]V {
	i := e.shard(k)
	if !e.owned[i] {
		e.shards[i] = maps.Clone(e.shards[i])
		e.owned[i] = true
	}
	return e.shards[i]
}

func (e *edit[K, V]) grow() {
	old := e.sharded
	e.shards = make([]map[K]V, max(1, 4*len(old.shards)))
	e.owned = make([]bool, len(e.shards))
	for i := range e.shards {
		e.shards[i], e.owned[i] = map[K]V{}, true
	}
	for k, v := range old.all() {
		e.shards[e.shard(k)][k] = v
	}
}
