package translate_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/features"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/translate"
)

// inCluster translates one Gateway with one route, with its Service in place.
func inCluster(t *testing.T, options *translate.Cluster) (*translate.Translator, *snapshot.Snapshot) {
	translator := translate.New(translate.Options{ControllerName: controllerName, Cluster: options})
	s := snapshot.New().With(decode(t, oneRoute))
	result := translator.Update(s, nil)
	var placed []snapshot.Change
	for _, key := range result.Wanted {
		service := result.View.Wanted(key).Service
		placed = append(placed, snapshot.Change{Key: snapshot.KeyOf(service), Object: service})
	}
	s = s.With(placed)
	translator.Update(s, keys(placed))
	translator.Served(randomReport(translator.View()))
	return translator, s
}

// What a cluster makes for Gateways is a feature only where something is made.
func TestSupportedFeaturesInACluster(t *testing.T) {
	class := snapshot.Key{Kind: snapshot.KindGatewayClass, Name: "sluice"}
	for options, want := range map[*translate.Cluster]bool{nil: false, {}: true, {HostNetwork: true}: false} {
		translator, _ := inCluster(t, options)
		published := translator.View().Status(class).GatewayClass.SupportedFeatures
		got := slices.Contains(published, gatewayv1.SupportedFeature{Name: gatewayv1.FeatureName(features.SupportGatewayInfrastructure)})
		if got != want {
			t.Errorf("with %+v: GatewayInfrastructure is published: %v", options, got)
		}
	}
}

// A route changes nothing of what its Gateway needs, nor of what is served.
func TestRoutesDoNotConcernPlacement(t *testing.T) {
	translator, s := inCluster(t, &translate.Cluster{})
	before := translator.View()
	change := snapshot.Change{Key: snapshot.Key{Kind: snapshot.KindHTTPRoute, Namespace: "default", Name: "shop"}}
	result := translator.Update(s.With([]snapshot.Change{change}), []snapshot.Key{change.Key})
	served := translator.Served(randomReport(result.View))
	if result.Delta.Empty() || len(result.Wanted) != 0 || len(served.Wanted) != 0 {
		t.Errorf("the delta is empty: %v; wanted: %v, %v", result.Delta.Empty(), result.Wanted, served.Wanted)
	}
	if was, is := before.Serving(), served.View.Serving(); len(is) != 1 || reflect.ValueOf(was).Pointer() != reflect.ValueOf(is).Pointer() {
		t.Errorf("what is served was made again: %v, then %v", was, is)
	}
}

// Replicas that serve the same have the same digest, however they came to it; those
// that do not, do not.
func TestDigest(t *testing.T) {
	one, _ := inCluster(t, &translate.Cluster{})
	two, s := inCluster(t, &translate.Cluster{})
	if a, b := one.View().Serving(), two.View().Serving(); a["default/gw"].Digest == "" || !reflect.DeepEqual(a, b) {
		t.Errorf("the same: %v and %v", a, b)
	}
	changes := decodeChanges(t, oneRoute)[:1]
	changes[0].Object.(*gatewayv1.Gateway).Spec.Listeners[0].Hostname = new(gatewayv1.Hostname("shop.example"))
	two.Update(s.With(changes), keys(changes))
	two.Served(randomReport(two.View()))
	if a, b := one.View().Serving()["default/gw"].Digest, two.View().Serving()["default/gw"].Digest; a == b {
		t.Errorf("another hostname, and the same digest %s", a)
	}
}

// A replica whose data plane has not taken a change says on which ports it still
// listens, but not that it serves what is there now.
func TestServingWhileTheDataPlaneIsBehind(t *testing.T) {
	translator, s := inCluster(t, &translate.Cluster{})
	report := randomReport(translator.View())
	changes := decodeChanges(t, oneRoute)[:1]
	gateway := changes[0].Object.(*gatewayv1.Gateway)
	gateway.Spec.Listeners = append(gateway.Spec.Listeners, gatewayv1.Listener{Name: "more", Port: 80, Protocol: "HTTP", Hostname: new(gatewayv1.Hostname("shop.example"))})
	translator.Update(s.With(changes), keys(changes))
	serving := translator.Served(report).View.Serving()["default/gw"]
	if serving.Digest != "" || len(serving.Ports) != 1 {
		t.Errorf("serving %+v, want the port and no digest", serving)
	}
}

// Where HTTP/3 alone fails, the Gateway is not programmed, and clients of older
// versions are sent to the replica all the same.
func TestServingWithoutHTTP3(t *testing.T) {
	translator, _ := inCluster(t, &translate.Cluster{})
	report := randomReport(translator.View())
	report.Version++
	for name := range report.Listeners {
		report.Listeners[name] = &config.HTTP3Error{Err: errors.New("no UDP")}
	}
	serving := translator.Served(report).View.Serving()["default/gw"]
	if len(serving.Ports) != 1 || len(serving.Failures) != 1 {
		t.Errorf("serving %+v, want the port and the failure", serving)
	}
}

// What the cluster has refused is told until it has taken it.
func TestRefused(t *testing.T) {
	translator, _ := inCluster(t, &translate.Cluster{})
	before := translator.View().Status(gatewayKey)
	result := translator.Refused(gatewayKey, "exceeded quota")
	said := result.Statuses[gatewayKey].Gateway
	if said == nil || !result.Delta.Empty() {
		t.Fatalf("statuses %v, delta %v", result.Statuses, result.Delta)
	}
	if c := said.Conditions[1]; c.Status != metav1.ConditionFalse || c.Reason != "NoResources" || c.Message != "exceeded quota" {
		t.Errorf("%+v", c)
	}
	if again := translator.Refused(gatewayKey, "exceeded quota"); len(again.Statuses) != 0 {
		t.Errorf("the same again changes %v", again.Statuses)
	}
	if after := translator.Refused(gatewayKey, "").Statuses[gatewayKey]; !after.Equal(before) {
		t.Errorf("once it is taken: %v, want %v", after, before)
	}
}

// Gateway.status.addresses takes 16 at most.
func TestManyNodes(t *testing.T) {
	translator, s := inCluster(t, &translate.Cluster{HostNetwork: true})
	nodes := cluster{}
	for i := range 40 {
		nodes.replicas = append(nodes.replicas, parseReplica(t, fmt.Sprintf("pod-%d 10.244.0.%d node-%d 192.0.2.%d", i, i, i, i)))
	}
	changes := nodes.leases(t, translator.View())
	translator.Update(s.With(changes), keys(changes))
	if said := translator.View().Status(gatewayKey).Gateway.Addresses; len(said) != 16 {
		t.Errorf("%d addresses, want 16", len(said))
	}
}
