package translate

import "strings"

// nested knows which hostnames of HTTPS and TLS listeners on a port cover one
// another: the certificate of one may then be taken for another's
// (Gateway.status.listeners[].conditions: OverlappingTLSConfig).
type nested struct {
	names map[string]int
	// beneath counts, for each hostname, the other hostnames that it covers.
	beneath map[string]int
}

func newNested() nested { return nested{names: map[string]int{}, beneath: map[string]int{}} }

// count notes one listener more (1) or less (-1) with the hostname, and calls
// changed for each other hostname that this gives an overlap or takes the last.
// The more hostnames one covers, the more it costs when it comes or goes.
func (h *nested) count(hostname string, n int, changed func(hostname string)) {
	before := h.names[hostname]
	if h.names[hostname] += n; h.names[hostname] == 0 {
		delete(h.names, hostname)
	}
	if before > 0 && before+n > 0 {
		return
	}
	for key, ok := wider(hostname); ok; key, ok = wider(key) {
		had := h.beneath[key] > 0
		if h.beneath[key] += n; h.beneath[key] == 0 {
			delete(h.beneath, key)
		}
		if has := h.beneath[key] > 0; has != had && h.names[key] > 0 {
			changed(key)
		}
	}
	if h.beneath[hostname] == 0 {
		return
	}
	for other := range h.names {
		for key, ok := wider(other); ok; key, ok = wider(key) {
			if key == hostname {
				changed(other)
			}
		}
	}
}

// with reports whether the hostname covers another or is covered by one.
func (h *nested) with(hostname string) bool {
	if h.beneath[hostname] > 0 {
		return true
	}
	for key, ok := wider(hostname); ok; key, ok = wider(key) {
		if h.names[key] > 0 {
			return true
		}
	}
	return false
}

// wider is the next more general hostname: after a.shop.example that is
// *.shop.example, then *.example, then "" for any. It is false after that.
func wider(hostname string) (string, bool) {
	if hostname == "" {
		return "", false
	}
	_, rest, found := strings.Cut(strings.TrimPrefix(hostname, "*."), ".")
	if !found {
		return "", true
	}
	return "*." + rest, true
}
