package filter_test

import (
	"strings"
	"testing"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/filter"
)

// The table of HTTPPathModifier.replacePrefixMatch, and what follows from it.
var replacePrefixMatch = []struct{ path, prefix, replacement, want string }{
	{"/foo/bar", "/foo", "/xyz", "/xyz/bar"},
	{"/foo/bar", "/foo", "/xyz/", "/xyz/bar"},
	{"/foo/bar", "/foo/", "/xyz", "/xyz/bar"},
	{"/foo/bar", "/foo/", "/xyz/", "/xyz/bar"},
	{"/foo", "/foo", "/xyz", "/xyz"},
	{"/foo/", "/foo", "/xyz", "/xyz/"},
	{"/foo/bar", "/foo", "", "/bar"},
	{"/foo/", "/foo", "", "/"},
	{"/foo", "/foo", "", "/"},
	{"/foo/", "/foo", "/", "/"},
	{"/foo", "/foo", "/", "/"},

	{"/foo/bar", "/", "/xyz", "/xyz/foo/bar"},
	{"/foo/bar", "", "/xyz", "/xyz/foo/bar"},
	{"/", "/", "/xyz", "/xyz/"},
	{"/foo/bar/", "/foo", "/xyz", "/xyz/bar/"},
	{"/foo//bar", "/foo", "/xyz", "/xyz//bar"},
	{"/foo/bar", "/foo", "xyz", "/xyz/bar"},
	{"/foo", "/foo", "/xyz/", "/xyz"},
}

func TestReplacePrefixMatch(t *testing.T) {
	for _, test := range replacePrefixMatch {
		modifier := &config.PathModifier{Prefix: true, Replacement: test.replacement}
		req := request("GET http://a.example" + test.path + "?q=1")
		filter.Compile(&config.Filters{Rewrite: &config.Rewrite{Path: modifier}}).Request(begin(req, test.prefix))
		if req.Path != test.want || req.Query != "q=1" {
			t.Errorf("rewrite of %s, prefix %s, to %q: %s?%s, want %s", test.path, test.prefix, test.replacement, req.Path, req.Query, test.want)
		}
		req = request("GET http://a.example" + test.path + "?q=1")
		r := filter.Compile(&config.Filters{Redirect: &config.Redirect{Status: 302, Path: modifier}}).Request(begin(req, test.prefix))
		if got, want := r.Header.Get("Location"), "http://a.example"+test.want+"?q=1"; got != want {
			t.Errorf("redirect of %s, prefix %s, to %q: %s, want %s", test.path, test.prefix, test.replacement, got, want)
		}
	}
}

func TestReplaceFullPath(t *testing.T) {
	for replacement, want := range map[string]string{
		"/one":     "/one",
		"/one/":    "/one/",
		"one":      "/one",
		"":         "/",
		"/a/%7eb":  "/a/~b",
		"/a?b#c d": "/a%3Fb%23c%20d",
	} {
		req := request("GET http://a.example/x/y?q=1")
		filter.Compile(&config.Filters{Rewrite: &config.Rewrite{Path: &config.PathModifier{Full: replacement}}}).Request(begin(req, "/x"))
		if req.Path != want || req.Query != "q=1" {
			t.Errorf("%q: %s?%s, want %s", replacement, req.Path, req.Query, want)
		}
	}
}

func TestRewriteHostname(t *testing.T) {
	req := request("GET http://a.example:8080/x")
	filter.Compile(&config.Filters{Rewrite: &config.Rewrite{Hostname: "b.example"}}).Request(begin(req, "/"))
	if req.Authority != "b.example" || req.Path != "/x" {
		t.Errorf("forwards to %s%s", req.Authority, req.Path)
	}
}

// RFC 9112 section 3.2.4: "*" is no path.
func TestRewriteLeavesAsteriskForm(t *testing.T) {
	for _, modifier := range []config.PathModifier{{Full: "/x"}, {Prefix: true, Replacement: "/x"}} {
		req := request("OPTIONS http://a.example*")
		filter.Compile(&config.Filters{Rewrite: &config.Rewrite{Path: &modifier}}).Request(begin(req, ""))
		if req.Path != "*" {
			t.Errorf("%+v: %s", modifier, req.Path)
		}
	}
}

// Whatever a route says, what is sent stays one path on one line.
func FuzzPathModifier(f *testing.F) {
	f.Add("/a b\r\nHost: x", "/foo/bar", "/foo")
	f.Add("", "/", "")
	f.Add("%", "/foo", "/foo/")
	f.Fuzz(func(t *testing.T, replacement, path, prefix string) {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " \r\n") {
			t.Skip("no normal path")
		}
		for _, modifier := range []config.PathModifier{{Full: replacement}, {Prefix: true, Replacement: replacement}} {
			req := request("GET http://a.example/")
			req.Path = path
			filter.Compile(&config.Filters{Rewrite: &config.Rewrite{Path: &modifier}}).Request(begin(req, prefix))
			if !strings.HasPrefix(req.Path, "/") && strings.HasPrefix(path, prefix) || strings.ContainsAny(req.Path, " \r\n") {
				t.Errorf("%+v of %q, prefix %q: %q", modifier, path, prefix, req.Path)
			}
		}
	})
}
