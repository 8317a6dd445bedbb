package control

import (
	"slices"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/snapshot/tree"
	"github.com/sluicegateway/sluice/control/status"
	"github.com/sluicegateway/sluice/control/translate"
)

// State is what is in force at one instant. It is immutable and may be read by
// any number of goroutines.
type State struct {
	Snapshot *snapshot.Snapshot
	// View is what the objects were translated to.
	View translate.View
	// Report is the data plane's answer to the last change of the configuration.
	Report config.Report

	restored   *config.Delta // nil once the source has spoken
	controller gatewayv1.GatewayController
	statuses   tree.Map[snapshot.Key, status.Status] // those of View, with time stamps
	refused    []diagnostic.Diagnostic               // the source's
	locate     func(diagnostic.Diagnostic) diagnostic.Diagnostic
}

func newState(locate func(diagnostic.Diagnostic) diagnostic.Diagnostic, controller gatewayv1.GatewayController) *State {
	if locate == nil {
		locate = func(d diagnostic.Diagnostic) diagnostic.Diagnostic { return d }
	}
	return &State{
		Snapshot:   snapshot.New(),
		View:       translate.New(translate.Options{}).View(),
		controller: controller,
		statuses:   tree.New[snapshot.Key, status.Status](snapshot.Key.Compare),
		locate:     locate,
	}
}

// with begins the state that follows the update.
func (s *State) with(u Update) *State {
	next := *s
	next.Snapshot = s.Snapshot.With(u.Changes)
	next.refused = u.Diagnostics
	next.restored = nil
	return &next
}

// Config is the whole configuration in force: that of the View, or one of an
// earlier run as long as the source has not spoken.
func (s *State) Config() *config.Delta {
	if s.restored != nil {
		return s.restored
	}
	return s.View.Config()
}

// Restored reports whether a configuration of an earlier run is in force.
func (s *State) Restored() bool { return s.restored != nil }

// stamp takes the changed statuses over, with the time of each condition's last turn.
func (s *State) stamp(changed map[snapshot.Key]status.Status, now time.Time) {
	s.statuses = s.statuses.Edit()
	for key, next := range changed {
		if next.Empty() {
			s.statuses = s.statuses.Delete(key)
			continue
		}
		s.statuses = s.statuses.Set(key, status.Stamp(s.Status(key), next, now))
	}
}

// Status is what is said of one object; it is empty if nothing is.
func (s *State) Status(key snapshot.Key) status.Status {
	said, _ := s.statuses.Get(key)
	return said
}

// Objects are all objects with their statuses, ordered by key.
func (s *State) Objects() []snapshot.Object {
	all := make([]snapshot.Object, 0, s.Snapshot.Len())
	for key, object := range s.Snapshot.All() {
		if said, ok := s.statuses.Get(key); ok {
			object = status.On(object, said, s.controller)
		}
		all = append(all, object)
	}
	return all
}

// Diagnostics are those of the source, then those of the translation.
func (s *State) Diagnostics() []diagnostic.Diagnostic {
	all := slices.Clone(s.refused)
	for _, d := range s.View.Diagnostics() {
		all = append(all, s.Locate(d))
	}
	return all
}

// Findings counts the errors and warnings among the Diagnostics.
func (s *State) Findings() (errors, warnings int) {
	return CountFindings(slices.Concat(s.refused, s.View.Diagnostics()))
}

// CountFindings counts errors and warnings.
func CountFindings(all []diagnostic.Diagnostic) (errors, warnings int) {
	for _, d := range all {
		switch d.Severity {
		case diagnostic.Error:
			errors++
		case diagnostic.Warning:
			warnings++
		}
	}
	return errors, warnings
}

// Locate adds to a diagnostic about an object where it was written, as far as
// the source knows.
func (s *State) Locate(d diagnostic.Diagnostic) diagnostic.Diagnostic { return s.locate(d) }

// List is all of the state for people and programs.
func (s *State) List() List {
	return List{Objects: s.Objects(), Diagnostics: s.Diagnostics()}
}
