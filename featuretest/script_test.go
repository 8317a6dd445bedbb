package featuretest

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// exchange is one exchange of a part "requests".
type exchange struct {
	text   string
	repeat int
	// request is what the client writes, address where.
	request []byte
	address string
	method  string
	// tls says that the request goes in TLS, serverName what it asks for then.
	tls        bool
	serverName string

	// backends are what the backends must have got, unless unknown.
	backends []backendWant
	nobody   bool

	status  int
	refused string // the alert
	after   *time.Duration
	fields  []string
}

// backendWant is a line "=" with its fields.
type backendWant struct {
	name   string
	count  int    // of requests, 0 for one
	line   string // method and target
	fields []string
}

// parseExchange reads one exchange; doc.go says how it is written.
func parseExchange(text string) (*exchange, error) {
	e := &exchange{text: text, repeat: 1, address: "10.0.0.1:80", method: "GET"}
	var head, body []string
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		mark, rest, _ := strings.Cut(line, " ")
		var err error
		switch mark {
		case "x":
			e.repeat, err = strconv.Atoi(rest)
		case ">>":
			e.request = append(e.request, rest+"\r\n"...)
		case ">":
			if content, isBody := strings.CutPrefix(rest, "["); isBody {
				body = append(body, content)
			} else {
				head = append(head, rest)
			}
		case "=":
			err = e.wantBackend(rest)
		case "<":
			err = e.wantResponse(rest)
		default:
			err = fmt.Errorf("want a line to begin with x, >, >>, = or <")
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
	}
	if len(head) > 0 {
		return e, e.compose(head, strings.Join(body, "\n"))
	}
	return e, nil
}

// compose writes the request of the lines with ">".
func (e *exchange) compose(head []string, body string) error {
	words := strings.Fields(head[0])
	if len(words) < 2 {
		return fmt.Errorf("%q: want METHOD URL, and perhaps @ADDRESS and sni=NAME", head[0])
	}
	target, err := url.Parse(words[1])
	if err != nil {
		return err
	}
	e.method = words[0]
	if e.tls = target.Scheme == "https"; e.tls {
		e.address, e.serverName = "10.0.0.1:443", target.Hostname()
	}
	for _, word := range words[2:] {
		if address, ok := strings.CutPrefix(word, "@"); ok {
			e.address = address
		} else if name, ok := strings.CutPrefix(word, "sni="); ok {
			e.serverName = name
		} else {
			return fmt.Errorf("%q: want @ADDRESS or sni=NAME", word)
		}
	}
	e.request = fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n", e.method, target.RequestURI(), target.Host)
	for _, field := range head[1:] {
		e.request = append(e.request, field+"\r\n"...)
	}
	if body != "" {
		e.request = fmt.Appendf(e.request, "Content-Length: %d\r\n", len(body))
	}
	e.request = append(e.request, "\r\n"+body...)
	return nil
}

func (e *exchange) wantBackend(rest string) error {
	if rest == "none" {
		e.nobody = true
		return nil
	}
	if strings.Contains(strings.SplitN(rest, " ", 2)[0], ":") {
		if len(e.backends) == 0 {
			return fmt.Errorf("a field before the backend that got it")
		}
		last := &e.backends[len(e.backends)-1]
		last.fields = append(last.fields, rest)
		return nil
	}
	name, line, _ := strings.Cut(rest, " ")
	want := backendWant{name: name, line: line}
	if count, err := strconv.Atoi(line); err == nil {
		want.count, want.line = count, ""
	}
	e.backends = append(e.backends, want)
	return nil
}

func (e *exchange) wantResponse(rest string) (err error) {
	if strings.Contains(strings.SplitN(rest, " ", 2)[0], ":") {
		e.fields = append(e.fields, rest)
		return nil
	}
	if alert, ok := strings.CutPrefix(rest, "refused "); ok {
		e.refused = alert
		return nil
	}
	status, after, timed := strings.Cut(rest, " after ")
	if timed {
		d, err := time.ParseDuration(after)
		if err != nil {
			return err
		}
		e.after = &d
	}
	e.status, err = strconv.Atoi(status)
	return err
}
