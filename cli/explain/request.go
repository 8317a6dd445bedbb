package explain

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/grpc"
	"github.com/sluicegateway/sluice/proxy/http1"
	"github.com/sluicegateway/sluice/proxy/message"
)

// Request describes the request to explain.
type Request struct {
	// Method is GET if it is empty, or POST if the scheme is one of gRPC.
	Method string `json:"method,omitempty"`
	// URL is absolute; its scheme is http if it has none. Those of gRPC are grpc
	// and grpcs, which stand for http and https.
	URL string `json:"url"`
	// Headers are "name: value".
	Headers []string `json:"headers,omitempty"`

	parsed *url.URL
	grpc   bool
}

// message is the request as the router would see it: written as a client writes it,
// and read by the parser that serves.
func (r *Request) message() (*message.Request, error) {
	if !strings.Contains(r.URL, "://") {
		r.URL = "http://" + r.URL
	}
	parsed, err := url.Parse(r.URL)
	if err != nil {
		return nil, fmt.Errorf("URL: %w", err)
	}
	if err := r.readScheme(parsed); err != nil {
		return nil, err
	}
	if _, err := message.NormalizeAuthority(parsed.Host); err != nil {
		return nil, fmt.Errorf("URL %s: %w", r.URL, err)
	}
	r.parsed = parsed
	head, err := r.head()
	if err != nil {
		return nil, err
	}
	parser := http1.Parser{Limits: http1.DefaultLimits}
	m := &message.Request{}
	if _, err := parser.Request(head, m); err != nil {
		return nil, fmt.Errorf("such a request is answered with %w", err)
	}
	m.Scheme = parsed.Scheme
	return m, nil
}

// readScheme makes a URL of gRPC one of HTTP, and completes the request.
func (r *Request) readScheme(parsed *url.URL) error {
	switch parsed.Scheme {
	case "http", "https":
		r.Method = cmp.Or(r.Method, "GET")
	case "grpc", "grpcs":
		parsed.Scheme = strings.Replace(parsed.Scheme, "grpc", "http", 1)
		r.Method = cmp.Or(r.Method, "POST")
		r.grpc = true
	default:
		return fmt.Errorf("URL %s: scheme %s is not served; write http://HOST[:PORT]/PATH or grpc://HOST[:PORT]/SERVICE/METHOD, or https or grpcs", r.URL, parsed.Scheme)
	}
	return nil
}

// head is the request's head. A Host among the headers takes the place of the
// URL's, as with curl.
func (r *Request) head() ([]byte, error) {
	target := cmp.Or(r.parsed.EscapedPath(), "/")
	if r.parsed.RawQuery != "" || r.parsed.ForceQuery {
		target += "?" + r.parsed.RawQuery
	}
	lines := []string{r.Method + " " + target + " HTTP/1.1"}
	host := "Host: " + r.parsed.Host
	for _, h := range r.Headers {
		name, value, ok := strings.Cut(h, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case !ok || name == "":
			return nil, fmt.Errorf("header %q: write 'name: value'", h)
		case strings.EqualFold(name, "Host"):
			host = "Host: " + value
		default:
			lines = append(lines, name+": "+value)
		}
	}
	if r.grpc {
		lines = append(lines, "Content-Type: "+grpc.ContentType, "TE: trailers")
	}
	lines = append(lines, host)
	for _, line := range lines {
		if strings.ContainsAny(line, "\r\n") {
			return nil, fmt.Errorf("%q: no part of a request holds the end of a line", line)
		}
	}
	return []byte(strings.Join(lines, "\r\n") + "\r\n\r\n"), nil
}

func (r *Request) hasPort() bool { return r.parsed.Port() != "" }

func (r *Request) port() uint16 {
	if port, err := strconv.ParseUint(r.parsed.Port(), 10, 16); err == nil {
		return uint16(port)
	}
	if r.parsed.Scheme == "https" {
		return 443
	}
	return 80
}

// protocol is that of the listeners that the request can go to.
func (r *Request) protocol() config.Protocol {
	return config.Protocol(strings.ToUpper(r.parsed.Scheme))
}

// serverName is what the client asks for in the TLS handshake: the host of the
// URL, unless it is an address (RFC 6066, section 3).
func (r *Request) serverName() string {
	name := strings.ToLower(r.parsed.Hostname())
	if _, err := netip.ParseAddr(name); err == nil {
		return ""
	}
	return name
}
