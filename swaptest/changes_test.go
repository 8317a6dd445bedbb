package swaptest

import (
	"fmt"
	"os"
	"slices"
	"strconv"
)

// change is one way of changing the site, and how a request sees that it is in
// force.
type change struct {
	name string
	make func(*site)
	seen func(*site, *probe) bool
}

// changes are made in this order, again and again. Each that adds something is
// followed by the one that removes it, some changes later.
var changes = []change{
	{"the value of a filter", func(s *site) {
		s.MainVersion = s.change
		s.write("main.yaml")
	}, mainVersion},

	{"a listener comes", func(s *site) {
		s.VisitedListener = true
		s.write("gateway.yaml")
	}, func(s *site, p *probe) bool { return p.answered() }},

	{"weights move to another backend", func(s *site) {
		s.WeightA, s.WeightB, s.SplitVersion = 0, 100, s.change
		s.write("split.yaml")
	}, func(s *site, p *probe) bool { return splitVersion(s, p) && p.header("/split", "Backend") == "b" }},

	{"an endpoint joins", func(s *site) {
		s.joining = startBackend(s.t, fmt.Sprintf("rolling-%d", s.change))
		s.write("rolling.yaml")
	}, func(s *site, p *probe) bool { return p.header("/rolling", "Backend") == s.joining.name }},

	{"a file comes", func(s *site) { s.write("extra.yaml") }, func(s *site, p *probe) bool {
		return p.header("/extra", "Backend") == "b"
	}},

	{"a filter is added", func(s *site) {
		s.RequestFilter, s.MainVersion = true, s.change
		s.write("main.yaml")
	}, func(s *site, p *probe) bool { return mainVersion(s, p) && p.header("/", "Marked") == "yes" }},

	{"a mounted ConfigMap is swapped", func(s *site) {
		s.MountedVersion = s.change
		s.mount()
	}, mountedVersion},

	{"a listener goes", func(s *site) {
		s.VisitedListener = false
		s.visitable.Store(false)
		s.write("gateway.yaml")
	}, func(s *site, p *probe) bool { return p.refused() }},

	{"a listener is renamed", func(s *site) {
		i := slices.Index(s.ListenerNames, s.ListenerName)
		s.ListenerName = s.ListenerNames[1-i]
		s.write("gateway.yaml")
	}, func(s *site, p *probe) bool { return p.header("/tell", "Listener") == s.ListenerName }},

	{"a rule is added", func(s *site) {
		s.Rule, s.MainVersion = true, s.change
		s.write("main.yaml")
	}, func(s *site, p *probe) bool { return mainVersion(s, p) && p.header("/rule", "Backend") == "b" }},

	{"endpoints are replaced", func(s *site) {
		s.leaving = []*backend{s.rolling, s.joining}
		s.rolling, s.joining = startBackend(s.t, fmt.Sprintf("rolling-%d", s.change)), nil
		s.write("rolling.yaml")
	}, func(s *site, p *probe) bool { return p.header("/rolling", "Backend") == s.rolling.name }},

	{"a listener joins a socket", func(s *site) {
		s.NamedListener = true
		s.write("gateway.yaml")
	}, func(s *site, p *probe) bool { return p.headerAt("named.example", "/named", "Backend") == "b" }},

	{"weights are shared", func(s *site) {
		s.WeightA, s.WeightB, s.SplitVersion = 90, 10, s.change
		s.write("split.yaml")
	}, splitVersion},

	{"a file goes", func(s *site) { s.check(os.Remove(s.path("extra.yaml"))) }, func(s *site, p *probe) bool {
		return p.header("/extra", "Backend") == "a" // by the rule for everything
	}},

	{"a filter and a rule are removed", func(s *site) {
		s.RequestFilter, s.Rule, s.MainVersion = false, false, s.change
		s.write("main.yaml")
	}, func(s *site, p *probe) bool {
		return mainVersion(s, p) && p.header("/", "Marked") == "" && p.header("/rule", "Backend") == "a"
	}},

	{"a listener leaves a socket", func(s *site) {
		s.NamedListener = false
		s.write("gateway.yaml")
	}, func(s *site, p *probe) bool { return p.headerAt("named.example", "/named", "Backend") == "a" }},

	{"a Service gives way to another in one file", func(s *site) {
		s.Pair = 1 - s.Pair
		s.write("pair.yaml")
	}, func(s *site, p *probe) bool {
		return p.header("/pair", "Service") == strconv.Itoa(s.Pair)
	}},

	{"many files at once", func(s *site) {
		s.MainVersion, s.SplitVersion, s.MountedVersion = s.change, s.change, s.change
		s.write("main.yaml")
		s.write("split.yaml")
		s.mount()
	}, func(s *site, p *probe) bool { return mainVersion(s, p) && splitVersion(s, p) && mountedVersion(s, p) }},
}

func mainVersion(s *site, p *probe) bool {
	return p.header("/", "Version") == strconv.Itoa(s.MainVersion)
}
func splitVersion(s *site, p *probe) bool {
	return p.header("/split", "Version") == strconv.Itoa(s.SplitVersion)
}
func mountedVersion(s *site, p *probe) bool {
	return p.header("/mounted", "Version") == strconv.Itoa(s.MountedVersion)
}
