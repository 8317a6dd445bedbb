package translate_test

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/translate"
)

// Who may write policies must not slow down everybody by thousands of them for one
// target: a change of one that does not go first is no work for the others.
func TestPolicyThatDoesNotGoFirstConcernsNoOther(t *testing.T) {
	for _, policy := range []func(metav1.ObjectMeta) snapshot.Object{backendPolicyOn, clientPolicyOn} {
		few, many := costOfAChange(t, policy, 10), costOfAChange(t, policy, 1000)
		if many > 2*few {
			t.Errorf("%T: a change costs %v allocations beside 10 policies and %v beside 1000", policy(metav1.ObjectMeta{}), few, many)
		}
	}
}

func backendPolicyOn(meta metav1.ObjectMeta) snapshot.Object {
	p := &gatewayv1.BackendTLSPolicy{ObjectMeta: meta}
	p.Spec.TargetRefs = []gatewayv1.LocalPolicyTargetReferenceWithSectionName{{LocalPolicyTargetReference: gatewayv1.LocalPolicyTargetReference{Kind: "Service", Name: "shop"}}}
	p.Spec.Validation.Hostname = "shop.example"
	p.Spec.Validation.WellKnownCACertificates = new(gatewayv1.WellKnownCACertificatesSystem)
	return p
}

func clientPolicyOn(meta metav1.ObjectMeta) snapshot.Object {
	p := &v1alpha1.ClientPolicy{ObjectMeta: meta}
	p.Spec.TargetRefs = []gatewayv1.LocalPolicyTargetReferenceWithSectionName{{LocalPolicyTargetReference: gatewayv1.LocalPolicyTargetReference{Group: gatewayv1.GroupName, Kind: "Gateway", Name: "gw"}}}
	return p
}

// costOfAChange is how many allocations a change of the last of n policies takes.
func costOfAChange(t *testing.T, policy func(metav1.ObjectMeta) snapshot.Object, n int) float64 {
	changes := decode(t, `kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: sluice
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
kind: HTTPRoute
metadata: {name: shop}
spec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: shop, port: 80}]}]}
---
kind: Service
metadata: {name: shop}
spec: {ports: [{port: 80}]}
`)
	change := func(i int, generation int64) []snapshot.Change {
		object := policy(metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("p-%06d", i), Generation: generation})
		return []snapshot.Change{{Key: snapshot.KeyOf(object), Object: object}}
	}
	for i := range n {
		changes = append(changes, change(i, 0)...)
	}
	translator := translate.New(propertyOptions)
	s := snapshot.New().With(changes)
	translator.Update(s, nil)
	generation := int64(0)
	return testing.AllocsPerRun(10, func() {
		generation++
		last := change(n-1, generation)
		s = s.With(last)
		translator.Update(s, keys(last))
	})
}
