package explain

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluicegateway/sluice/config"
)

// Write prints the explanation for people.
func (e *Explanation) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "%s\n", e.Request)
	for _, note := range e.Notes {
		fmt.Fprintf(t, "  note\t%s\n", note)
	}
	fmt.Fprintf(t, "  address\t%s\n", e.Address)
	if e.TLS != nil {
		e.TLS.write(t)
	}
	if e.Listener != "" {
		fmt.Fprintf(t, "  listener\t%s\n", e.Listener)
	}
	if e.Match != nil {
		fmt.Fprintf(t, "  hostname\t%s\n", cmp.Or(e.Hostname, "any"))
		fmt.Fprintf(t, "  route\t%s\n", e.Match.Route)
		fmt.Fprintf(t, "  rule\t%s: %s\n", e.Match.place(), e.Match.Conditions)
	}
	for _, f := range e.Filters {
		fmt.Fprintf(t, "  filter\t%s\n", f)
	}
	if e.Answer != "" {
		fmt.Fprintf(t, "  answer\t%s\n", e.Answer)
	}
	for i := range e.Upstream {
		e.Upstream[i].write(t)
	}
	if len(e.Lost) > 0 {
		fmt.Fprintf(t, "\nWhat did not get it, and why\n")
	}
	for _, lost := range e.Lost {
		fmt.Fprintf(t, "  %s\t%s\n", lost.name(), lost.Reason)
	}
	if e.Omitted > 0 {
		fmt.Fprintf(t, "  and %d more\n", e.Omitted)
	}
	return t.Flush()
}

func (u *Upstream) write(w io.Writer) {
	fmt.Fprintf(w, "  backend\t%s, %d of %d requests\n", cmp.Or(u.Backend, "none"), u.Weight, u.Total)
	for _, f := range u.Filters {
		fmt.Fprintf(w, "  \t  filter %s\n", f)
	}
	if u.Sends != "" {
		fmt.Fprintf(w, "  \t  sends %s%s\n", u.Sends, byProtocol(u.Protocols))
	}
	for _, h := range u.Headers {
		fmt.Fprintf(w, "  \t  with %s\n", h)
	}
	if b := u.TLS; b != nil {
		fmt.Fprintf(w, "  \t  in TLS with server name %s; its certificate is to have %s and a signature of %s\n",
			b.ServerName, strings.Join(b.Names, " or "), strings.Join(b.Authorities, " or "))
		if b.Identity != "" {
			fmt.Fprintf(w, "  \t  showing %s if it asks for a certificate\n", b.Identity)
		}
	}
	if u.Answer != "" {
		fmt.Fprintf(w, "  \t  answers %s\n", u.Answer)
	}
	if len(u.Endpoints) > 0 {
		fmt.Fprintf(w, "  \t  to %s\n", strings.Join(u.Endpoints, ", "))
	}
}

// byProtocol says what the backend is spoken to in, but for plain HTTP/1.1.
func byProtocol(offered []string) string {
	switch {
	case len(offered) > 1:
		return " by HTTP/2 or HTTP/1.1, as the backend chooses"
	case slices.Contains(offered, "h2"):
		return " by HTTP/2"
	}
	return ""
}

func (h *Handshake) write(w io.Writer) {
	fmt.Fprintf(w, "  tls\tlistener %s takes %s: TLS %s, %s\n", h.Listener,
		cmp.Or(h.ServerName, "clients that ask for no name"), strings.Join(slices.Compact(h.Versions[:]), " and "), strings.Join(h.Protocols, " or "))
	for i := range h.Certificates {
		h.Certificates[i].write(w, len(h.Certificates) > 1)
	}
	switch h.Clients {
	case config.ClientAuthValidOnly:
		fmt.Fprintf(w, "  asks\tfor a certificate signed by %s; without, the handshake fails\n", strings.Join(h.Authorities, " or "))
	case config.ClientAuthInsecureFallback:
		fmt.Fprintf(w, "  asks\tfor a certificate signed by %s; without, the client goes on all the same\n", strings.Join(h.Authorities, " or "))
	}
	for _, m := range h.Misdirected {
		fmt.Fprintf(w, "  421\ton this connection for %s, which is for listener %s\n", m.Name, m.Listener)
	}
}

func (c *Certificate) write(w io.Writer, several bool) {
	to := ""
	switch {
	case several && len(c.ShownTo) == 0:
		to = ", to nobody who asks for this name"
	case several:
		to = " to " + strings.Join(c.ShownTo, " and ")
	}
	fmt.Fprintf(w, "  shows\t%s%s\n", c.Name, to)
	if c.Key != "" {
		fmt.Fprintf(w, "  \t  %s, for %s, until %s\n", c.Key, cmp.Or(strings.Join(c.Names, ", "), "no name"), c.Expires.UTC().Format(time.DateOnly))
		fmt.Fprintf(w, "  \t  issued by %s\n", cmp.Or(strings.Join(c.Issuers, ", issued by "), "itself"))
	}
	for _, fault := range c.Faults {
		fmt.Fprintf(w, "  \t  which %s, so clients will not trust it\n", fault)
	}
}

// place is `0 "cart", match 1`.
func (m *Match) place() string {
	if m.RuleName != "" {
		return fmt.Sprintf("%d %q, match %d", m.Rule, m.RuleName, m.Match)
	}
	return fmt.Sprintf("%d, match %d", m.Rule, m.Match)
}

func (l *Lost) name() string {
	if l.Match == nil {
		return l.What + " " + l.Name
	}
	return fmt.Sprintf("%s rule %s: %s", l.Match.Route, l.Match.place(), l.Match.Conditions)
}
