package message

import "strings"

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
		if f := &h.Fields[i]; len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
			return f.Value, true
		}
	}
	return "", false
}

// Add appends a field.
func (h *Header) Add(name, value string) {
	h.Fields = append(h.Fields, Field{name, value})
}

// Set replaces all fields of the name with one, in the place of the first.
func (h *Header) Set(name, value string) {
	for i := range h.Fields {
		if f := &h.Fields[i]; len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
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
		if len(f.Name) != len(name) || !strings.EqualFold(f.Name, name) {
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
