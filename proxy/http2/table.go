package http2

import (
	"golang.org/x/net/http2/hpack"
)

// staticTable is that of RFC 7541 appendix A; staticNames tells where a name
// stands in it first. Entries of one name stand together.
var (
	staticTable = func() []hpack.HeaderField {
		var indexes []byte
		for i := 1; i <= staticLen; i++ {
			indexes = append(indexes, indexed|byte(i))
		}
		fields, err := hpack.NewDecoder(0, nil).DecodeFull(indexes)
		if err != nil {
			panic(err) // each index is in the table
		}
		return fields
	}()
	staticNames = func() map[string]int {
		names := map[string]int{}
		for i, f := range staticTable {
			if _, known := names[f.Name]; !known {
				names[f.Name] = i + 1
			}
		}
		return names
	}()
)

const staticLen = 61

// findStatic returns the index of the field, or else of its name, or else 0.
func findStatic(name, value string) (index int, exact bool) {
	first := staticNames[name]
	if first == 0 {
		return 0, false
	}
	for i := first; i <= staticLen && staticTable[i-1].Name == name; i++ {
		if staticTable[i-1].Value == value {
			return i, true
		}
	}
	return first, false
}

// table is the dynamic table of an encoder (RFC 7541 section 2.3.2). It owns the
// bytes of its entries, as the strings of messages may be views of buffers.
type table struct {
	entries []entry // the oldest first
	text    []byte  // name and value of each entry, in the same order
	max     int     // bytes, as entry.size counts
	size    int
}

type entry struct {
	start, name, value uint16 // where its text starts, and the lengths
}

func (e entry) size() int { return int(e.name) + int(e.value) + entryOverhead }

const entryOverhead = 32 // RFC 7541 section 4.1

// find returns the index of the newest entry with the field, or else with its
// name, or else 0. Indexes count from the newest, behind the static table.
func (t *table) find(name, value string) (index int, exact bool) {
	for i := len(t.entries) - 1; i >= 0; i-- {
		e := t.entries[i]
		if int(e.name) != len(name) || index != 0 && int(e.value) != len(value) {
			continue
		}
		text := t.text[e.start:]
		if string(text[:e.name]) != name {
			continue
		}
		at := staticLen + len(t.entries) - i
		if string(text[e.name:][:e.value]) == value {
			return at, true
		}
		if index == 0 {
			index = at
		}
	}
	return index, false
}

// add makes the field the newest entry; it fits into an empty table.
func (t *table) add(name, value string) {
	e := entry{name: uint16(len(name)), value: uint16(len(value))}
	t.evict(t.max - e.size())
	e.start = uint16(len(t.text))
	t.entries = append(t.entries, e)
	t.text = append(append(t.text, name...), value...)
	t.size += e.size()
}

// evict removes the oldest entries until at most size bytes are left.
func (t *table) evict(size int) {
	n, cut := 0, uint16(0)
	for t.size > size {
		e := t.entries[n]
		t.size -= e.size()
		cut += e.name + e.value
		n++
	}
	if n == 0 {
		return
	}
	t.entries = append(t.entries[:0], t.entries[n:]...)
	t.text = append(t.text[:0], t.text[cut:]...)
	for i := range t.entries {
		t.entries[i].start -= cut
	}
}

// setMax changes how large the table may be.
func (t *table) setMax(n int) {
	t.max = n
	t.evict(n)
}
