package translate_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/features"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
	"github.com/sluicegateway/sluice/control/translate"
)

const oneRoute = `kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: sluice
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
kind: HTTPRoute
metadata: {name: shop}
spec: {parentRefs: [{name: gw}]}
`

var gatewayKey = snapshot.Key{Kind: snapshot.KindGateway, Namespace: "default", Name: "gw"}

// GatewayClass.status.supportedFeatures "MUST be sorted in ascending
// alphabetical order by the Name key".
func TestSupportedFeatures(t *testing.T) {
	translator := translate.New(propertyOptions)
	translator.Update(snapshot.New().With(decode(t, oneRoute)), nil)
	class := translator.View().Status(snapshot.Key{Kind: snapshot.KindGatewayClass, Name: "sluice"}).GatewayClass
	var names []string
	for _, f := range class.SupportedFeatures {
		names = append(names, string(f.Name))
		if features.GetFeature(features.FeatureName(f.Name)).Name == "" {
			t.Errorf("the specification has no feature %s", f.Name)
		}
	}
	if !slices.IsSorted(names) || len(slices.Compact(names)) != len(names) {
		t.Errorf("not sorted, or not unique: %v", names)
	}
	for _, f := range features.HTTPRouteCoreFeatures.UnsortedList() {
		if !slices.Contains(names, string(f.Name)) {
			t.Errorf("the core feature %s is missing", f.Name)
		}
	}
}

// What has not changed makes no delta, and the version stays.
func TestUpdateWithoutEffect(t *testing.T) {
	translator := translate.New(propertyOptions)
	s := snapshot.New().With(decode(t, oneRoute))
	first := translator.Update(s, nil)
	if !first.Delta.Reset || first.Delta.Version != 1 {
		t.Errorf("first delta: reset %v, version %d", first.Delta.Reset, first.Delta.Version)
	}
	second := translator.Update(s, keys(decode(t, oneRoute)))
	if !second.Delta.Empty() || second.Delta.Version != 1 || len(second.Statuses) != 0 || len(second.Found) != 0 {
		t.Errorf("second update: %+v", second)
	}
}

// Even nothing is a configuration: the data plane must learn that it is in force.
func TestFirstDeltaIsAReset(t *testing.T) {
	first := translate.New(propertyOptions).Update(snapshot.New(), nil)
	if first.Delta.Empty() || first.Delta.Version != 1 {
		t.Errorf("first delta of an empty snapshot: %+v", first.Delta)
	}
}

// A report on an earlier configuration says nothing about listeners that have
// changed since.
func TestLateReport(t *testing.T) {
	translator := translate.New(propertyOptions)
	s := snapshot.New().With(decode(t, oneRoute))
	translator.Update(s, nil)
	change := decodeChanges(t, oneRoute)[:1]
	change[0].Object.(*gatewayv1.Gateway).Spec.Listeners[0].Port = 81
	translator.Update(s.With(change), keys(change))

	served := map[string]error{"default/gw/http": nil}
	translator.Served(config.Report{Version: 1, Listeners: served})
	if got := programmed(translator.View()); got != metav1.ConditionUnknown {
		t.Errorf("after the report on version 1: Programmed=%s", got)
	}
	result := translator.Served(config.Report{Version: 2, Listeners: served})
	if got := programmed(result.View); got != metav1.ConditionTrue {
		t.Errorf("after the report on version 2: Programmed=%s", got)
	}
	if _, ok := result.Statuses[gatewayKey]; !ok || !result.Delta.Empty() {
		t.Errorf("the report changed %v and %v", result.Statuses, result.Delta)
	}
}

func programmed(view translate.View) metav1.ConditionStatus {
	for _, c := range view.Status(gatewayKey).Gateway.Conditions {
		if c.Type == "Programmed" {
			return c.Status
		}
	}
	return ""
}

// Conditions: "MUST always update the observedGeneration field".
func TestObservedGeneration(t *testing.T) {
	changes := decode(t, oneRoute+`---
kind: ListenerSet
metadata: {name: more}
spec:
  parentRef: {name: gw}
  listeners: [{name: http, port: 81, protocol: HTTP}]
`)
	changes[0].Object.(*gatewayv1.Gateway).Spec.AllowedListeners = &gatewayv1.AllowedListeners{Namespaces: &gatewayv1.ListenerNamespaces{From: new(gatewayv1.NamespacesFromAll)}}
	for i, change := range changes {
		change.Object.SetGeneration(int64(10 + i))
	}
	s := snapshot.New().With(changes)
	translator := translate.New(propertyOptions)
	translator.Update(s, nil)
	seen := 0
	for key, said := range translator.View().Statuses() {
		for _, c := range conditions(said) {
			seen++
			if want := s.Object(key).GetGeneration(); c.ObservedGeneration != want {
				t.Errorf("%s: %s is of generation %d, want %d", key, c.Type, c.ObservedGeneration, want)
			}
		}
	}
	if seen < 16 {
		t.Errorf("only %d conditions", seen)
	}
}

func conditions(s status.Status) []metav1.Condition {
	var all []metav1.Condition
	switch {
	case s.GatewayClass != nil:
		all = s.GatewayClass.Conditions
	case s.Gateway != nil:
		all = slices.Clone(s.Gateway.Conditions)
		for _, l := range s.Gateway.Listeners {
			all = append(all, l.Conditions...)
		}
	case s.ListenerSet != nil:
		all = slices.Clone(s.ListenerSet.Conditions)
		for _, l := range s.ListenerSet.Listeners {
			all = append(all, l.Conditions...)
		}
	case s.Route != nil:
		for _, p := range s.Route.Parents {
			all = append(all, p.Conditions...)
		}
	}
	return all
}

// Objects are never changed once they are part of a snapshot.
func TestObjectsStayAsTheyAre(t *testing.T) {
	w := world{newRandom(1), t}
	var changes []snapshot.Change
	before := map[snapshot.Key]snapshot.Object{}
	for range 200 {
		object := w.object()
		key := snapshot.KeyOf(object)
		changes = append(changes, snapshot.Change{Key: key, Object: object})
		before[key] = object.DeepCopyObject().(snapshot.Object)
	}
	s := snapshot.New().With(changes)
	translate.New(propertyOptions).Update(s, nil)
	for key, object := range s.All() {
		if diff := cmp.Diff(before[key], object); diff != "" {
			t.Errorf("%s has changed:\n%s", key, diff)
		}
	}
}
