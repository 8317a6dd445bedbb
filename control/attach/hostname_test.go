package attach_test

import (
	"slices"
	"testing"

	"github.com/sluicegateway/sluice/control/attach"
)

// HTTPRoute.spec.hostnames
func TestHostnames(t *testing.T) {
	tests := []struct {
		name     string
		listener string
		route    []string
		want     []string
	}{
		{"both any", "", nil, []string{""}},
		{"route any", "*.example.com", nil, []string{"*.example.com"}},
		{"listener any", "", []string{"a.example.com", "*.b.net"}, []string{"a.example.com", "*.b.net"}},
		{"exact equal", "test.example.com", []string{"test.example.com"}, []string{"test.example.com"}},
		{"exact in a wildcard of the route", "test.example.com", []string{"*.example.com"}, []string{"test.example.com"}},
		{"exact in a wildcard of the listener", "*.example.com", []string{"test.example.com"}, []string{"test.example.com"}},
		{"several labels under a wildcard", "*.example.com", []string{"foo.test.example.com"}, []string{"foo.test.example.com"}},
		{"a wildcard does not cover its parent", "*.example.com", []string{"example.com"}, nil},
		{"wildcards, the route's narrower", "*.example.com", []string{"*.test.example.com"}, []string{"*.test.example.com"}},
		{"wildcards, the listener's narrower", "*.test.example.com", []string{"*.example.com"}, []string{"*.test.example.com"}},
		{"equal wildcards", "*.example.com", []string{"*.example.com"}, []string{"*.example.com"}},
		{"a suffix is not a label", "*.example.com", []string{"testexample.com"}, nil},
		{"others are ignored", "*.example.com", []string{"test.example.net", "a.example.com"}, []string{"a.example.com"}},
		{"duplicates count once", "a.example.com", []string{"*.example.com", "*.com", "a.example.com"}, []string{"a.example.com"}},
		{"nothing shared", "a.example.com", []string{"b.example.com"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := attach.Hostnames(test.listener, test.route); !slices.Equal(got, test.want) {
				t.Errorf("Hostnames(%q, %q) = %q, want %q", test.listener, test.route, got, test.want)
			}
		})
	}
}
