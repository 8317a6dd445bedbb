package snapshot_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
)

func set(object snapshot.Object) snapshot.Change {
	return snapshot.Change{Key: snapshot.KeyOf(object), Object: object}
}

func endpointSlice(name, service string) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: service},
	}}
}

func namesIn(s *snapshot.Snapshot, bucket snapshot.Key) []string {
	var names []string
	for object := range s.Bucket(bucket) {
		names = append(names, object.GetName())
	}
	return names
}

func TestGetByType(t *testing.T) {
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}}
	s := snapshot.New().With([]snapshot.Change{set(service)})
	if got := snapshot.Get[*corev1.Service](s, "default", "web"); got != service {
		t.Errorf("got %v", got)
	}
	if got := snapshot.Get[*corev1.Service](s, "other", "web"); got != nil {
		t.Errorf("in another namespace: got %v", got)
	}
	if got := snapshot.Get[*corev1.Secret](s, "default", "web"); got != nil {
		t.Errorf("of another kind: got %v", got)
	}
}

func TestWithLeavesTheSnapshotAsItWas(t *testing.T) {
	before := snapshot.New().With([]snapshot.Change{set(endpointSlice("a", "web"))})
	after := before.With([]snapshot.Change{set(endpointSlice("b", "web")), {Key: snapshot.KeyOf(endpointSlice("a", ""))}})
	bucket := snapshot.SlicesOf("default", "web")
	if got := namesIn(before, bucket); !slices.Equal(got, []string{"a"}) || before.Len() != 1 {
		t.Errorf("before: %v", got)
	}
	if got := namesIn(after, bucket); !slices.Equal(got, []string{"b"}) || after.Len() != 1 {
		t.Errorf("after: %v", got)
	}
}

func TestAnObjectLeavesTheBucketsItWasIn(t *testing.T) {
	s := snapshot.New().With([]snapshot.Change{set(endpointSlice("a", "web"))})
	s = s.With([]snapshot.Change{set(endpointSlice("a", "api"))})
	if got := namesIn(s, snapshot.SlicesOf("default", "web")); got != nil {
		t.Errorf("still of web: %v", got)
	}
	if got := namesIn(s, snapshot.SlicesOf("default", "api")); !slices.Equal(got, []string{"a"}) {
		t.Errorf("of api: %v", got)
	}
}

func TestBucketsDoNotMix(t *testing.T) {
	policy := &gatewayv1.BackendTLSPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "tls"}}
	for _, name := range []gatewayv1.ObjectName{"web", "api"} {
		policy.Spec.TargetRefs = append(policy.Spec.TargetRefs, gatewayv1.LocalPolicyTargetReferenceWithSectionName{
			LocalPolicyTargetReference: gatewayv1.LocalPolicyTargetReference{Kind: "Service", Name: name},
		})
	}
	grant := &gatewayv1.ReferenceGrant{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "allow"}}
	for _, namespace := range []gatewayv1.Namespace{"team", "another"} {
		grant.Spec.From = append(grant.Spec.From, gatewayv1.ReferenceGrantFrom{Group: gatewayv1.GroupName, Kind: "HTTPRoute", Namespace: namespace})
	}
	s := snapshot.New().With([]snapshot.Change{set(endpointSlice("a", "web")), set(policy), set(grant)})
	for bucket, want := range map[snapshot.Key][]string{
		snapshot.BackendPoliciesOn(snapshot.KindService, "default", "web"): {"tls"},
		snapshot.BackendPoliciesOn(snapshot.KindService, "default", "api"): {"tls"},
		snapshot.BackendPoliciesOn(snapshot.KindService, "other", "web"):   nil,
		snapshot.GrantsIn("default", snapshot.KindHTTPRoute, "team"):       {"allow"},
		snapshot.GrantsIn("default", snapshot.KindHTTPRoute, "another"):    {"allow"},
		snapshot.GrantsIn("default", snapshot.KindHTTPRoute, "other"):      nil,
		snapshot.GrantsIn("default", snapshot.KindGateway, "team"):         nil,
		snapshot.GrantsIn("other", snapshot.KindHTTPRoute, "team"):         nil,
		snapshot.SlicesOf("default", "web"):                                {"a"},
	} {
		if got := namesIn(s, bucket); !slices.Equal(got, want) {
			t.Errorf("%v: %v, want %v", bucket, got, want)
		}
	}
}

func TestOfYieldsOneKindInOrder(t *testing.T) {
	var changes []snapshot.Change
	for _, name := range []string{"c", "a", "b"} {
		changes = append(changes, set(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}))
		changes = append(changes, set(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}))
	}
	var names []string
	for service := range snapshot.Of[*corev1.Service](snapshot.New().With(changes)) {
		names = append(names, service.Name)
	}
	if !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("got %v", names)
	}
}
