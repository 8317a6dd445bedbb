package route_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/route"
)

// Gateway API, HTTPRouteSpec.hostnames and Listener.hostname.
func TestHostnames(t *testing.T) {
	table := build(t, []*config.Listener{listen("l", "")},
		at(routeOf("exact", one(prefix("/"))), "l", "shop.example.com", "example.org"),
		at(routeOf("wildcard", one(prefix("/"))), "l", "*.example.com"),
		at(routeOf("longer", one(prefix("/"))), "l", "*.eu.example.com"),
		at(routeOf("any", one(prefix("/any"))), "l", ""))
	tests := []struct{ rule, url, want string }{
		{"an exact name", "shop.example.com/", "exact/0"},
		{"several hostnames", "example.org/", "exact/0"},
		{"the port is ignored", "shop.example.com:8080/", "exact/0"},
		{"a wildcard takes one label", "a.example.com/", "wildcard/0"},
		{"a wildcard takes several labels", "a.b.example.com/", "wildcard/0"},
		{"a wildcard takes at least one label", "example.com/any", "any/0"},
		{"a wildcard takes whole labels", "myexample.com/any", "any/0"},
		{"the longer wildcard goes first", "a.eu.example.com/", "longer/0"},
		{"a wildcard does not take its own name", "eu.example.com/", "wildcard/0"},
		{"any name", "localhost/any", "any/0"},
		{"an IPv6 address", "[::1]:8080/any", "any/0"},
		{"no host", "/any", "any/0"},
		{"no fall-through to a less specific hostname", "shop.example.com/any", "exact/0"},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			request := get(t, test.url)
			if strings.HasPrefix(test.url, "/") {
				request.Authority = ""
			}
			if got := take(table, request); got != test.want {
				t.Errorf("%s: %q, want %q", test.url, got, test.want)
			}
		})
	}
}

func TestNoFallThroughAcrossHostnames(t *testing.T) {
	table := build(t, []*config.Listener{listen("l", "")},
		at(routeOf("exact", one(prefix("/only"))), "l", "shop.example.com"),
		at(routeOf("any", one(prefix("/"))), "l", ""))
	if got := take(table, get(t, "shop.example.com/other")); got != "" {
		t.Errorf("%q takes a request for a hostname that has routes of its own", got)
	}
}

// Gateway API, Gateway.spec.listeners: GatewayHTTPListenerIsolation, with the
// listeners and requests of its conformance test.
func TestListenerIsolation(t *testing.T) {
	names := []string{"empty", "wildcard-example", "wildcard-foo", "abc-foo"}
	hostnames := []string{"", "*.example.com", "*.foo.example.com", "abc.foo.example.com"}
	hosts := []string{"bar.com", "bar.example.com", "bar.foo.example.com", "abc.foo.example.com"}
	var listeners []*config.Listener
	var routes []*config.Route
	for i, name := range names {
		listeners = append(listeners, listen(name, hostnames[i]))
		routes = append(routes, at(routeOf(name, one(prefix("/"+name))), name, hostnames[i]))
	}
	table := build(t, listeners, routes...)
	for i, host := range hosts {
		for j, name := range names {
			want := ""
			if i == j {
				want = name + "/0"
			}
			if got := take(table, get(t, host+"/"+name)); got != want {
				t.Errorf("%s/%s: %q, want %q", host, name, got, want)
			}
		}
	}
}

// A socket takes its own listeners and those that are bound to all addresses.
func TestSocket(t *testing.T) {
	address := netip.MustParseAddr("10.0.0.1")
	table := build(t,
		[]*config.Listener{
			listen("own", "a.example", address),
			listen("wide", ""),
			listen("both", "b.example", netip.IPv4Unspecified()),
			listen("hidden", "a.example"),
		},
		at(routeOf("own", one(prefix("/"))), "own", "a.example"),
		at(routeOf("wide", one(prefix("/"))), "wide", ""),
		at(routeOf("both", one(prefix("/"))), "both", "b.example"),
		at(routeOf("hidden", one(prefix("/"))), "hidden", "a.example"))
	tests := []struct{ bind, url, want string }{
		{"10.0.0.1:80", "a.example/", "own"},
		{"[::ffff:10.0.0.1]:80", "a.example/", "own"},
		{"10.0.0.1:80", "b.example/", "both"},
		{"10.0.0.1:80", "c.example/", "wide"},
		{"0.0.0.0:80", "a.example/", "hidden"},
		{"[::]:80", "b.example/", "both"},
		{"10.0.0.2:80", "a.example/", "hidden"},
		{"10.0.0.1:81", "a.example/", ""},
	}
	for _, test := range tests {
		var m route.Match[string]
		socket := table.Socket(netip.MustParseAddrPort(test.bind))
		got := ""
		if socket.Match(get(t, test.url), &m) {
			got = m.Listener.Name
		}
		if got != test.want {
			t.Errorf("%s on %s: listener %q, want %q", test.url, test.bind, got, test.want)
		}
	}
}

func TestEmptyTable(t *testing.T) {
	var table *route.Table[string]
	socket := table.Socket(anywhere)
	if m := (route.Match[string]{}); socket.Match(&message.Request{Path: "/"}, &m) || m.Listener != nil {
		t.Errorf("nil table: %+v", m)
	}
	if got := table.Shadowed(); got != nil {
		t.Errorf("nil table has shadowed matches: %v", got)
	}
}
