package explain

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Write prints the explanation for people.
func (e *Explanation) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "%s\n", e.Request)
	for _, note := range e.Notes {
		fmt.Fprintf(t, "  note\t%s\n", note)
	}
	fmt.Fprintf(t, "  address\t%s\n", e.Address)
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
		fmt.Fprintf(w, "  \t  sends %s%s\n", u.Sends, map[bool]string{true: " by HTTP/2"}[u.HTTP2])
	}
	for _, h := range u.Headers {
		fmt.Fprintf(w, "  \t  with %s\n", h)
	}
	if u.Answer != "" {
		fmt.Fprintf(w, "  \t  answers %s\n", u.Answer)
	}
	if len(u.Endpoints) > 0 {
		fmt.Fprintf(w, "  \t  to %s\n", strings.Join(u.Endpoints, ", "))
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
