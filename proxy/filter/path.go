package filter

import (
	"fmt"
	"strings"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/message"
)

// compilePath brings the replacements of a PathModifier into the form of a
// request's path. A replaced prefix loses its trailing slash, as the matched
// prefix did.
func compilePath(p *config.PathModifier) *config.PathModifier {
	switch {
	case p == nil:
		return nil
	case p.Prefix:
		return &config.PathModifier{Prefix: true, Replacement: strings.TrimSuffix(cleanPath(p.Replacement), "/")}
	}
	return &config.PathModifier{Full: cleanPath(p.Full)}
}

// cleanPath makes a path of what a user wrote: absolute, and with nothing in
// it that would end the path or the line that it is sent in.
func cleanPath(s string) string {
	var b strings.Builder
	if !strings.HasPrefix(s, "/") {
		b.WriteByte('/')
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '?' || c == '#' || c == '\\' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	if path, err := message.NormalizePath(b.String()); err == nil {
		return path
	}
	return b.String()
}

// replacePath returns the modified path; a nil modifier changes nothing, nor
// does any modifier change "*", which is no path.
func replacePath(p *config.PathModifier, path, prefix string) string {
	switch {
	case p == nil || path == "*":
		return path
	case !p.Prefix:
		return p.Full
	}
	rest := strings.TrimPrefix(path, strings.TrimSuffix(prefix, "/"))
	switch {
	case p.Replacement == "" && rest == "":
		return "/"
	case p.Replacement == "":
		return rest
	case rest == "":
		return p.Replacement
	}
	return p.Replacement + rest
}
