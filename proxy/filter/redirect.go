package filter

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/sluicegateway/sluice/config"
)

func compileRedirect(r *config.Redirect) *config.Redirect {
	if r == nil {
		return nil
	}
	compiled := *r
	compiled.Path = compilePath(r.Path)
	return &compiled
}

// location is the Location field of the RequestRedirect filter
// (HTTPRequestRedirectFilter).
func location(r *config.Redirect, x *Exchange) string {
	path := replacePath(r.Path, x.path, x.prefix)
	if path == "*" {
		path = "/"
	}
	var b strings.Builder
	b.Grow(len("https://:65535?") + len(r.Hostname) + len(x.host) + len(path) + len(x.query))
	if host := cmp.Or(r.Hostname, x.host); host != "" {
		scheme := cmp.Or(r.Scheme, x.scheme)
		b.WriteString(scheme)
		b.WriteString("://")
		b.WriteString(host)
		if port := redirectPort(r, x.port); port != wellKnownPort(scheme) {
			b.WriteByte(':')
			b.WriteString(strconv.Itoa(int(port)))
		}
	} else {
		// An HTTP/1.0 request without Host can be sent to another path only. Two
		// slashes would begin a host.
		path = "/" + strings.TrimLeft(path, "/")
	}
	b.WriteString(path)
	if x.hasQuery {
		b.WriteByte('?')
		b.WriteString(x.query)
	}
	return b.String()
}

// redirectPort is the port of the redirect (HTTPRequestRedirectFilter.port):
// the one configured, else that of the configured scheme, else the listener's.
func redirectPort(r *config.Redirect, listener uint16) uint16 {
	if r.Port != 0 {
		return r.Port
	}
	if port := wellKnownPort(r.Scheme); port != 0 {
		return port
	}
	return listener
}

// wellKnownPort is the port that a URL of the scheme does not name, or 0.
func wellKnownPort(scheme string) uint16 {
	switch scheme {
	case "http":
		return 80
	case "https":
		return 443
	}
	return 0
}
