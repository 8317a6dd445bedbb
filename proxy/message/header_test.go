package message_test

import (
	"slices"
	"testing"

	"github.com/sluicegateway/sluice/proxy/message"
)

func header(pairs ...string) *message.Header {
	h := &message.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestRFC9110_5_1_NamesCompareWithoutCase(t *testing.T) {
	h := header("Accept", "a", "X-One", "1", "ACCEPT", "b")
	if got := h.Get("accept"); got != "a" {
		t.Errorf("Get = %q, want the first value", got)
	}
	if _, ok := h.Lookup("X-On"); ok {
		t.Error("Lookup finds a field by the start of its name")
	}
	if got := slices.Collect(h.Values("Accept")); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("Values = %q", got)
	}
}

func TestRFC9110_5_3_RepeatedFieldsJoin(t *testing.T) {
	for _, c := range []struct {
		name   string
		header *message.Header
		field  string
		want   string
		ok     bool
	}{
		{"absent", header("A", "1"), "B", "", false},
		{"one", header("A", "1", "B", "2"), "b", "2", true},
		{"empty", header("A", ""), "a", "", true},
		{"several", header("A", "1", "B", "2", "a", "3, 4", "A", ""), "A", "1, 3, 4, ", true},
		{"Set-Cookie", header("Set-Cookie", "a=1", "set-cookie", "b=2"), "set-cookie", "a=1", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, ok := c.header.Joined(c.field); got != c.want || ok != c.ok {
				t.Errorf("Joined = %q, %v; want %q, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

func TestHeaderChanges(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*message.Header)
		want   *message.Header
	}{
		{"Set takes the first place and all others", func(h *message.Header) { h.Set("a", "9") }, header("A", "9", "B", "2")},
		{"Set of an absent field adds it", func(h *message.Header) { h.Set("C", "9") }, header("A", "1", "B", "2", "a", "3", "C", "9")},
		{"Del takes all", func(h *message.Header) { h.Del("a") }, header("B", "2")},
		{"Del of an absent field", func(h *message.Header) { h.Del("C") }, header("A", "1", "B", "2", "a", "3")},
		{"Reset", func(h *message.Header) { h.Reset() }, header()},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := header("A", "1", "B", "2", "a", "3")
			if c.change(h); !slices.Equal(h.Fields, c.want.Fields) {
				t.Errorf("got %q, want %q", h.Fields, c.want.Fields)
			}
		})
	}
}

func TestEqualFoldIsASCII(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"chunked", "CHUNKED", true},
		{"chunked", "chun\u212Aed", false}, // the Kelvin sign folds to k in Unicode
		{"close", "clo\u017Fe", false},     // and the long s to s
		{"@", "`", false},                  // one bit apart, as letters of two cases are
		{"^", "~", false},
		{"a", "ab", false},
		{"", "", true},
	} {
		if got := message.EqualFold(c.a, c.b); got != c.want {
			t.Errorf("EqualFold(%q, %q) = %v", c.a, c.b, got)
		}
	}
}

func BenchmarkHeaderLookup(b *testing.B) {
	h := header("User-Agent", "x", "Accept", "x", "Accept-Language", "x", "Accept-Encoding", "x", "Referer", "x",
		"Cookie", "x", "DNT", "1", "Sec-Fetch-Dest", "x", "Sec-Fetch-Mode", "x", "Sec-Fetch-Site", "x", "X-Canary", "y")
	for _, name := range []string{"x-canary", "authorization"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.Lookup(name)
			}
		})
	}
}
