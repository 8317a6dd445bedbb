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

func rpc(service, method string) config.Match {
	return config.Match{RPC: &config.RPCMatch{Service: service, Method: method}}
}

func rpcRegex(service, method string) config.Match {
	return config.Match{RPC: &config.RPCMatch{Service: service, Method: method, Regex: true}}
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

// Gateway API, HTTPRouteRule.matches: the order of precedence. Each test has two
// rules that both take the request, in both orders.
func TestPrecedence(t *testing.T) {
	many := header(header(prefix("/"), "a", "1"), "b", "2")
	tests := []struct {
		rule        string
		first, then config.Match
	}{
		{"Exact before a longer PathPrefix or RegularExpression", exact("/a/b"), regex("/a/b(/[a-z]+)*")},
		{"Exact before PathPrefix", exact("/a/b"), prefix("/a/b")},
		{"Exact before a PathPrefix with method, headers and query", exact("/a/b"), query(method(header(prefix("/a/b"), "a", "1"), "GET"), "q", "1")},
		{"RegularExpression before PathPrefix", regex("/a/.*"), prefix("/a/b")},
		{"the longest PathPrefix", prefix("/a/b"), prefix("/a")},
		{"the longest PathPrefix before headers", prefix("/a/b"), header(prefix("/a"), "a", "1")},
		{"method match before none", method(prefix("/a"), "GET"), prefix("/a/")},
		{"method match before more headers", method(prefix("/"), "GET"), many},
		{"most header matches", many, header(prefix("/"), "a", "1")},
		{"header matches before query matches", header(prefix("/"), "a", "1"), query(query(prefix("/"), "q", "1"), "r", "2")},
		{"most query matches", query(query(prefix("/"), "q", "1"), "r", "2"), query(prefix("/"), "q", "1")},
		{"more headers among expressions, whatever their length", header(regex("/.*"), "a", "1"), regex("/a/b|/something-else")},
	}
	request := get(t, "/a/b?q=1&r=2", "a: 1", "b: 2")
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			l := []*config.Listener{listen("l", "")}
			if got := take(build(t, l, routeOf("r", one(test.first), one(test.then))), request); got != "r/0" {
				t.Errorf("in this order, %q takes it", got)
			}
			if got := take(build(t, l, routeOf("r", one(test.then), one(test.first))), request); got != "r/1" {
				t.Errorf("in the other order, %q takes it", got)
			}
			older := routeOf("older", one(test.then))
			older.Created = epoch.Add(-time.Hour)
			if got := take(build(t, l, older, routeOf("r", one(test.first))), request); got != "r/0" {
				t.Errorf("against an older route, %q takes it", got)
			}
		})
	}
}

func TestPrecedenceTies(t *testing.T) {
	l := []*config.Listener{listen("l", "")}
	older := routeOf("z", one(prefix("/")))
	older.Created = epoch.Add(-time.Second)
	if got := take(build(t, l, routeOf("a", one(prefix("/"))), older), get(t, "/")); got != "z/0" {
		t.Errorf("the oldest route: %q", got)
	}
	other := routeOf("x", one(prefix("/")))
	other.Name = "httproute/apps/z"
	if got := take(build(t, l, routeOf("a", one(prefix("/"))), other), get(t, "/")); got != "z/0" {
		t.Errorf("the first by namespace, then name: %q", got)
	}
	if got := take(build(t, l, routeOf("r", one(prefix("/")), one(prefix("/")))), get(t, "/")); got != "r/0" {
		t.Errorf("the first rule: %q", got)
	}
}

// Any one of a rule's matches is enough, and each has its own precedence.
func TestMatchesAreAlternatives(t *testing.T) {
	table := build(t, []*config.Listener{listen("l", "")},
		routeOf("r", []config.Match{header(prefix("/foo"), "version", "v2"), prefix("/v2/foo")}, one(prefix("/"))))
	for line, want := range map[string]string{"/foo": "r/1", "/v2/foo": "r/0", "/v2/foo/x": "r/0", "/v2": "r/1"} {
		if got := take(table, get(t, line)); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	if got := take(table, get(t, "/foo", "Version: v2")); got != "r/0" {
		t.Errorf("/foo with its header: %q", got)
	}
}

func TestHeaderMatch(t *testing.T) {
	expression := prefix("/")
	expression.Headers = []config.ValueMatch{{Name: "color", Value: "blue|green", Regex: true}}
	tests := []struct {
		rule   string
		match  config.Match
		fields []string
		want   bool
	}{
		{"exact", header(prefix("/"), "env", "canary"), []string{"env: canary"}, true},
		{"names without case", header(prefix("/"), "env", "canary"), []string{"ENV: canary"}, true},
		{"values with case", header(prefix("/"), "env", "canary"), []string{"env: Canary"}, false},
		{"not a part", header(prefix("/"), "env", "canary"), []string{"env: canary-2"}, false},
		{"absent", header(prefix("/"), "env", "canary"), nil, false},
		{"all of them", header(header(prefix("/"), "a", "1"), "b", "2"), []string{"a: 1", "b: 2"}, true},
		{"one of two", header(header(prefix("/"), "a", "1"), "b", "2"), []string{"a: 1", "b: 3"}, false},
		{"RFC 9110 section 5.3: repeated fields are joined", header(prefix("/"), "env", "a, b"), []string{"env: a", "x: y", "Env: b"}, true},
		{"a repeated field is no alternative", header(prefix("/"), "env", "a"), []string{"env: a", "env: b"}, false},
		{"expression", expression, []string{"Color: green"}, true},
		{"expression of the whole value", expression, []string{"color: greenish"}, false},
		{"expression absent", expression, nil, false},
		{"Host is the authority", header(prefix("/"), "host", "example.com"), nil, true},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			table := build(t, []*config.Listener{listen("l", "")}, routeOf("r", one(test.match)))
			if got := take(table, get(t, "/", test.fields...)) != ""; got != test.want {
				t.Errorf("matches: %v", got)
			}
		})
	}
}

func TestQueryParamMatch(t *testing.T) {
	animal := query(prefix("/"), "animal", "whale")
	expression := prefix("/")
	expression.Query = []config.ValueMatch{{Name: "animal", Value: "wh.+", Regex: true}}
	tests := []struct {
		rule  string
		match config.Match
		query string
		want  bool
	}{
		{"exact", animal, "animal=whale", true},
		{"among others", animal, "x=y&animal=whale&z", true},
		{"names with case", animal, "ANIMAL=whale", false},
		{"values with case", animal, "animal=Whale", false},
		{"not a part", animal, "animal=whaledolphin", false},
		{"absent", animal, "animals=whale", false},
		{"no query", animal, "", false},
		{"the first value counts", animal, "animal=whale&animal=dog", true},
		{"the second does not", animal, "animal=dog&animal=whale", false},
		{"percent-encoded", animal, "%61nim%61l=wh%61le", true},
		{"a plus is a space", query(prefix("/"), "a b", "c d"), "a+b=c%20d", true},
		{"an encoded plus is a plus", query(prefix("/"), "a", "+"), "a=%2B", true},
		{"a broken escape is itself", query(prefix("/"), "a", "100%"), "a=100%", true},
		{"empty pairs", animal, "&&animal=whale&", true},
		{"only the first equals sign", query(prefix("/"), "a", "b=c"), "a=b=c", true},
		{"expression", expression, "animal=whale", true},
		{"expression of the whole value", expression, "animal=a+whale", false},
		{"expression of a decoded value", expression, "animal=%77hale", true},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			table := build(t, []*config.Listener{listen("l", "")}, routeOf("r", one(test.match)))
			if got := take(table, get(t, "/?"+test.query)) != ""; got != test.want {
				t.Errorf("matches: %v", got)
			}
		})
	}
}

func TestMethodMatch(t *testing.T) {
	table := build(t, []*config.Listener{listen("l", "")}, routeOf("r", one(method(prefix("/"), "POST"))))
	for line, want := range map[string]string{"POST /": "r/0", "GET /": "", "post /": ""} {
		if got := take(table, get(t, line)); got != want {
			t.Errorf("%s: %q", line, got)
		}
	}
}

// What ReplacePrefixMatch replaces.
func TestMatchedPrefix(t *testing.T) {
	table := build(t, []*config.Listener{listen("l", "")},
		routeOf("r", one(prefix("/a/b/")), one(prefix("/")), one(exact("/x")), one(regex("/y.*"))))
	for line, want := range map[string]string{"/a/b/c": "/a/b", "/a/b": "/a/b", "/a": "", "/x": "", "/y": ""} {
		var m route.Match[string]
		socket := table.Socket(anywhere)
		if !socket.Match(get(t, line), &m) || m.Prefix != want {
			t.Errorf("%s: %q, want %q", line, m.Prefix, want)
		}
	}
}
