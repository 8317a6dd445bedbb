package filter_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/filter"
)

// The examples of HTTPHeaderFilter, and what it says about names.
func TestHeaderModifier(t *testing.T) {
	one := func(name, value string) []config.Header { return []config.Header{{Name: name, Value: value}} }
	tests := []struct {
		rule     string
		modifier config.HeaderModifier
		before   []string
		after    []string
	}{
		{"set overwrites", config.HeaderModifier{Set: one("my-header", "bar")}, []string{"my-header: foo"}, []string{"my-header: bar"}},
		{"set overwrites all fields of the name", config.HeaderModifier{Set: one("my-header", "bar")},
			[]string{"My-Header: foo", "x: y", "MY-HEADER: baz"}, []string{"My-Header: bar", "x: y"}},
		{"set where absent", config.HeaderModifier{Set: one("My-Header", "bar")}, []string{"x: y"}, []string{"x: y", "My-Header: bar"}},
		{"add appends to existing values", config.HeaderModifier{Add: one("my-header", "bar,baz")},
			[]string{"my-header: foo"}, []string{"my-header: foo", "my-header: bar,baz"}},
		{"remove", config.HeaderModifier{Remove: []string{"my-header1", "my-header3"}},
			[]string{"my-header1: foo", "my-header2: bar", "my-header3: baz"}, []string{"my-header2: bar"}},
		{"remove without case", config.HeaderModifier{Remove: []string{"my-header"}}, []string{"My-Header: foo", "MY-HEADER: bar"}, nil},
		{"set, then add, then remove", config.HeaderModifier{Set: one("a", "1"), Add: one("b", "2"), Remove: []string{"c"}},
			[]string{"c: 3", "b: 1"}, []string{"b: 1", "a: 1", "b: 2"}},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			want := strings.Join(append(test.after, ""), "\n")
			req := request("GET http://a.example/foo", test.before...)
			filter.Compile(&config.Filters{RequestHeaders: &test.modifier}).Request(begin(req, "/"))
			if diff := cmp.Diff(want, fieldLines(&req.Header)); diff != "" {
				t.Errorf("request (-want +got)\n%s", diff)
			}
			resp := response(200, test.before...)
			filter.Compile(&config.Filters{ResponseHeaders: &test.modifier}).Response(begin(req, "/"), resp)
			if diff := cmp.Diff(want, fieldLines(&resp.Header)); diff != "" {
				t.Errorf("response (-want +got)\n%s", diff)
			}
		})
	}
}

// RFC 9112 section 6: two statements about a message's end are an attack.
// Fields that frame a message, and values that would end the line, are never sent.
func TestHeaderModifierCannotBreakFraming(t *testing.T) {
	all := []config.Header{
		{Name: "Content-Length", Value: "5"},
		{Name: "transfer-encoding", Value: "chunked"},
		{Name: "Connection", Value: "x"},
		{Name: "Upgrade", Value: "websocket"},
		{Name: "X", Value: "1\r\nY: 2"},
		{Name: "X Y", Value: "1"},
		{Name: "", Value: "1"},
	}
	modifier := &config.HeaderModifier{Set: all, Add: append(all, config.Header{Name: "Host", Value: "b.example"})}
	req := request("GET http://a.example/")
	filter.Compile(&config.Filters{RequestHeaders: modifier}).Request(begin(req, "/"))
	if got := fieldLines(&req.Header); got != "" {
		t.Errorf("fields:\n%s", got)
	}
}

// RFC 9110 section 7.2: Host is the request's authority, and a request always has one.
func TestHeaderModifierOfHost(t *testing.T) {
	tests := []struct {
		modifier config.HeaderModifier
		want     string
	}{
		{config.HeaderModifier{Set: []config.Header{{Name: "Host", Value: "B.example:8080"}}}, "b.example:8080"},
		{config.HeaderModifier{Set: []config.Header{{Name: "host", Value: "b.example/x"}}}, "a.example"},
		{config.HeaderModifier{Add: []config.Header{{Name: "host", Value: "b.example"}}}, "a.example"},
		{config.HeaderModifier{Remove: []string{"Host"}}, "a.example"},
	}
	for _, test := range tests {
		req := request("GET http://a.example/")
		filter.Compile(&config.Filters{RequestHeaders: &test.modifier}).Request(begin(req, "/"))
		if req.Authority != test.want || len(req.Header.Fields) != 0 {
			t.Errorf("%+v: authority %s, fields %v", test.modifier, req.Authority, req.Header.Fields)
		}
	}
}
