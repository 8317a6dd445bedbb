package filter_test

import (
	"testing"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/filter"
)

// HTTPRequestRedirectFilter: scheme, hostname and the rules of port.
func TestRedirectLocation(t *testing.T) {
	tests := []struct {
		rule     string
		redirect config.Redirect
		listener uint16
		request  string
		want     string
	}{
		{"nothing changes", config.Redirect{}, 80, "http://a.example/x?q=1", "http://a.example/x?q=1"},
		{"an empty query is kept", config.Redirect{}, 80, "http://a.example/x?", "http://a.example/x?"},
		{"hostname", config.Redirect{Hostname: "b.example"}, 80, "http://a.example/x", "http://b.example/x"},
		{"the hostname of the request without its port", config.Redirect{}, 80, "http://a.example:8080/", "http://a.example/"},
		{"an IPv6 host", config.Redirect{}, 80, "http://[::1]:8080/", "http://[::1]/"},

		{"no scheme and no port: the listener's port", config.Redirect{}, 8080, "http://a.example/", "http://a.example:8080/"},
		{"no scheme, port 80", config.Redirect{Port: 80}, 8080, "http://a.example/", "http://a.example/"},
		{"no scheme, port 8080", config.Redirect{Port: 8080}, 80, "http://a.example/", "http://a.example:8080/"},
		{"https, no port: its well-known port", config.Redirect{Scheme: "https"}, 8080, "http://a.example/", "https://a.example/"},
		{"https, port 443", config.Redirect{Scheme: "https", Port: 443}, 80, "http://a.example/", "https://a.example/"},
		{"https, port 8443", config.Redirect{Scheme: "https", Port: 8443}, 80, "http://a.example/", "https://a.example:8443/"},
		{"https, port 80", config.Redirect{Scheme: "https", Port: 80}, 80, "http://a.example/", "https://a.example:80/"},
		{"http on an https listener", config.Redirect{Scheme: "http"}, 443, "https://a.example/", "http://a.example/"},
		{"no scheme on an https listener", config.Redirect{}, 443, "https://a.example/", "https://a.example/"},
		{"no scheme, another https port", config.Redirect{}, 8443, "https://a.example/", "https://a.example:8443/"},
		{"no scheme, port 443 of http", config.Redirect{Port: 443}, 80, "http://a.example/", "http://a.example:443/"},

		{"full path", config.Redirect{Path: &config.PathModifier{Full: "/new"}}, 80, "http://a.example/x/y?q=1", "http://a.example/new?q=1"},
		{"asterisk-form", config.Redirect{}, 80, "http://a.example*", "http://a.example/"},
		{"no host in HTTP/1.0", config.Redirect{Scheme: "https"}, 80, "http:///x", "/x"},
		{"no host, and a path that would be one", config.Redirect{}, 80, "http:////b.example/x", "/b.example/x"},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			req := request("GET " + test.request)
			var x filter.Exchange
			x.Begin(req, req.Scheme, test.listener, "/")
			test.redirect.Status = 302
			r := filter.Compile(&config.Filters{Redirect: &test.redirect}).Request(&x)
			if got := r.Header.Get("Location"); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestRedirectStatus(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		x := begin(request("POST http://a.example/"), "/")
		r := filter.Compile(&config.Filters{Redirect: &config.Redirect{Status: status}}).Request(x)
		if r.Status != status || r.BodyLength != 0 {
			t.Errorf("status %d, %d bytes; want %d, none", r.Status, r.BodyLength, status)
		}
	}
}
