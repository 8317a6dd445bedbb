package explain

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/sluicegateway/sluice/proxy/message"
)

// Request describes the request to explain.
type Request struct {
	// Method is GET if it is empty.
	Method string `json:"method,omitempty"`
	// URL is absolute; its scheme is http if it has none.
	URL string `json:"url"`
	// Headers are "name: value".
	Headers []string `json:"headers,omitempty"`

	parsed *url.URL
}

// message is the request as the router would see it.
func (r *Request) message() (*message.Request, error) {
	if r.Method == "" {
		r.Method = "GET"
	}
	if !strings.Contains(r.URL, "://") {
		r.URL = "http://" + r.URL
	}
	parsed, err := url.Parse(r.URL)
	if err != nil {
		return nil, fmt.Errorf("URL: %w", err)
	}
	if parsed.Scheme != "http" {
		return nil, fmt.Errorf("URL %s: scheme %s is not served; write http://HOST[:PORT]/PATH", r.URL, parsed.Scheme)
	}
	r.parsed = parsed
	m := &message.Request{
		Method: r.Method, Scheme: parsed.Scheme, Major: 1, Minor: 1,
		Query: parsed.RawQuery, HasQuery: parsed.RawQuery != "" || parsed.ForceQuery,
	}
	if m.Authority, err = message.NormalizeAuthority(parsed.Host); err != nil {
		return nil, fmt.Errorf("URL %s: %w", r.URL, err)
	}
	path := parsed.EscapedPath()
	if path == "" {
		path = "/"
	}
	if m.Path, err = message.NormalizePath(path); err != nil {
		return nil, fmt.Errorf("URL %s: %w; such a request is answered with 400", r.URL, err)
	}
	return m, r.addHeaders(m)
}

// addHeaders reads the headers. Host takes the place of the URL's, as with curl.
func (r *Request) addHeaders(m *message.Request) error {
	for _, h := range r.Headers {
		name, value, ok := strings.Cut(h, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" {
			return fmt.Errorf("header %q: write 'name: value'", h)
		}
		if !strings.EqualFold(name, "Host") {
			m.Header.Add(name, value)
			continue
		}
		authority, err := message.NormalizeAuthority(value)
		if err != nil {
			return fmt.Errorf("header %q: %w", h, err)
		}
		m.Authority = authority
	}
	return nil
}

func (r *Request) hasPort() bool { return r.parsed.Port() != "" }

func (r *Request) port() uint16 {
	if port, err := strconv.ParseUint(r.parsed.Port(), 10, 16); err == nil {
		return uint16(port)
	}
	return 80
}
