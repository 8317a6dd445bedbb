package translate

import (
	"errors"
	"syscall"

	"github.com/sluicegateway/sluice/config"
)

// served is what the data plane is known to do.
type served struct {
	report config.Report
	// since is the version that each listener of the configuration is of. A
	// report on an earlier one says nothing about it.
	since map[string]uint64
	// asked are those that nothing has been reported on since.
	asked map[string]struct{}
}

func newServed() served { return served{since: map[string]uint64{}, asked: map[string]struct{}{}} }

// expect notes what a delta asks of the data plane.
func (s *served) expect(delta *config.Delta) {
	for _, ref := range delta.Removed {
		if ref.Kind == config.KindListener {
			delete(s.since, ref.Name)
			delete(s.asked, ref.Name)
		}
	}
	for _, l := range delta.Listeners {
		s.since[l.Name] = delta.Version
		s.asked[l.Name] = struct{}{}
	}
}

// takeReport keeps the report and unsettles the Gateways and ListenerSets that it
// says something new about.
func (t *Translator) takeReport(report config.Report) {
	if report.Version < t.served.report.Version {
		return
	}
	before := t.served
	t.served.report = report
	compare := func(name string) {
		if before.of(name) != t.served.of(name) {
			t.work.unsettled[ownerOf(name)] = struct{}{}
			t.reserve = true
		}
	}
	for name := range t.served.asked {
		compare(name)
		if t.served.of(name).known {
			delete(t.served.asked, name)
		}
	}
	for name := range before.report.Listeners {
		compare(name)
	}
	for name := range report.Listeners {
		compare(name)
	}
}

// answer is what the data plane says of one listener.
type answer struct {
	// known is false as long as it has said nothing.
	known bool
	// failure is why the listener is not served, and fix what to do.
	failure, fix string
	// partly says that it is served, and only HTTP/3 fails.
	partly bool
	// waiting is what is waited for as long as it is not known; often empty.
	waiting string
	// nobody says that nobody serves it, rather than that not all do yet.
	nobody bool
}

func (s *served) of(listener string) answer {
	since, expected := s.since[listener]
	err := s.report.Listeners[listener]
	switch {
	case !expected || s.report.Version < since:
		return answer{}
	case err != nil:
		_, partly := errors.AsType[*config.HTTP3Error](err)
		return answer{known: true, failure: err.Error(), fix: fixBinding(err), partly: partly}
	}
	return answer{known: true}
}

// fixBinding says what to do where the system lets nobody listen.
func fixBinding(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "end the program that has the port, or take another port; it is tried again every few seconds"
	case errors.Is(err, syscall.EACCES):
		return "take a port above 1023, or give sluice the capability CAP_NET_BIND_SERVICE"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "write an address of this host in spec.addresses, or none for all of them"
	}
	return ""
}
