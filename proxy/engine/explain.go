package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy"
	"github.com/sluicegateway/sluice/proxy/filter"
	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/route"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// Explanation is what happens to one request, and why. JSON names are part of
// `sluice explain -o json`.
type Explanation struct {
	// Bind is the address that the request comes in on.
	Bind netip.AddrPort `json:"bind"`
	// Search is how the rule was found.
	Search route.Trace `json:"search"`
	// Rule is the one that serves the request, nil if none does.
	Rule *route.Place `json:"rule,omitempty"`
	// Status is the answer if the proxy answers itself, else 0.
	Status int `json:"status,omitempty"`
	// Reason says why the proxy answers itself.
	Reason string `json:"reason,omitempty"`
	// Response has the fields of the proxy's own answer.
	Response []message.Field `json:"response,omitempty"`
	// Filters are the rule's and the backendRef's, in words, in the order in
	// which they run.
	Filters []string `json:"filters,omitempty"`
	// Backends are the rule's backends with their shares. Which one a request
	// takes is a matter of turns where more than one has a share.
	Backends []Share `json:"backends,omitempty"`
}

// Share is one backend of a rule.
type Share struct {
	Backend string `json:"backend"`
	// Percent of the rule's requests.
	Percent float64 `json:"percent"`
	// Status and Reason are set where the reference cannot be served.
	Status int    `json:"status,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Endpoints are those that take requests, in turn.
	Endpoints []string `json:"endpoints,omitempty"`
	// Request is the first line and the fields that the backend gets.
	Request []string `json:"request,omitempty"`
}

// Explain runs the router that serves, with a tracer, on a request as a client
// would send it. bind may have no address: then any socket of that port will do.
// It may be called from any goroutine.
func (e *Engine) Explain(bind netip.AddrPort, r *message.Request) (*Explanation, error) {
	e.mu.Lock()
	listeners := make([]*config.Listener, 0, len(e.listeners))
	for _, l := range e.listeners {
		listeners = append(listeners, l)
	}
	e.mu.Unlock()
	return explain(e.shared.State.Load().Table, listeners, bind, r)
}

// Explain is [Engine.Explain] for a whole configuration that nobody serves.
func Explain(d *config.Delta, bind netip.AddrPort, r *message.Request) (*Explanation, error) {
	c := offline()
	defer c.backends.Close()
	c.backends.Apply(d)
	table, err := new(route.Table[*proxy.Action]).Apply(d, c.action)
	if err != nil {
		return nil, err
	}
	return explain(table, d.Listeners, bind, r)
}

func explain(table *route.Table[*proxy.Action], listeners []*config.Listener, bind netip.AddrPort, r *message.Request) (*Explanation, error) {
	bind, err := findBind(listeners, bind)
	if err != nil {
		return nil, err
	}
	x := &Explanation{Bind: bind}
	socket := table.Socket(bind)
	m := route.Match[*proxy.Action]{Trace: &x.Search}
	if !socket.Match(r, &m) {
		x.Status, x.Reason = 404, "no rule matches"
		return x, nil
	}
	for i := range x.Search.Candidates {
		if c := &x.Search.Candidates[i]; c.Won {
			x.Rule = &c.Place
		}
	}
	x.follow(&m, r)
	return x, nil
}

// findBind finds the socket that a request for that address would come in on.
func findBind(listeners []*config.Listener, want netip.AddrPort) (netip.AddrPort, error) {
	var all []netip.AddrPort
	for _, l := range listeners {
		all = append(all, binds(l)...)
	}
	slices.SortFunc(all, netip.AddrPort.Compare)
	all = slices.Compact(all)
	best, found := netip.AddrPort{}, false
	for _, b := range all {
		switch {
		case b == want:
			return b, nil
		case b.Port() == want.Port() && (b.Addr().IsUnspecified() || !want.Addr().IsValid() && !found):
			best, found = b, true
		}
	}
	if !found {
		return best, fmt.Errorf("no listener has port %d; there are %v", want.Port(), all)
	}
	return best, nil
}

// follow does with the request what its rule says.
func (x *Explanation) follow(m *route.Match[*proxy.Action], r *message.Request) {
	rule := m.Rule
	action := rule.Action
	if action.Fault != nil {
		x.Status, x.Reason = action.Fault.Status, action.Fault.Reason
		return
	}
	x.Filters = describe(&rule.Rule.Filters, "")
	var fx filter.Exchange
	fx.Begin(r, "http", x.Bind.Port(), m.Prefix)
	if resp := action.Filters.Request(&fx); resp != nil {
		x.Status, x.Reason = resp.Status, "a filter of the rule answers"
		x.Response = slices.Clone(resp.Header.Fields)
		return
	}
	if x.share(rule.Rule.Backends, action.Targets, &fx, r); len(x.Backends) == 0 {
		x.Status, x.Reason = 500, "the rule has no backend that takes requests"
	}
}

// share lists the backends that take requests.
func (x *Explanation) share(refs []config.BackendRef, targets []proxy.Target, fx *filter.Exchange, r *message.Request) {
	var total int64
	for i := range refs {
		total += int64(refs[i].Weight)
	}
	for i := range refs {
		ref, target := &refs[i], &targets[i]
		if ref.Weight == 0 {
			continue
		}
		s := Share{Backend: ref.Backend, Percent: 100 * float64(ref.Weight) / float64(total)}
		if target.Fault != nil {
			s.Status, s.Reason = target.Fault.Status, target.Fault.Reason
		} else {
			s.Endpoints = endpoints(target.Backend)
			if len(s.Endpoints) == 0 {
				s.Status, s.Reason = 503, upstream.ErrNoEndpoints.Error()
			}
			s.Request = arrives(target, fx, r)
		}
		x.Filters = append(x.Filters, describe(&ref.Filters, " (for "+cmp.Or(ref.Backend, "an invalid backend")+")")...)
		x.Backends = append(x.Backends, s)
	}
}

func endpoints(b *upstream.Backend) []string {
	var all []string
	for _, e := range b.Usable() {
		all = append(all, e.String())
	}
	return all
}

// arrives is the request as the backend gets it, without the fields that every
// proxied request gets.
func arrives(t *proxy.Target, fx *filter.Exchange, r *message.Request) []string {
	before := r.Clone()
	defer func() { *r = *before }() // the filters of the next backendRef begin anew
	t.Filters.Request(fx)
	target := r.Path
	if r.HasQuery {
		target += "?" + r.Query
	}
	lines := []string{r.Method + " " + target, "Host: " + r.Authority}
	for _, f := range r.Header.Fields {
		lines = append(lines, f.Name+": "+f.Value)
	}
	return lines
}

// describe says in words what filters do.
func describe(f *config.Filters, where string) []string {
	var all []string
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)+where) }
	if f.CORS != nil {
		say("CORS for %v", f.CORS.AllowOrigins)
	}
	if f.Redirect != nil {
		say("redirect with %d", f.Redirect.Status)
	}
	if f.RequestHeaders != nil {
		say("request headers: %s", modifies(f.RequestHeaders))
	}
	if f.Rewrite != nil {
		say("URL rewrite")
	}
	for i := range f.Mirrors {
		m := &f.Mirrors[i]
		say("mirror %d of %d requests to %s", m.Numerator, m.Denominator, m.Backend)
	}
	if f.ResponseHeaders != nil {
		say("response headers: %s", modifies(f.ResponseHeaders))
	}
	return all
}

func modifies(m *config.HeaderModifier) string {
	var parts []string
	for _, h := range m.Set {
		parts = append(parts, "set "+h.Name)
	}
	for _, h := range m.Add {
		parts = append(parts, "add "+h.Name)
	}
	for _, name := range m.Remove {
		parts = append(parts, "remove "+name)
	}
	return fmt.Sprint(parts)
}

// offline compiles for nobody's sockets.
func offline() *compiler {
	return &compiler{
		backends: upstream.NewBackends(upstream.Options{Workers: 1, Resolver: noResolver{}, Log: slog.New(slog.DiscardHandler)}),
		metrics:  observe.NewMetrics(1, nil),
		workers:  1,
	}
}

// noResolver is for explanations that ask nobody.
type noResolver struct{}

func (noResolver) Resolve(context.Context, string) (upstream.Answer, error) {
	return upstream.Answer{}, errors.New("names are not resolved offline")
}
