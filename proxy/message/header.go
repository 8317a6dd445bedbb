package message

import (
	"iter"
	"strings"
)

// Field is one header or trailer field.
type Field struct {
	Name, Value string
}

// Header is fields in the order in which they came. Names compare without case
// (RFC 9110 section 5.1) and keep the case that they came in.
type Header struct {
	Fields []Field
}

// Get returns the value of the first field of the name, or "".
func (h *Header) Get(name string) string {
	v, _ := h.Lookup(name)
	return v
}

// Lookup returns the value of the first field of the name and whether there is one.
func (h *Header) Lookup(name string) (string, bool) {
	for i := range h.Fields {
		if f := &h.Fields[i]; EqualFold(f.Name, name) {
			return f.Value, true
		}
	}
	return "", false
}

// Values goes through the values of the fields of the name, in order.
func (h *Header) Values(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range h.Fields {
			if f := &h.Fields[i]; EqualFold(f.Name, name) && !yield(f.Value) {
				return
			}
		}
	}
}

// Joined returns the values of all fields of the name as one, joined with ", "
// (RFC 9110 section 5.3), and whether there is one. Set-Cookie cannot be joined:
// it gives the first value. It allocates only where there is more than one.
func (h *Header) Joined(name string) (string, bool) {
	first, ok := h.Lookup(name)
	if !ok || EqualFold(name, "Set-Cookie") {
		return first, ok
	}
	var b strings.Builder
	n := 0
	for v := range h.Values(name) {
		if n++; n == 2 {
			b.WriteString(first)
		}
		if n > 1 {
			b.WriteString(", ")
			b.WriteString(v)
		}
	}
	if n == 1 {
		return first, true
	}
	return b.String(), true
}

// Add appends a field.
func (h *Header) Add(name, value string) {
	h.Fields = append(h.Fields, Field{name, value})
}

// Set replaces all fields of the name with one, in the place of the first.
func (h *Header) Set(name, value string) {
	for i := range h.Fields {
		if f := &h.Fields[i]; EqualFold(f.Name, name) {
			f.Value = value
			h.deleteFrom(i+1, name)
			return
		}
	}
	h.Add(name, value)
}

// Del removes all fields of the name.
func (h *Header) Del(name string) { h.deleteFrom(0, name) }

func (h *Header) deleteFrom(start int, name string) {
	kept := h.Fields[:start]
	for _, f := range h.Fields[start:] {
		if !EqualFold(f.Name, name) {
			kept = append(kept, f)
		}
	}
	clear(h.Fields[len(kept):])
	h.Fields = kept
}

// Reset removes all fields and keeps their memory.
func (h *Header) Reset() {
	clear(h.Fields)
	h.Fields = h.Fields[:0]
}

// EqualFold compares the names and tokens of HTTP: without case, and in ASCII
// only. (strings.EqualFold takes the Kelvin sign for a k, so that two parsers
// may read one message in two ways.)
func EqualFold(a, b string) bool {
	return len(a) == len(b) && equalFold(a, b)
}

func equalFold(a, b string) bool {
	for i := range len(a) {
		if a[i] != b[i] && lower[a[i]] != lower[b[i]] {
			return false
		}
	}
	return true
}

// lower maps the upper-case letters of ASCII to lower case and all other bytes
// to themselves.
var lower = func() (t [256]byte) {
	for c := range t {
		t[c] = byte(c)
		if 'A' <= c && c <= 'Z' {
			t[c] += 'a' - 'A'
		}
	}
	return t
}()
