package route

import (
	"strings"

	"github.com/sluicegateway/sluice/proxy/message"
)

// maxHostname is the length of the longest domain name (RFC 1035 section
// 2.3.4); it also bounds the search for a wildcard.
const maxHostname = 253

// hostKey is the key of a configured hostname: wildcards are kept by their
// suffix, which begins with a dot as no exact name does; "" is any.
func hostKey(hostname string) string { return strings.TrimPrefix(hostname, "*") }

// hostOf returns the name that the request is for, or "" where it is too long
// for any listener but one that takes every host.
func hostOf(r *message.Request) string {
	if host := r.Host(); len(host) <= maxHostname {
		return host
	}
	return ""
}

// wider returns the key of the next less specific hostname that covers what
// key does: "a.b", ".b", "".
func wider(key string) (string, bool) {
	if key == "" {
		return "", false
	}
	if i := strings.IndexByte(key[1:], '.'); i >= 0 {
		return key[1+i:], true
	}
	return "", true
}

// covers reports whether a configured hostname takes the host.
func covers(hostname, host string) bool {
	for key, ok := host, true; ok; key, ok = wider(key) {
		if key == hostKey(hostname) {
			return true
		}
	}
	return false
}
