package cli

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/sluicegateway/sluice/config"
)

// Bounds of the summary: it is a help for small configurations.
const (
	maxSummaryRows = 30
	maxTries       = 8
)

// summarize prints what listens where, the routes, and requests to try.
func summarize(w io.Writer, c *config.Delta, r config.Report, adminAddress string) error {
	fmt.Fprintln(w)
	if err := listenerSummary(w, c, r); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := routeSummary(w, c); err != nil {
		return err
	}
	if tries := triesOf(c); len(tries) > 0 {
		fmt.Fprintf(w, "\nTry\n  %s\n", strings.Join(tries, "\n  "))
	}
	_, err := fmt.Fprintf(w, "\nAdmin   http://%s\n\n", adminAddress)
	return err
}

func listenerSummary(w io.Writer, c *config.Delta, r config.Report) error {
	t := newTable(w, "LISTENER", "ADDRESS", "PROTOCOL", "HOSTNAME", "STATUS")
	for i, l := range c.Listeners {
		if i == maxSummaryRows {
			t.row(fmt.Sprintf("and %d more", len(c.Listeners)-i), "", "", "", "")
			break
		}
		status := "serving"
		if err := r.Listeners[l.Name]; err != nil {
			status = err.Error()
		}
		t.row(l.Name, strings.Join(binds(l), ","), string(l.Protocol), cmp.Or(l.Hostname, "*"), status)
	}
	return t.end("nothing: no listener can be served; sluice check says why")
}

func binds(l *config.Listener) []string {
	if len(l.Addresses) == 0 {
		return []string{fmt.Sprintf("*:%d", l.Port)}
	}
	var all []string
	for _, a := range l.Addresses {
		all = append(all, netip.AddrPortFrom(a, l.Port).String())
	}
	return all
}

func routeSummary(w io.Writer, c *config.Delta) error {
	t := newTable(w, "ROUTE", "RULE", "HOSTNAMES", "MATCH", "GOES TO")
	for _, r := range c.Routes {
		for i := range r.Rules {
			rule := &r.Rules[i]
			for j := range rule.Matches {
				if t.rows == maxSummaryRows {
					t.row("and more: sluice get routes", "", "", "", "")
					return t.end("")
				}
				t.row(strings.TrimPrefix(r.Name, "httproute/"), cmp.Or(rule.Name, fmt.Sprint(i)), hostnames(r), rule.Matches[j].String(), destination(rule))
			}
		}
	}
	return t.end("no routes")
}

func hostnames(r *config.Route) string {
	seen := map[string]bool{}
	var all []string
	for _, a := range r.Attachments {
		for _, h := range a.Hostnames {
			if !seen[h] {
				seen[h] = true
				all = append(all, cmp.Or(h, "*"))
			}
		}
	}
	return strings.Join(all, ",")
}

// destination is where the rule's requests go, with shares where there are several.
func destination(r *config.Rule) string {
	switch {
	case r.Fault != nil:
		return fmt.Sprintf("%d: %s", r.Fault.Status, r.Fault.Reason)
	case r.Filters.Redirect != nil:
		return fmt.Sprintf("redirect %d", r.Filters.Redirect.Status)
	}
	var all []string
	for _, b := range r.Backends {
		name := b.Backend
		if b.Fault != nil {
			name = fmt.Sprintf("%d: %s", b.Fault.Status, b.Fault.Reason)
		}
		if len(r.Backends) > 1 {
			name = fmt.Sprintf("%s (%d)", name, b.Weight)
		}
		all = append(all, name)
	}
	return cmp.Or(strings.Join(all, ", "), "500: no backends")
}

// triesOf are curl lines that reach the rules, as far as a request can be read
// off their matches.
func triesOf(c *config.Delta) []string {
	listeners := map[string]*config.Listener{}
	for _, l := range c.Listeners {
		listeners[l.Name] = l
	}
	var all []string
	for _, r := range c.Routes {
		for i := range r.Rules {
			a := r.Attachments[0]
			line := try(listeners[a.Listener], a.Hostnames[0], &r.Rules[i].Matches[0])
			if line != "" && len(all) < maxTries {
				all = append(all, line)
			}
		}
	}
	return all
}

// try is a curl line for the match, or empty where an expression would have to be
// guessed, and for gRPC, which curl does not speak.
func try(l *config.Listener, hostname string, m *config.Match) string {
	if l == nil || m.RPC != nil || m.Path.Type == config.PathRegex {
		return ""
	}
	address := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if len(l.Addresses) > 0 {
		address = l.Addresses[0]
	}
	flags, url := reach(l, netip.AddrPortFrom(address, l.Port), strings.Replace(hostname, "*", "www", 1))
	line, url := "curl", url+m.Path.Value
	if m.Method != "" {
		line += " -X " + m.Method
	}
	line += flags
	for _, h := range m.Headers {
		if h.Regex {
			return ""
		}
		line += " -H " + quote(h.Name+": "+h.Value)
	}
	for i, q := range m.Query {
		if q.Regex {
			return ""
		}
		url += map[bool]string{true: "?", false: "&"}[i == 0] + q.Name + "=" + q.Value
	}
	return line + " " + quote(url)
}

// reach is how curl sends a request for the hostname, which may be empty, to the
// address. In TLS the hostname must be the URL's, because the handshake is about
// it; and whether curl trusts the certificate is not known here.
func reach(l *config.Listener, address netip.AddrPort, hostname string) (flags, url string) {
	switch {
	case l.Protocol == config.ProtocolHTTPS && hostname != "":
		host := fmt.Sprintf("%s:%d", hostname, address.Port())
		ip := address.Addr().String()
		if address.Addr().Is6() {
			ip = "[" + ip + "]"
		}
		return " -k --resolve " + quote(host+":"+ip), "https://" + host
	case l.Protocol == config.ProtocolHTTPS:
		return " -k", "https://" + address.String()
	case hostname != "":
		return " -H " + quote("Host: "+hostname), "http://" + address.String()
	}
	return "", "http://" + address.String()
}

// quote quotes for a shell where it must.
func quote(s string) string {
	if !strings.ContainsAny(s, " ?&'\"$`\\*;|<>()[]{}!#~") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
