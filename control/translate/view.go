package translate

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/provision"
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
	wanted      tree.Map[snapshot.Key, provision.Wanted]
	serving     map[string]provision.Serving
}

func newView() View {
	return View{
		listeners:   tree.New[string, *config.Listener](strings.Compare),
		routes:      tree.New[string, *config.Route](strings.Compare),
		backends:    tree.New[string, *config.Backend](strings.Compare),
		statuses:    tree.New[snapshot.Key, status.Status](snapshot.Key.Compare),
		diagnostics: tree.New[unit, []diagnostic.Diagnostic](compareUnits),
		wanted:      tree.New[snapshot.Key, provision.Wanted](snapshot.Key.Compare),
	}
}

// edit returns the view for the changes of one update. See [tree.Map.Edit].
func (v View) edit() View {
	v.listeners, v.routes, v.backends = v.listeners.Edit(), v.routes.Edit(), v.backends.Edit()
	v.statuses, v.diagnostics, v.wanted = v.statuses.Edit(), v.diagnostics.Edit(), v.wanted.Edit()
	return v
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

// Wanted is what a Gateway needs in the cluster. It must not be changed.
func (v View) Wanted(gateway snapshot.Key) provision.Wanted {
	wanted, _ := v.wanted.Get(gateway)
	return wanted
}

// AllWanted yields what all Gateways need, ordered by key.
func (v View) AllWanted() iter.Seq2[snapshot.Key, provision.Wanted] { return v.wanted.All() }

// Serving is what this replica serves, by "namespace/gateway", as far as its data
// plane has reported. It must not be changed.
func (v View) Serving() map[string]provision.Serving { return v.serving }

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
