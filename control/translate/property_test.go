package translate_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
	"github.com/sluicegateway/sluice/control/translate"
)

// However the objects came to be what they are, the translation is that of the
// objects; and who follows the deltas and the changed statuses has all of it.
func TestIncrementalEqualsFromScratch(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			f := newFollower(propertyOptions)
			w := world{newRandom(seed), t}
			for step := range 60 {
				var changes []snapshot.Change
				for range 1 + w.IntN(4) {
					changes = append(changes, w.change())
				}
				f.step(t, changes)
				if t.Failed() {
					t.Fatalf("at step %d, after %v", step, keys(changes))
				}
			}
		})
	}
}

func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed)) }

// follower keeps what it is told of one incremental translation.
type follower struct {
	options    translate.Options
	translator *translate.Translator
	snapshot   *snapshot.Snapshot
	resources  map[config.Ref]string
	statuses   map[snapshot.Key]status.Status
}

func newFollower(options translate.Options) *follower {
	return &follower{
		options:    options,
		translator: translate.New(options),
		snapshot:   snapshot.New(),
		resources:  map[config.Ref]string{},
		statuses:   map[snapshot.Key]status.Status{},
	}
}

var propertyOptions = translate.Options{ControllerName: controllerName}

func (f *follower) step(t *testing.T, changes []snapshot.Change) {
	f.snapshot = f.snapshot.With(changes)
	f.follow(f.translator.Update(f.snapshot, keys(changes)))
	f.follow(f.translator.Served(randomReport(f.translator.View())))

	scratch := translate.New(f.options)
	scratch.Update(f.snapshot, nil)
	scratch.Served(randomReport(scratch.View()))

	if diff := cmp.Diff(print(scratch.View()), print(f.translator.View())); diff != "" {
		t.Errorf("from scratch (-) and incremental (+) differ:\n%s", diff)
	}
	if err := f.translator.View().Config().Validate(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(resources(scratch.View().Config()), f.resources); diff != "" {
		t.Errorf("from scratch (-) and by deltas (+) differ:\n%s", diff)
	}
	if diff := cmp.Diff(maps.Collect(f.translator.View().Statuses()), f.statuses); diff != "" {
		t.Errorf("statuses in force (-) and by changes (+) differ:\n%s", diff)
	}
}

func (f *follower) follow(result translate.Result) {
	for _, ref := range result.Delta.Removed {
		delete(f.resources, ref)
	}
	maps.Copy(f.resources, resources(result.Delta))
	for key, s := range result.Statuses {
		f.statuses[key] = s
		if s.Empty() {
			delete(f.statuses, key)
		}
	}
}

func resources(d *config.Delta) map[config.Ref]string {
	all := map[config.Ref]string{}
	for _, l := range d.Listeners {
		all[config.Ref{Kind: config.KindListener, Name: l.Name}] = l.String() + fmt.Sprint(l.Certificates, l.BackendCertificate)
	}
	for _, r := range d.Routes {
		all[config.Ref{Kind: config.KindRoute, Name: r.Name}] = r.String()
	}
	for _, b := range d.Backends {
		all[config.Ref{Kind: config.KindBackend, Name: b.Name}] = b.String()
	}
	return all
}

// randomReport fails the listeners on port 81; which they are depends on the
// configuration only.
func randomReport(view translate.View) config.Report {
	c := view.Config()
	report := config.Report{Version: c.Version, Listeners: map[string]error{}}
	for _, l := range c.Listeners {
		report.Listeners[l.Name] = nil
		if l.Port == 81 {
			report.Listeners[l.Name] = fmt.Errorf("listen %d: address already in use", l.Port)
		}
	}
	return report
}

func print(view translate.View) string {
	var b strings.Builder
	b.WriteString(view.Config().String())
	for key, s := range view.Statuses() {
		fmt.Fprintf(&b, "%s\n%s", key, s)
	}
	b.WriteString(diagnostics(view))
	return b.String()
}

// world makes random objects with few names, so that they meet.
type world struct {
	*rand.Rand
	t testing.TB
}

func pick[T any](w world, values ...T) T { return values[w.IntN(len(values))] }

func (w world) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace:         pick(w, "a", "b"),
		Name:              name,
		Generation:        w.Int64N(3),
		CreationTimestamp: metav1.NewTime(time.Unix(w.Int64N(3), 0)),
	}
}

func (w world) change() snapshot.Change { return w.remade(w.object()) }

// remade sets the object, or removes it.
func (w world) remade(object snapshot.Object) snapshot.Change {
	change := snapshot.Change{Key: snapshot.KeyOf(object), Object: object}
	if w.IntN(4) == 0 {
		change.Object = nil
	}
	return change
}

func (w world) object() snapshot.Object {
	switch w.IntN(22) {
	case 0:
		return &gatewayv1.GatewayClass{
			ObjectMeta: metav1.ObjectMeta{Name: pick(w, "sluice", "other")},
			Spec:       gatewayv1.GatewayClassSpec{ControllerName: pick[gatewayv1.GatewayController](w, controllerName, controllerName, "example.net/other")},
		}
	case 1:
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: pick(w, "a", "b"), Labels: map[string]string{"team": pick(w, "red", "blue")}}}
	case 2, 3:
		return w.gateway()
	case 4, 5, 6:
		return w.route()
	case 7:
		return w.service()
	case 8:
		return w.slice()
	case 9:
		return &gatewayv1.ReferenceGrant{ObjectMeta: w.meta(pick(w, "x", "y")), Spec: gatewayv1.ReferenceGrantSpec{
			From: []gatewayv1.ReferenceGrantFrom{{Group: gatewayv1.GroupName, Kind: pick[gatewayv1.Kind](w, "HTTPRoute", "GRPCRoute", "Gateway", "ListenerSet"), Namespace: pick[gatewayv1.Namespace](w, "a", "b")}},
			To:   []gatewayv1.ReferenceGrantTo{{Kind: pick[gatewayv1.Kind](w, "Service", "Secret", "ConfigMap")}},
		}}
	case 10:
		return &v1alpha1.Backend{ObjectMeta: w.meta("s1"), Spec: v1alpha1.BackendSpec{
			Endpoints: []v1alpha1.BackendEndpoint{{FQDN: &v1alpha1.FQDNEndpoint{Hostname: pick(w, "one.example", "two.example"), Port: 80}}},
		}}
	case 11:
		return w.secret()
	case 12, 13:
		return w.listenerSet()
	case 14, 15, 16:
		return w.grpcRoute()
	case 17, 18, 19, 20:
		return w.policy()
	}
	return w.unserved()
}

func (w world) unserved() snapshot.Object {
	return &gatewayv1.TCPRoute{ObjectMeta: w.meta("t"), Spec: gatewayv1.TCPRouteSpec{CommonRouteSpec: w.parents()}}
}

func (w world) route() *gatewayv1.HTTPRoute {
	r := &gatewayv1.HTTPRoute{ObjectMeta: w.meta(pick(w, "r1", "r2", "r3"))}
	r.Spec.CommonRouteSpec = w.parents()
	r.Spec.Hostnames = w.hostnames()
	for range 1 + w.IntN(2) {
		ref := gatewayv1.HTTPBackendRef{}
		ref.Name = pick[gatewayv1.ObjectName](w, "s1", "s2")
		ref.Port = new(pick[gatewayv1.PortNumber](w, 80, 80, 81))
		ref.Namespace = pick[*gatewayv1.Namespace](w, nil, new(gatewayv1.Namespace("a")), new(gatewayv1.Namespace("b")))
		if w.IntN(4) == 0 {
			ref.Group, ref.Kind = new(gatewayv1.Group(v1alpha1.GroupName)), new(gatewayv1.Kind("Backend"))
		}
		r.Spec.Rules = append(r.Spec.Rules, gatewayv1.HTTPRouteRule{
			Matches:     []gatewayv1.HTTPRouteMatch{{Method: pick[*gatewayv1.HTTPMethod](w, nil, new(gatewayv1.HTTPMethod("BREW")))}},
			Filters:     w.filters(),
			BackendRefs: []gatewayv1.HTTPBackendRef{ref},
		})
	}
	return r
}

// hostnames are few, so that HTTPRoutes and GRPCRoutes meet at them.
func (w world) hostnames() []gatewayv1.Hostname {
	return pick(w, nil, nil, []gatewayv1.Hostname{"x.example"}, []gatewayv1.Hostname{"y.other"}, []gatewayv1.Hostname{"z.example", "*.other"}, []gatewayv1.Hostname{"*.example"})
}

func (w world) grpcRoute() *gatewayv1.GRPCRoute {
	r := &gatewayv1.GRPCRoute{ObjectMeta: w.meta(pick(w, "r1", "r2", "g1"))}
	r.Spec.CommonRouteSpec = w.parents()
	r.Spec.Hostnames = w.hostnames()
	for range w.IntN(3) {
		ref := gatewayv1.GRPCBackendRef{}
		ref.Name = pick[gatewayv1.ObjectName](w, "s1", "s2")
		ref.Port = new(gatewayv1.PortNumber(80))
		ref.Namespace = pick[*gatewayv1.Namespace](w, nil, new(gatewayv1.Namespace("a")))
		r.Spec.Rules = append(r.Spec.Rules, gatewayv1.GRPCRouteRule{
			Matches:     []gatewayv1.GRPCRouteMatch{{Method: &gatewayv1.GRPCMethodMatch{Service: new(pick(w, "a.B", "a/B"))}}},
			BackendRefs: []gatewayv1.GRPCBackendRef{ref},
		})
	}
	return r
}

func (w world) filters() []gatewayv1.HTTPRouteFilter {
	switch w.IntN(4) {
	case 0:
		return []gatewayv1.HTTPRouteFilter{{Type: gatewayv1.HTTPRouteFilterExternalAuth}}
	case 1:
		return []gatewayv1.HTTPRouteFilter{{Type: gatewayv1.HTTPRouteFilterRequestMirror, RequestMirror: &gatewayv1.HTTPRequestMirrorFilter{
			BackendRef: gatewayv1.BackendObjectReference{Name: pick[gatewayv1.ObjectName](w, "s1", "s2"), Port: new(gatewayv1.PortNumber(80))},
		}}}
	}
	return nil
}

func (w world) service() *corev1.Service {
	return &corev1.Service{ObjectMeta: w.meta(pick(w, "s1", "s2")), Spec: corev1.ServiceSpec{
		Ports: []corev1.ServicePort{{Name: pick(w, "http", "web"), Port: 80, AppProtocol: pick[*string](w, nil, nil, new("kubernetes.io/ws"), new("kubernetes.io/h2c"), new("https"))}},
	}}
}

func (w world) slice() *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{ObjectMeta: w.meta(pick(w, "e1", "e2", "e3")), AddressType: discoveryv1.AddressTypeIPv4}
	s.Labels = map[string]string{discoveryv1.LabelServiceName: pick(w, "s1", "s2")}
	s.Ports = []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8080))}}
	s.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{pick(w, "10.0.0.1", "10.0.0.2")}, Conditions: discoveryv1.EndpointConditions{Ready: new(w.IntN(2) == 0)}}}
	return s
}
