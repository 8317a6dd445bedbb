package route_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/route"
)

// The tests' Action of a rule is its "route/index", the kind and namespace cut off.
func name(r *config.Route, rule *config.Rule) string {
	for i := range r.Rules {
		if r.Rules[i].Name == rule.Name {
			return fmt.Sprintf("%s/%d", r.Name[strings.LastIndexByte(r.Name, '/')+1:], i)
		}
	}
	return r.Name
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const port = 80

var anywhere = netip.AddrPortFrom(netip.IPv6Unspecified(), port)

func listen(name, hostname string, addrs ...netip.Addr) *config.Listener {
	return &config.Listener{Name: name, Hostname: hostname, Port: port, Protocol: config.ProtocolHTTP, Addresses: addrs}
}

// routeOf makes a route on listener "l" for any hostname, one rule per list of matches.
func routeOf(name string, rules ...[]config.Match) *config.Route {
	r := &config.Route{
		Name:        "httproute/default/" + name,
		Created:     epoch,
		Attachments: []config.Attachment{{Listener: "l", Hostnames: []string{""}}},
	}
	for i, matches := range rules {
		r.Rules = append(r.Rules, config.Rule{Name: fmt.Sprint(i), Matches: matches})
	}
	return r
}

func at(r *config.Route, listener string, hostnames ...string) *config.Route {
	r.Attachments = []config.Attachment{{Listener: listener, Hostnames: hostnames}}
	return r
}

func prefix(path string) config.Match {
	return config.Match{Path: config.PathMatch{Type: config.PathPrefix, Value: path}}
}

func exact(path string) config.Match {
	return config.Match{Path: config.PathMatch{Type: config.PathExact, Value: path}}
}

func regex(path string) config.Match {
	return config.Match{Path: config.PathMatch{Type: config.PathRegex, Value: path}}
}

func one(m config.Match) []config.Match { return []config.Match{m} }

func method(m config.Match, method string) config.Match {
	m.Method = method
	return m
}

func header(m config.Match, name, value string) config.Match {
	m.Headers = append(m.Headers[:len(m.Headers):len(m.Headers)], config.ValueMatch{Name: name, Value: value})
	return m
}

func query(m config.Match, name, value string) config.Match {
	m.Query = append(m.Query[:len(m.Query):len(m.Query)], config.ValueMatch{Name: name, Value: value})
	return m
}

func build(t testing.TB, listeners []*config.Listener, routes ...*config.Route) *route.Table[string] {
	t.Helper()
	var empty *route.Table[string]
	table, err := empty.Apply(&config.Delta{Listeners: listeners, Routes: routes}, name)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// get makes a request from "METHOD http://host/path?query" and "name: value" lines.
func get(t testing.TB, line string, fields ...string) *message.Request {
	t.Helper()
	method, url, ok := strings.Cut(line, " ")
	if !ok {
		method, url = "GET", line
	}
	if strings.HasPrefix(url, "/") || url == "*" {
		url = "example.com" + url
	}
	r := &message.Request{Method: method, Scheme: "http"}
	i := strings.IndexAny(url, "/*")
	r.Authority = url[:i]
	r.Path, r.Query, r.HasQuery = strings.Cut(url[i:], "?")
	for _, f := range fields {
		name, value, ok := strings.Cut(f, ": ")
		if !ok {
			t.Fatalf("not a field: %q", f)
		}
		r.Header.Add(name, value)
	}
	return r
}

// take returns the rule that takes the request, "" for none.
func take(table *route.Table[string], r *message.Request) string {
	var m route.Match[string]
	if socket := table.Socket(anywhere); socket.Match(r, &m) {
		return m.Rule.Action
	}
	return ""
}

func TestPathMatchType(t *testing.T) {
	tests := []struct {
		match config.Match
		takes []string
		not   []string
	}{
		{exact("/abc"), []string{"/abc", "/abc?x"}, []string{"/abc/", "/Abc", "/abcd", "/", "/abc/d"}},
		{exact("/abc/"), []string{"/abc/"}, []string{"/abc", "/abc/d"}},
		{prefix("/abc"), []string{"/abc", "/abc/", "/abc/def", "/abc/def/ghi"}, []string{"/abcd", "/", "/Abc", "/ab"}},
		{prefix("/abc/"), []string{"/abc", "/abc/", "/abc/def"}, []string{"/abcd"}},
		{prefix("/a/b"), []string{"/a/b", "/a/b/c"}, []string{"/a", "/a/", "/a/bc"}},
		{prefix("/"), []string{"/", "/a", "/a/b", "OPTIONS *"}, nil},
		{prefix("/caf%c3%A9/%61"), []string{"/caf%C3%A9/a"}, nil},
		{regex("/v[0-9]+/.*"), []string{"/v1/", "/v22/x/y"}, []string{"/v/", "/x/v1/", "/V1/", "/v1"}},
		{regex("/a|/b"), []string{"/a", "/b"}, []string{"/ab", "/a/b", "/xb"}},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s %s", test.match.Path.Type, test.match.Path.Value), func(t *testing.T) {
			table := build(t, []*config.Listener{listen("l", "")}, routeOf("r", one(test.match)))
			for _, line := range test.takes {
				if take(table, get(t, line)) != "r/0" {
					t.Errorf("does not take %s", line)
				}
			}
			for _, line := range test.not {
				if take(table, get(t, line)) != "" {
					t.Errorf("takes %s", line)
				}
			}
		})
	}
}
