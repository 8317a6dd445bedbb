package config

import (
	"slices"
	"strings"
)

// connectionFields frame one message or concern one connection (RFC 9110
// section 7.6.1), in lower case.
var connectionFields = []string{
	"connection", "content-length", "expect", "keep-alive", "proxy-connection",
	"te", "trailer", "transfer-encoding", "upgrade",
}

// IsConnectionField reports whether a header field is a matter of each
// connection. The data plane writes such fields itself, and no HeaderModifier
// changes them: one beside what it writes would let two readers disagree on
// where a message ends.
func IsConnectionField(name string) bool {
	return slices.Contains(connectionFields, strings.ToLower(name))
}
