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
	history(t, 1, func(m tree.Map[int, int]) tree.Map[int, int] { return m })
}

// What an edit makes is changed again, but never what was there before.
func TestEditKeepsWhatWasBefore(t *testing.T) {
	history(t, 20, tree.Map[int, int].Edit)
}

// history makes random changes in batches, each of which starts with begin.
func history(t *testing.T, batch int, begin func(tree.Map[int, int]) tree.Map[int, int]) {
	random := rand.New(rand.NewPCG(1, 2))
	got, want := tree.New[int, int](cmp.Compare), map[int]int{}
	var versions []tree.Map[int, int]
	var copies []map[int]int
	for i := range 2000 {
		if i%batch == 0 {
			versions, copies = append(versions, got), append(copies, maps.Clone(want))
			got = begin(got)
		}
		key := random.IntN(300)
		if random.IntN(3) == 0 {
			got = got.Delete(key)
			delete(want, key)
		} else {
			value := random.Int()
			got = got.Set(key, value)
			want[key] = value
		}
	}
	versions, copies = append(versions, got), append(copies, maps.Clone(want))
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
