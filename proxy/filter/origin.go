package filter

import (
	"strconv"
	"strings"

	"github.com/sluicegateway/sluice/proxy/message"
)

// origin is a scheme, host and port: one that a request comes from, or, with a
// wildcard, several.
type origin struct {
	scheme string
	// host of a wildcard is what follows the "*": empty, or beginning with a dot.
	host     string
	wildcard bool
	port     uint16
}

// parseOrigin reads "scheme://host:port"; the port is the scheme's where none is named.
func parseOrigin(s string) (origin, bool) {
	scheme, host, ok := strings.Cut(s, "://")
	if !ok {
		return origin{}, false
	}
	o := origin{scheme: scheme, host: host, port: wellKnownPort(scheme)}
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		port, err := strconv.ParseUint(host[i+1:], 10, 16)
		if err != nil {
			return origin{}, false
		}
		o.host, o.port = host[:i], uint16(port)
	}
	o.host, o.wildcard = strings.CutPrefix(o.host, "*")
	return o, true
}

// allows reports whether the configuration allows the request's origin.
func (c *cors) allows(requested string) bool {
	if c.anyOrigin {
		return true
	}
	r, ok := parseOrigin(requested)
	if !ok || r.wildcard {
		return false
	}
	for i := range c.origins {
		if c.origins[i].includes(&r) {
			return true
		}
	}
	return false
}

// includes reports whether o is, or its wildcard covers, the origin of a request.
func (o *origin) includes(r *origin) bool {
	if o.port != r.port || !message.EqualFold(o.scheme, r.scheme) {
		return false
	}
	if !o.wildcard {
		return message.EqualFold(o.host, r.host)
	}
	rest := len(r.host) - len(o.host)
	return rest > 0 && message.EqualFold(o.host, r.host[rest:])
}
