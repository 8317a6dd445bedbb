package translate

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/snapshot/tree"
	"github.com/sluicegateway/sluice/control/status"
)

// View is everything that a translation says at one instant. It is immutable
// and may be read by any number of goroutines.
type View struct {
	version     uint64
	listeners   tree.Map[string, *config.Listener]
	routes      tree.Map[string, *config.Route]
	backends    tree.Map[string, *config.Backend]
	statuses    tree.Map[snapshot.Key, status.Status]
	diagnostics tree.Map[unit, []diagnostic.Diagnostic]
}

func newView() View {
	return View{
		listeners:   tree.New[string, *config.Listener](strings.Compare),
		routes:      tree.New[string, *config.Route](strings.Compare),
		backends:    tree.New[string, *config.Backend](strings.Compare),
		statuses:    tree.New[snapshot.Key, status.Status](snapshot.Key.Compare),
		diagnostics: tree.New[unit, []diagnostic.Diagnostic](compareUnits),
	}
}

// Config is the whole configuration, as a Delta with Reset, ordered by name.
func (v View) Config() *config.Delta {
	return &config.Delta{
		Version:   v.version,
		Reset:     true,
		Listeners: values(v.listeners),
		Routes:    values(v.routes),
		Backends:  values(v.backends),
	}
}

func values[V any](m tree.Map[string, V]) []V {
	all := make([]V, 0, m.Len())
	for _, value := range m.All() {
		all = append(all, value)
	}
	return all
}

// Status is what is said of one object; it is empty if nothing is.
func (v View) Status(key snapshot.Key) status.Status {
	s, _ := v.statuses.Get(key)
	return s
}

// Statuses yields all statuses, ordered by key.
func (v View) Statuses() iter.Seq2[snapshot.Key, status.Status] { return v.statuses.All() }

// Diagnostics are all findings, ordered by object and field.
func (v View) Diagnostics() []diagnostic.Diagnostic {
	var all []diagnostic.Diagnostic
	for _, found := range v.diagnostics.All() {
		all = append(all, found...)
	}
	slices.SortStableFunc(all, compareDiagnostics)
	return all
}

func compareUnits(a, b unit) int {
	return cmp.Or(cmp.Compare(a.stage, b.stage), a.key.Compare(b.key))
}

func compareRefs(a, b config.Ref) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

func compareDiagnostics(a, b diagnostic.Diagnostic) int {
	return cmp.Or(a.Object.Compare(b.Object), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Message, b.Message))
}
