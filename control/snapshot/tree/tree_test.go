package tree_test

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sluicegateway/sluice/control/snapshot/tree"
)

// A random history is compared with a built-in map, and every earlier version
// is compared again at the end: a change must not show in its predecessors.
func TestMapKeepsItsHistory(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	got, want := tree.New[int, int](cmp.Compare), map[int]int{}
	var versions []tree.Map[int, int]
	var copies []map[int]int
	for range 2000 {
		key := random.IntN(300)
		if random.IntN(3) == 0 {
			got = got.Delete(key)
			delete(want, key)
		} else {
			value := random.Int()
			got = got.Set(key, value)
			want[key] = value
		}
		versions, copies = append(versions, got), append(copies, maps.Clone(want))
	}
	for i, version := range versions {
		if version.Len() != len(copies[i]) || !maps.Equal(maps.Collect(version.All()), copies[i]) {
			t.Fatalf("version %d of the map has changed", i)
		}
	}
}

func TestMapOrder(t *testing.T) {
	m := tree.New[int, string](cmp.Compare)
	for _, key := range rand.Perm(100) {
		m = m.Set(key, "")
	}
	var keys []int
	for key := range m.All() {
		keys = append(keys, key)
	}
	if len(keys) != 100 || !slices.IsSorted(keys) {
		t.Errorf("All yields %v", keys)
	}
	keys = nil
	for key := range m.From(40) {
		if key == 43 {
			break
		}
		keys = append(keys, key)
	}
	if !slices.Equal(keys, []int{40, 41, 42}) {
		t.Errorf("From(40) yields %v", keys)
	}
}

func TestMapGet(t *testing.T) {
	m := tree.New[string, int](cmp.Compare).Set("b", 2).Set("a", 1).Delete("none")
	if v, ok := m.Get("a"); v != 1 || !ok {
		t.Errorf("Get(a) = %d, %v", v, ok)
	}
	if v, ok := m.Get("c"); v != 0 || ok {
		t.Errorf("Get(c) = %d, %v", v, ok)
	}
}
