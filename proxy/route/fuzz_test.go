package route_test

import (
	"testing"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/message"
)

// Whatever a request says, the router does not panic, and a trace does not
// change what it finds.
func FuzzMatch(f *testing.F) {
	var listeners []*config.Listener
	w := someWorld(1)
	for _, hostname := range someHostnames {
		listeners = append(listeners, listen("on all "+hostname, hostname))
	}
	var routes []*config.Route
	for range 20 {
		routes = append(routes, w.route())
	}
	table := build(f, listeners, routes...)
	f.Add("a.example", "/a/b", "p=1", "x", "1")
	f.Add("[::1]:80", "*", "%&%4&+=%zz", "", "")
	f.Add(".example", "//a///", "=&=", "Host", ":")
	f.Add("a..example:x", "", "p", "x", "\x00")
	f.Fuzz(func(t *testing.T, authority, path, query, name, value string) {
		r := &message.Request{Method: "GET", Authority: authority, Path: path, Query: query, HasQuery: true}
		r.Header.Add(name, value)
		r.Header.Add("x", value)
		if got := outcome(table, anywhere.Addr(), r); got == "another rule when traced" {
			t.Error(got)
		}
	})
}
