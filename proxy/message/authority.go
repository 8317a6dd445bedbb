package message

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// Errors of NormalizeAuthority.
var (
	errHost = errors.New("the host is neither a name of letters, digits, '-', '_', '.', '~' nor an IPv4 or a bracketed IPv6 address")
	errPort = errors.New("the port is not a number from 1 to 65535 without leading zeros")
)

// NormalizeAuthority checks a host with an optional port (RFC 3986 section 3.2)
// and returns it in lower case and without the dot that may end a full name.
//
// It takes less than the RFC does: no user information, no percent-encoding
// nor other signs that no DNS name has, no empty host, no empty port. It
// allocates nothing where raw is normal already.
func NormalizeAuthority(raw string) (string, error) {
	host, port, hasPort := raw, "", false
	if i := strings.LastIndexByte(raw, ':'); i >= 0 && !strings.HasSuffix(raw, "]") {
		host, port, hasPort = raw[:i], raw[i+1:], true
	}
	if hasPort && !validPort(port) {
		return "", errPort
	}
	name := strings.TrimSuffix(host, ".")
	if !validHost(name) {
		return "", errHost
	}
	if len(name) == len(host) {
		return strings.ToLower(raw), nil
	}
	if hasPort {
		name += ":" + port
	}
	return strings.ToLower(name), nil
}

// splitAuthority cuts a normalised authority; port 0 means none.
func splitAuthority(a string) (host string, port uint16) {
	i := strings.LastIndexByte(a, ':')
	if i < 0 || strings.HasSuffix(a, "]") {
		return a, 0
	}
	n, err := strconv.ParseUint(a[i+1:], 10, 16)
	if err != nil {
		return a, 0
	}
	return a[:i], uint16(n)
}

func validPort(s string) bool {
	if s == "" || s[0] < '1' || s[0] > '9' {
		return false
	}
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

func validHost(s string) bool {
	if strings.HasPrefix(s, "[") {
		return validIPv6(s)
	}
	dot := true // a label must not be empty
	for i := range len(s) {
		if s[i] == '.' && dot || !unreserved[s[i]] {
			return false
		}
		dot = s[i] == '.'
	}
	return !dot
}

func validIPv6(s string) bool {
	if !strings.HasSuffix(s, "]") {
		return false
	}
	addr, err := netip.ParseAddr(s[1 : len(s)-1])
	return err == nil && addr.Is6() && addr.Zone() == ""
}
